"""What stores promise of replays, in SQLite and in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.store.records import batch, reject, request

from mainstem.errors import RejectError, RunActiveError, RunCompletedError
from mainstem.store.model import RejectQuery, RejectRecord, RejectState, ReplayOutcome, RunStatus, StageSnapshot
from mainstem.store.open import open_store
from mainstem.store.owner import this_process
from mainstem.store.store import Store

APPROVED, DISCARDED, OPEN = RejectState.APPROVED, RejectState.DISCARDED, RejectState.OPEN


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = open_store(store_url)
    yield opened
    opened.close()


def test_the_last_checkpoint_is_that_of_the_last_batch_known_to_be_committed(store: Store) -> None:
    lease = store.begin(request())
    assert store.last_checkpoint(lease.run) is None
    snapshots = [StageSnapshot(stage="once", payload='["x"]')]
    store.prepare(lease, batch(1, snapshots=snapshots))
    assert store.last_checkpoint(lease.run) is None
    store.prepare(lease, batch(2, snapshots=[StageSnapshot(stage="once", payload='["y"]', is_change=True)]))
    assert store.last_checkpoint(lease.run) == batch(1, snapshots=snapshots)
    store.settle(lease, 2)
    store.finish(lease, RunStatus.COMPLETED)
    last = store.last_checkpoint(lease.run)
    assert last is not None
    assert [(each.payload, each.is_change) for each in last.snapshots] == [('["x"]', False), ('["y"]', True)]
    assert store.last_checkpoint(lease.run + 1) is None


def test_a_run_that_has_completed_is_gone_on_with_only_by_who_says_again(store: Store) -> None:
    lease = store.begin(request())
    store.prepare(lease, batch(1))
    store.settle(lease, 1)
    store.finish(lease, RunStatus.COMPLETED)
    with pytest.raises(RunCompletedError):
        store.begin(request())
    taken = store.begin(request(again=True, owner=this_process()))
    assert (taken.epoch, taken.committed) == (2, 1)
    assert store.runs()[0].status is RunStatus.RUNNING
    with pytest.raises(RunActiveError):
        store.begin(request(again=True))


def approved(store: Store) -> RejectRecord:
    lease = store.begin(request())
    store.prepare(lease, batch(1, reject(1)))
    store.settle(lease, 1)
    store.change_rejects(RejectQuery(), APPROVED, among=[OPEN])
    (found,) = store.rejects(RejectQuery())
    return found


@pytest.mark.parametrize(("state", "edited"), [(DISCARDED, None), (APPROVED, '"other"'), (OPEN, None)])
def test_a_reject_that_was_changed_while_it_was_replayed_is_not_taken_for_replayed(
    state: RejectState, edited: str | None, store: Store
) -> None:
    seen = approved(store)
    replay = store.begin(request("a (replay)"))
    store.change_rejects(RejectQuery(ids=[seen.id]), state, among=[APPROVED], edited=edited)
    with pytest.raises(RejectError, match=f"reject {seen.id} was changed by somebody else") as raised:
        store.prepare(replay, batch(1, replays=[ReplayOutcome(reject=seen.id, replayed=seen)]))
    assert raised.value.reject == seen.id
    (found,) = store.rejects(RejectQuery())
    assert (found.state, found.edited, found.replays) == (state, edited, 0)
    store.prepare(replay, batch(1))  # nothing of the refused batch is left


def test_a_reject_is_what_it_was_when_its_batch_is_prepared_again(store: Store) -> None:
    seen = approved(store)
    replay = store.begin(request("a (replay)"))
    for _ in range(2):
        store.prepare(replay, batch(1, replays=[ReplayOutcome(reject=seen.id, replayed=seen)]))
    (found,) = store.rejects(RejectQuery())
    assert (found.state, found.replays) == (RejectState.REPLAYED, 1)
