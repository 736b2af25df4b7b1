"""What every store promises, in SQLite and in PostgreSQL."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from threading import Thread
from typing import Any

import pytest
from tests.at_once import answers_at_once
from tests.store.processes import begin_at_once, use
from tests.store.records import ELSEWHERE, SHAPE, batch, kept, reject, request

from mainstem.errors import (
    LeaseLostError,
    PipelineChangedError,
    RunActiveError,
    RunCompletedError,
    SourceChangedError,
    StoreError,
)
from mainstem.store.model import (
    Lease,
    NewReject,
    RejectQuery,
    RejectRecord,
    RejectState,
    ReplayOutcome,
    RunStatus,
    StageCounts,
    StageSnapshot,
)
from mainstem.store.open import open_store
from mainstem.store.owner import this_process
from mainstem.store.store import Store


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = open_store(store_url)
    yield opened
    opened.close()


def again(store: Store, lease: Lease) -> Lease:
    """Take the run once more, its process being gone."""
    return store.begin(request(lease.run_id))


def only(rejects: Sequence[RejectRecord]) -> RejectRecord:
    (one,) = rejects
    return one


OPEN, EDITED, APPROVED, REPLAYED = RejectState.OPEN, RejectState.EDITED, RejectState.APPROVED, RejectState.REPLAYED


def test_a_new_run_has_nothing_to_go_on_from(store: Store) -> None:
    lease = store.begin(request(target="x.py:p"))
    assert (lease.epoch, lease.committed, lease.prepared) == (1, 0, None)
    assert store.settle(lease, 0) is None
    (run,) = store.runs()
    assert (run.pipeline, run.run_id, run.status, run.committed) == ("p", "a", RunStatus.RUNNING, 0)
    assert (run.target, run.shape, run.source, run.error, run.ended_at) == ("x.py:p", SHAPE, None, None, None)
    assert run.started_at.tzinfo is timezone.utc
    assert run.rejects == {}


def test_a_prepared_batch_that_the_target_has_is_gone_on_from(store: Store) -> None:
    lease = store.begin(request())
    snapshot = StageSnapshot(stage="dedupe", payload='["x"]')
    store.prepare(lease, batch(1, reject(3), snapshots=[snapshot]))
    taken = again(store, lease)
    assert taken.epoch == 2
    assert taken.prepared is not None
    assert taken.prepared.sequence == 1
    checkpoint = store.settle(taken, 1)
    assert checkpoint == batch(1, rejects=(), snapshots=[snapshot])
    assert kept(store) == [(3, OPEN, True)]


def test_a_prepared_batch_that_the_target_has_not_is_put_aside(store: Store) -> None:
    lease = store.begin(request())
    store.prepare(lease, batch(1, reject(3)))
    store.prepare(lease, batch(2, reject(13), snapshots=[StageSnapshot(stage="s", payload="2")]))
    taken = again(store, lease)
    checkpoint = store.settle(taken, 1)
    assert checkpoint is not None
    assert (checkpoint.sequence, list(checkpoint.snapshots)) == (1, [])
    assert kept(store) == [(3, OPEN, True), (13, OPEN, False)]
    assert store.settle(again(store, lease), 1) == checkpoint


def test_the_next_batch_confirms_the_one_before(store: Store) -> None:
    lease = store.begin(request())
    store.prepare(lease, batch(1, reject(1)))
    assert kept(store) == [(1, OPEN, False)]
    store.prepare(lease, batch(2))
    assert kept(store) == [(1, OPEN, True)]
    assert again(store, lease).committed == 1


def test_what_was_prepared_last_counts(store: Store) -> None:
    lease = store.begin(request())
    store.prepare(lease, batch(1, reject(1), reject(2)))
    store.prepare(lease, batch(1, reject(2), position={"byte": 7}))
    checkpoint = store.settle(lease, 1)
    assert checkpoint is not None
    assert checkpoint.position == {"byte": 7}
    assert kept(store) == [(2, OPEN, True)]


@pytest.mark.parametrize("number", [0, 2, 7])
def test_a_batch_out_of_turn_is_refused(store: Store, number: int) -> None:
    lease = store.begin(request())
    with pytest.raises(StoreError, match="does not follow"):
        store.prepare(lease, batch(number))
    assert kept(store) == []


@pytest.mark.parametrize("number", [0, 1, 4])
def test_a_target_of_another_store_is_refused(store: Store, number: int) -> None:
    lease = store.begin(request())
    for each in (1, 2, 3):
        store.prepare(lease, batch(each))
    with pytest.raises(StoreError, match="is this the store of that run"):
        store.settle(again(store, lease), number)


def test_a_reject_that_comes_up_again_keeps_what_was_made_of_it(store: Store) -> None:
    lease = store.begin(request())
    store.prepare(lease, batch(1, reject(3), reject(4)))
    before = store.rejects(RejectQuery())
    taken = again(store, lease)
    store.settle(taken, 0)
    store.change_rejects(RejectQuery(ids=[before[0].id]), EDITED, among=[OPEN], edited='"mended"', by="Ada")
    store.prepare(taken, batch(1, reject(3, message="still no")))
    store.settle(taken, 1)
    after = only(store.rejects(RejectQuery()))
    assert (after.id, after.state, after.edited, after.changed_by) == (before[0].id, EDITED, '"mended"', "Ada")
    assert after.message == "still no"
    assert after.is_settled


def test_rejects_that_the_run_has_not_come_by_again_stay(store: Store) -> None:
    lease = store.begin(request())
    store.finish(lease, RunStatus.FAILED, unsettled=[reject(3), reject(14), reject(2, stage="other")])
    taken = again(store, lease)
    store.settle(taken, 0)
    store.prepare(taken, batch(1, records=10))
    assert kept(store) == [(14, OPEN, False), (2, OPEN, False)]
    store.prepare(taken, batch(2, is_last=True))
    assert kept(store) == []


def test_rejects_of_one_place_are_told_apart_by_their_order(store: Store) -> None:
    lease = store.begin(request())
    store.prepare(lease, batch(1, reject(3, message="one"), reject(3, message="two"), reject(None)))
    assert [(each.index, each.message) for each in store.rejects(RejectQuery())] == [
        (3, "one"),
        (3, "two"),
        (None, "no None"),
    ]


def test_a_reject_comes_back_as_it_went_in(store: Store) -> None:
    lease = store.begin(request())
    new = reject(
        5,
        stage="outer/inner é",
        origin=9,
        is_exact=False,
        is_redacted=True,
        attempts=3,
        message="line\nline \U0001f600",
        at=datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=timezone.utc),
    )
    store.prepare(lease, batch(1, new))
    record = only(store.rejects(RejectQuery()))
    same = {name: getattr(record, name) for name in NewReject.__slots__}
    assert NewReject(**same) == new
    assert (record.pipeline, record.run_id, record.replays, record.edited) == ("p", "a", 0, None)


def test_texts_that_no_database_takes_are_kept_visibly(store: Store) -> None:
    lease = store.begin(request())
    store.prepare(lease, batch(1, reject(1, message="a\0b\ud800", code="c\0", stage="s\udfff")))
    record = only(store.rejects(RejectQuery(stage="s\udfff", code="c\0")))
    assert (record.message, record.stage) == ("a\\x00b\\ud800", "s\\udfff")


def test_snapshots_are_whole_and_then_changes(store: Store) -> None:
    lease = store.begin(request())

    def snapshot(payload: str, *, is_change: bool, stage: str = "s") -> StageSnapshot:
        return StageSnapshot(stage=stage, payload=payload, is_change=is_change)

    first = [snapshot("1", is_change=False), snapshot("t1", is_change=False, stage="t")]
    store.prepare(lease, batch(1, snapshots=first))
    store.prepare(lease, batch(2, snapshots=[snapshot("2", is_change=True)]))
    store.prepare(lease, batch(3, snapshots=[snapshot("3", is_change=True)]))
    checkpoint = store.settle(again(store, lease), 3)
    assert checkpoint is not None
    assert [each.payload for each in checkpoint.snapshots] == ["1", "2", "3", "t1"]
    taken = again(store, lease)
    store.prepare(taken, batch(4, snapshots=[snapshot("4", is_change=False)]))
    third = store.settle(again(store, lease), 3)
    assert third is not None
    assert [each.payload for each in third.snapshots] == ["1", "2", "3", "t1"]
    taken = again(store, lease)
    store.prepare(taken, batch(4, snapshots=[snapshot("4", is_change=False)]))
    store.prepare(taken, batch(5, snapshots=[snapshot("5", is_change=True)]))
    fifth = store.settle(taken, 5)
    assert fifth is not None
    assert [each.payload for each in fifth.snapshots] == ["4", "5", "t1"]


def test_a_run_that_has_completed_is_refused(store: Store) -> None:
    lease = store.begin(request())
    store.prepare(lease, batch(1, is_last=True))
    store.settle(lease, 1)
    store.finish(lease, RunStatus.COMPLETED, guarantee="exactly-once")
    with pytest.raises(RunCompletedError, match="another run_id") as caught:
        store.begin(request())
    assert (caught.value.pipeline, caught.value.run_id) == ("p", "a")
    (run,) = store.runs()
    assert (run.status, run.guarantee, run.committed, run.is_live) == (RunStatus.COMPLETED, "exactly-once", 1, False)
    assert run.ended_at is not None
    assert run.counts == {"map": StageCounts(records_in=10)}


def test_a_run_that_somebody_works_on_is_refused(store: Store) -> None:
    store.begin(request(owner=this_process()))
    with pytest.raises(RunActiveError, match=f"process {os.getpid()}"):
        store.begin(request())
    store.begin(request("b", owner=ELSEWHERE))
    with pytest.raises(RunActiveError, match="another"):
        store.begin(request("b"))
    assert [run.is_live for run in store.runs()] == [True, True]


def test_a_run_whose_process_is_gone_can_be_taken_at_once(store: Store) -> None:
    lease = store.begin(request(lease_seconds=3600.0))
    assert not only_run(store).is_live
    assert store.begin(request()).epoch == lease.epoch + 1


def test_a_lease_runs_out(store: Store) -> None:
    lease = store.begin(request(owner=ELSEWHERE, lease_seconds=1e-6))
    assert store.begin(request()).epoch == lease.epoch + 1


def only_run(store: Store) -> Any:
    (run,) = store.runs()
    return run


def test_a_sign_of_life_keeps_the_lease(store: Store) -> None:
    lease = store.begin(request(owner=ELSEWHERE))
    before = only_run(store).updated_at
    store.renew(lease)
    assert only_run(store).updated_at > before


@pytest.mark.parametrize("call", ["renew", "prepare", "settle", "finish"])
def test_whoever_has_lost_the_run_can_do_nothing_with_it(store: Store, call: str) -> None:
    lost = store.begin(request())
    store.prepare(lost, batch(1, reject(1)))
    taken = again(store, lost)
    store.settle(taken, 0)
    calls = {
        "renew": lambda: store.renew(lost),
        "prepare": lambda: store.prepare(lost, batch(1, reject(2))),
        "settle": lambda: store.settle(lost, 0),
        "finish": lambda: store.finish(lost, RunStatus.FAILED, unsettled=[reject(7)]),
    }
    with pytest.raises(LeaseLostError, match="somebody else"):
        calls[call]()
    assert kept(store) == [(1, OPEN, False)]
    assert only_run(store).status is RunStatus.RUNNING


def test_an_end_that_was_noted_already_is_no_error(store: Store) -> None:
    lease = store.begin(request())
    store.finish(lease, RunStatus.FAILED, error="x")
    store.finish(lease, RunStatus.FAILED, error="x")
    with pytest.raises(LeaseLostError):
        store.finish(lease, RunStatus.CANCELLED)


def test_another_pipeline_is_refused_with_what_differs(store: Store) -> None:
    store.begin(request())
    changed = [{"name": "load", "class": "Table"}, {"name": "read", "class": "Csv", "size": 2}, {"name": "new"}]
    with pytest.raises(PipelineChangedError) as caught:
        store.begin(request(shape=changed))
    text = str(caught.value)
    assert "stage 3, 'new', is new" in text
    assert "the order is 'load', 'read', 'new'; it was 'read', 'load'" in text
    assert "stage 'read': size is 2; it was 1" in text
    assert "force" in text
    with pytest.raises(PipelineChangedError, match="stage 2, 'load', is gone"):
        store.begin(request(shape=SHAPE[:1]))
    store.begin(request(shape=changed, force=True))
    store.begin(request(shape=changed))


def test_another_input_is_refused_once_some_of_it_is_committed(store: Store) -> None:
    lease = store.begin(request(source={"size": 1, "head": "x"}))
    taken = store.begin(request(source={"size": 2, "head": "x"}))
    assert taken.epoch == lease.epoch + 1
    store.prepare(taken, batch(1))
    store.prepare(taken, batch(2))
    with pytest.raises(SourceChangedError, match="size is 3; it was 2"):
        store.begin(request(source={"size": 3, "head": "x"}))
    store.begin(request(source={"size": 3, "head": "x"}, force=True))


@pytest.mark.parametrize("run_id", ["a/b", "..", "näme \U0001f600", "x" * 200, "%", "'; DROP TABLE runs; --"])
def test_a_run_id_is_any_text(store: Store, run_id: str) -> None:
    store.begin(request(run_id))
    assert [run.run_id for run in store.runs(run_id=run_id)] == [run_id]


@pytest.mark.parametrize("run_id", ["", "a\nb", "a\0", "x" * 201, "\ud800", "\x1b[2J"])
def test_what_cannot_be_shown_is_no_run_id(store: Store, run_id: str) -> None:
    with pytest.raises(ValueError, match="run_id"):
        store.begin(request(run_id))
    assert store.runs() == []


def test_runs_are_found_by_what_is_known_of_them(store: Store) -> None:
    for name in "abc":
        store.begin(request(name))
    store.finish(store.begin(request("a")), RunStatus.FAILED, error="why")
    assert [run.run_id for run in store.runs()] == ["c", "b", "a"]
    assert [run.run_id for run in store.runs(limit=2)] == ["c", "b"]
    assert [(run.run_id, run.error) for run in store.runs(status=RunStatus.FAILED)] == [("a", "why")]
    assert store.runs(pipeline="q") == []


def test_rejects_are_found_by_what_is_known_of_them(store: Store) -> None:
    lease = store.begin(request())
    store.prepare(lease, batch(1, reject(1), reject(2, stage="s"), reject(3, code="odd")))
    other = store.begin(request("b"))
    store.prepare(other, batch(1, reject(4)))
    assert [index for index, _, _ in kept(store)] == [1, 2, 3, 4]
    assert [index for index, _, _ in kept(store, run_id="a")] == [1, 2, 3]
    assert [index for index, _, _ in kept(store, stage="s")] == [2]
    assert [index for index, _, _ in kept(store, code="odd", pipeline="p")] == [3]
    assert kept(store, states=[]) == []
    assert kept(store, ids=[]) == []
    page = store.rejects(RejectQuery(limit=2))
    assert [each.index for each in store.rejects(RejectQuery(after=page[-1].id, limit=2))] == [3, 4]
    assert store.count_rejects(RejectQuery(run_id="a", limit=1)) == 3
    assert only_of(store, "a").rejects == {OPEN: 3}


def only_of(store: Store, run_id: str) -> Any:
    (run,) = store.runs(run_id=run_id)
    return run


def test_states_change_only_among_those_that_are_named(store: Store) -> None:
    lease = store.begin(request())
    store.prepare(lease, batch(1, reject(1), reject(2)))
    first, second = store.rejects(RejectQuery())
    assert store.change_rejects(RejectQuery(ids=[first.id]), APPROVED, among=[OPEN]) == 1
    assert store.change_rejects(RejectQuery(), RejectState.DISCARDED, among=[OPEN], by="Ada") == 1
    assert [(index, state) for index, state, _ in kept(store)] == [(1, APPROVED), (2, RejectState.DISCARDED)]
    changed = store.rejects(RejectQuery(ids=[second.id]))[0]
    assert changed.changed_by == "Ada"
    assert changed.changed_at is not None
    assert kept(store, states=[APPROVED]) == [(1, APPROVED, False)]


def test_a_replay_counts_with_its_batch(store: Store) -> None:
    lease = store.begin(request())
    store.prepare(lease, batch(1, reject(1), reject(2), is_last=True))
    store.settle(lease, 1)
    store.change_rejects(RejectQuery(), APPROVED, among=[OPEN])
    first, second = store.rejects(RejectQuery())
    replay = store.begin(request("a (replay)"))
    failure = reject(None, stage="load", message="refused", code="sink", record='"new"')
    outcomes = [ReplayOutcome(reject=first.id), ReplayOutcome(reject=second.id, failure=failure)]
    store.prepare(replay, batch(1, replays=outcomes))
    states = store.rejects(RejectQuery())
    assert [(each.state, each.replays) for each in states] == [(REPLAYED, 1), (OPEN, 1)]
    assert (states[1].stage, states[1].message, states[1].code, states[1].record) == (
        "load",
        "refused",
        "sink",
        '"new"',
    )
    taken = store.begin(request("a (replay)"))
    store.settle(taken, 0)
    back = store.rejects(RejectQuery())
    assert [(each.state, each.replays, each.stage) for each in back] == [(APPROVED, 0, "map"), (APPROVED, 0, "map")]
    store.prepare(taken, batch(1, replays=outcomes))
    store.settle(taken, 1)
    assert [each.state for each in store.rejects(RejectQuery())] == [REPLAYED, OPEN]


def test_of_many_who_ask_at_once_one_gets_the_run(store_url: str) -> None:
    open_store(store_url).close()
    multiprocessing.get_context("forkserver").set_forkserver_preload(
        ["mainstem.store.postgres", "mainstem.store.sqlite"]
    )
    many = 50
    found = sorted(answers_at_once(many, begin_at_once, store_url))
    assert found == ["begun", *["refused"] * (many - 1)]


def test_eight_processes_make_and_use_one_store_at_once(store_url: str) -> None:
    found = answers_at_once(8, use, store_url, 5.0)
    assert [each for each in found if not isinstance(each, int)] == []
    store = open_store(store_url)
    assert store.count_rejects(RejectQuery()) == len(store.runs(status=RunStatus.COMPLETED)) == sum(found)
    assert len(kept(store)) == kept(store).count((1, OPEN, True)) == sum(found)
    store.close()


def _use_together(store: Store, number: int, failures: list[Exception]) -> None:
    try:
        for made in range(10):
            lease = store.begin(request(f"{number} {made}", owner=this_process()))
            store.prepare(lease, batch(1, reject(1)))
            store.renew(lease)
            store.runs(run_id=f"{number} {made}")
            store.settle(lease, 1)
    except Exception as error:
        failures.append(error)


def test_threads_may_share_a_store(store: Store) -> None:
    failures: list[Exception] = []
    threads = [Thread(target=_use_together, args=(store, number, failures)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert kept(store) == [(1, OPEN, True)] * 80
