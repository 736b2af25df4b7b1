"""What becomes of rejects when batches are put aside, come up again, or end in the middle of a place."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.store.records import batch, kept, reject, request

from mainstem.errors import StoreError
from mainstem.store.model import RejectQuery, RejectRecord, RejectState, ReplayOutcome, RunStatus
from mainstem.store.open import open_store
from mainstem.store.store import Store

OPEN, EDITED, APPROVED, DISCARDED = (
    RejectState.OPEN,
    RejectState.EDITED,
    RejectState.APPROVED,
    RejectState.DISCARDED,
)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = open_store(store_url)
    yield opened
    opened.close()


def messages(store: Store) -> list[str]:
    return [each.message for each in store.rejects(RejectQuery())]


@pytest.mark.parametrize("index", [9, None])
def test_a_place_may_give_rejects_in_one_batch_and_in_the_next(store: Store, index: int | None) -> None:
    lease = store.begin(request())
    store.prepare(lease, batch(1, reject(index, message="one")))
    store.prepare(lease, batch(2, reject(index, message="two"), reject(index, message="three")))
    store.settle(lease, 2)
    assert messages(store) == ["one", "two", "three"]
    store.finish(lease, RunStatus.FAILED, unsettled=[reject(index, message="four")])
    assert messages(store) == ["one", "two", "three", "four"]


@pytest.mark.parametrize("index", [9, None])
def test_such_a_reject_that_comes_up_again_keeps_what_was_made_of_it(store: Store, index: int | None) -> None:
    lease = store.begin(request())
    store.prepare(lease, batch(1, reject(index)))
    store.prepare(lease, batch(2, reject(index), records=9))
    taken = store.begin(request())
    store.settle(taken, 1)
    last = store.rejects(RejectQuery())[-1]
    store.change_rejects(RejectQuery(ids=[last.id]), DISCARDED, among=[OPEN])
    store.prepare(taken, batch(2, reject(index, message="again")))
    store.settle(taken, 2)
    assert kept(store) == [(index, OPEN, True), (index, DISCARDED, True)]
    assert messages(store) == [f"no {index}", "again"]


def test_many_rejects_come_back_in_order(store: Store) -> None:
    lease = store.begin(request())
    store.prepare(lease, batch(1, *(reject(index) for index in range(1000)), records=1000))
    assert [each.index for each in store.rejects(RejectQuery())] == list(range(1000))
    assert store.count_rejects(RejectQuery(ids=range(100_000))) == 1000


def test_a_batch_that_is_known_to_be_committed_cannot_be_prepared_again(store: Store) -> None:
    lease = store.begin(request())
    store.prepare(lease, batch(1, reject(1)))
    store.settle(lease, 1)
    with pytest.raises(StoreError, match="does not follow batch 1, which is committed"):
        store.prepare(lease, batch(1))
    assert kept(store) == [(1, OPEN, True)]


def settled(store: Store, count: int) -> list[RejectRecord]:
    """Rejects of a run that has completed, approved."""
    lease = store.begin(request())
    store.prepare(lease, batch(1, *(reject(index) for index in range(count)), is_last=True))
    store.settle(lease, 1)
    store.finish(lease, RunStatus.COMPLETED)
    store.change_rejects(RejectQuery(), APPROVED, among=[OPEN], by="Ada")
    return store.rejects(RejectQuery())


def test_a_replay_that_is_put_aside_leaves_no_trace(store: Store) -> None:
    before = settled(store, 2)
    replay = store.begin(request("replay"))
    outcomes = [ReplayOutcome(reject=before[0].id), ReplayOutcome(reject=before[1].id, failure=reject(0, "load"))]
    store.prepare(replay, batch(1, replays=outcomes))
    store.prepare(replay, batch(1, replays=outcomes))
    assert [each.replays for each in store.rejects(RejectQuery())] == [1, 1]
    store.settle(replay, 0)
    assert store.rejects(RejectQuery()) == before


def test_what_is_being_replayed_is_not_settled_and_no_other_run_can_replay_it(store: Store) -> None:
    (before,) = settled(store, 1)
    first, second = store.begin(request("first")), store.begin(request("second"))
    outcome = [ReplayOutcome(reject=before.id, failure=reject(0, "load"))]
    store.prepare(first, batch(1, replays=outcome))
    assert kept(store) == [(0, OPEN, False)]
    with pytest.raises(StoreError, match="is being replayed by run 'first': resume that first"):
        store.prepare(second, batch(1, replays=outcome))
    with pytest.raises(StoreError, match="is being replayed"):
        store.prepare(first, batch(1, replays=[*outcome, *outcome]))
    store.settle(first, 1)
    assert kept(store) == [(0, OPEN, True)]
    store.prepare(second, batch(1, replays=outcome))
    store.settle(second, 1)
    assert store.rejects(RejectQuery())[0].replays == 2


def test_what_somebody_makes_of_a_reject_while_it_is_being_replayed_stays(store: Store) -> None:
    (before,) = settled(store, 1)
    replay = store.begin(request("replay"))
    store.prepare(replay, batch(1, replays=[ReplayOutcome(reject=before.id, failure=reject(0, "load"))]))
    store.change_rejects(RejectQuery(), EDITED, among=[OPEN], edited='"mended"', by="Bob")
    store.settle(replay, 0)
    (after,) = store.rejects(RejectQuery())
    assert (after.state, after.edited, after.changed_by, after.stage) == (EDITED, '"mended"', "Bob", "load")
    assert after.is_settled


def test_runs_are_listed_with_the_counts_and_rejects_of_each(store: Store) -> None:
    for number in range(1, 4):
        lease = store.begin(request(f"run {number}"))
        store.prepare(lease, batch(1, *(reject(index) for index in range(number)), records=number))
        if number > 1:
            store.prepare(lease, batch(2, records=10 + number))
    found = {run.run_id: (run.counts["map"].records_in, run.rejects, run.committed) for run in store.runs()}
    assert found == {"run 1": (1, {OPEN: 1}, 0), "run 2": (12, {OPEN: 2}, 1), "run 3": (13, {OPEN: 3}, 1)}
    assert [run.rejects for run in store.runs(limit=1)] == [{OPEN: 3}]


def test_a_stage_with_another_name_is_told_from_a_new_one(store: Store) -> None:
    store.begin(request())
    renamed = [{"name": "read", "class": "Csv", "size": 1}, {"name": "write", "class": "Table"}]
    with pytest.raises(Exception, match="stage 2 is named 'write'; it was 'load'") as caught:
        store.begin(request(shape=renamed))
    assert "is gone" not in str(caught.value)
