"""Random histories of a run, killed anywhere, beside a model in plain Python: no reject is lost or doubled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.store.records import batch, reject, request

from mainstem.errors import LeaseLostError
from mainstem.store.model import Lease, NewReject, RejectQuery, RejectState, ReplayOutcome, RunStatus, StageSnapshot
from mainstem.store.open import open_store
from mainstem.store.store import Store

AT_WORK = [RejectState.OPEN, RejectState.EDITED, RejectState.APPROVED, RejectState.DISCARDED]


@dataclass
class Kept:
    """What the model has of a reject."""

    message: str
    batch: int | None
    state: RejectState = RejectState.OPEN
    edited: str | None = None
    replays: int = 0
    id: int | None = None


@dataclass
class Batch:
    """A batch as it was prepared last."""

    end: int
    messages: list[str] = field(default_factory=lambda: list[str]())


class Histories(RuleBasedStateMachine):
    """One run, and the replays of its rejects."""

    def __init__(self, store: Store, name: str) -> None:
        super().__init__()
        self.store, self.name = store, name
        self.texts = count()
        self.lease: Lease | None = None
        self.lost: list[Lease] = []
        self.target = 0  # the last batch that the target has
        self.known = 0  # the last that the store knows to be committed
        self.batches: dict[int, Batch] = {0: Batch(0)}
        self.rejects: dict[tuple[int, int], Kept] = {}
        self.replayed_runs = 0

    @initialize()
    def begin(self) -> None:
        self.resume()

    @rule()
    def resume(self) -> None:
        """The process was killed, at any step; another asks the target and goes on."""
        if self.lease is not None:
            self.lost.append(self.lease)
        self.lease = self.store.begin(request(self.name))
        assert self.lease.epoch == len(self.lost) + 1
        self.settle()

    @rule()
    def settle(self) -> None:
        assert self.lease is not None
        checkpoint = self.store.settle(self.lease, self.target)
        if self.target:
            assert checkpoint is not None
            position = {"end": self.batches[self.target].end}
            snapshots = [
                StageSnapshot(stage="map", payload=f"[{number}]", is_change=number % 3 != 1)
                for number in range(self.target - (self.target - 1) % 3, self.target + 1)
            ]
            assert (checkpoint.sequence, checkpoint.position) == (self.target, position)
            assert list(checkpoint.snapshots) == snapshots
        self.put_aside(after=self.target)
        self.known = self.target

    def put_aside(self, after: int) -> None:
        for number in [each for each in self.batches if each > after]:
            del self.batches[number]
        for kept in self.rejects.values():
            if kept.batch is not None and kept.batch > after:
                kept.batch = None

    @rule(
        length=st.integers(0, 4),
        places=st.lists(st.integers(-1, 4), max_size=5),
        commits=st.booleans(),
    )
    def load(self, length: int, places: list[int], commits: bool) -> None:
        """A batch is prepared, for the first time or anew; the target has it, or has not."""
        assert self.lease is not None
        number = self.target + 1
        start = self.batches[self.target].end
        end = start + length
        new = self.new_rejects(sorted({max(0, min(start + place, end)) for place in places} | set()), places)
        snapshot = StageSnapshot(stage="map", payload=f"[{number}]", is_change=number % 3 != 1)
        checkpoint = batch(number, *new, records=end, position={"end": end}, snapshots=[snapshot])
        self.store.prepare(self.lease, checkpoint)
        self.put_aside(after=self.target)
        self.known = self.target
        self.batches[number] = Batch(end, [each.message for each in new])
        self.add(new, number)
        for key, kept in list(self.rejects.items()):
            if kept.batch is None and key[0] < end:
                del self.rejects[key]
        if commits:
            self.target = number

    def new_rejects(self, indexes: list[int], places: list[int]) -> list[NewReject]:
        return [
            reject(index, message=f"{index} {next(self.texts)}")
            for index in indexes
            for _ in range(1 + places.count(index % 3))
        ]

    def add(self, new: list[NewReject], number: int | None) -> None:
        # One whose replay failed is the replay's from then on, and has no place among those of its record.
        settled = [key for key, kept in self.rejects.items() if kept.batch is not None and key[1] >= 0]
        seen: dict[int, int] = {}
        for each in new:
            assert each.index is not None
            first = max([order + 1 for index, order in settled if index == each.index], default=0)
            order = first + seen.get(each.index, 0)
            seen[each.index] = seen.get(each.index, 0) + 1
            key = each.index, order
            if key not in self.rejects:
                self.rejects[key] = Kept(each.message, number)
            elif number is not None:
                self.rejects[key].message, self.rejects[key].batch = each.message, number

    @rule(
        beyond=st.lists(st.integers(0, 3), max_size=3), status=st.sampled_from([RunStatus.FAILED, RunStatus.CANCELLED])
    )
    def finish(self, beyond: list[int], status: RunStatus) -> None:
        assert self.lease is not None
        self.settle()
        new = self.new_rejects(sorted({self.batches[self.target].end + each for each in beyond}), beyond)
        self.store.finish(self.lease, status, unsettled=new)
        self.add(new, None)
        self.resume()

    @precondition(lambda self: self.lost)
    @rule(data=st.data())
    def somebody_who_has_lost_the_run_goes_on(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.lost))
        calls: list[Callable[[], Any]] = [
            lambda: self.store.renew(lease),
            lambda: self.store.settle(lease, self.target),
            lambda: self.store.prepare(lease, batch(self.target + 1, reject(0))),
            lambda: self.store.finish(lease, RunStatus.COMPLETED, unsettled=[reject(0)]),
        ]
        with pytest.raises(LeaseLostError):
            data.draw(st.sampled_from(calls))()

    @precondition(lambda self: self.rejects)
    @rule(data=st.data(), state=st.sampled_from(AT_WORK), edited=st.none() | st.sampled_from(['"x"', '"y"']))
    def change(self, data: st.DataObject, state: RejectState, edited: str | None) -> None:
        kept = self.rejects[data.draw(st.sampled_from(sorted(self.rejects)))]
        changed = self.store.change_rejects(RejectQuery(ids=[self.id_of(kept)]), state, among=AT_WORK, edited=edited)
        assert changed == (kept.state in AT_WORK)
        if changed:
            kept.state, kept.edited = state, edited or kept.edited

    @precondition(lambda self: any(self.can_be_replayed(kept) for kept in self.rejects.values()))
    @rule(data=st.data(), fails=st.booleans(), commits=st.booleans())
    def replay(self, data: st.DataObject, fails: bool, commits: bool) -> None:
        """A reject is replayed by a run of its own, which is killed before or after the target has the batch."""
        key = data.draw(
            st.sampled_from(sorted(key for key, kept in self.rejects.items() if self.can_be_replayed(kept)))
        )
        kept = self.rejects[key]
        failure = reject(key[0], message=f"{key[0]} {next(self.texts)}") if fails else None
        self.replayed_runs += 1
        run = request(f"{self.name} replay {self.replayed_runs}")
        outcome = ReplayOutcome(reject=self.id_of(kept), failure=failure)
        self.store.prepare(self.store.begin(run), batch(1, replays=[outcome], is_last=True))
        self.store.settle(self.store.begin(run), int(commits))
        if not commits:
            return
        kept.replays += 1
        if failure is None:
            kept.state = RejectState.REPLAYED
        else:
            kept.state, kept.edited, kept.message = RejectState.OPEN, None, failure.message
            self.rejects[key[0], -self.id_of(kept)] = self.rejects.pop(key)
            batch_of = self.batches[kept.batch or 0]
            batch_of.messages = [each for each in batch_of.messages if not each.startswith(f"{key[0]} ")]

    def can_be_replayed(self, kept: Kept) -> bool:
        return kept.batch is not None and kept.batch <= self.known and kept.state is not RejectState.REPLAYED

    def id_of(self, kept: Kept) -> int:
        assert kept.id is not None
        return kept.id

    @invariant()
    def the_store_has_what_the_model_has(self) -> None:
        found = {each.message: each for each in self.store.rejects(RejectQuery(run_id=self.name))}
        expected = {kept.message: kept for kept in self.rejects.values()}
        assert set(found) == set(expected)
        for message, kept in expected.items():
            there = found[message]
            is_settled = kept.batch is not None and kept.batch <= self.known
            assert kept.id in (None, there.id)
            kept.id = there.id
            assert (there.state, there.edited, there.replays, there.is_settled) == (
                kept.state,
                kept.edited,
                kept.replays,
                is_settled,
            )

    @invariant()
    def what_is_settled_is_what_came_with_the_committed_batches(self) -> None:
        settled = [each.message for each in self.store.rejects(RejectQuery(run_id=self.name)) if each.is_settled]
        replayed = {kept.message for key, kept in self.rejects.items() if key[1] < 0}
        expected = [
            message for number, each in self.batches.items() if number <= self.known for message in each.messages
        ]
        assert set(expected) <= set(settled)
        assert len(settled) == len(set(settled))
        assert set(settled) - replayed >= set(expected) - replayed


@pytest.mark.timeout(180)
def test_random_histories_of_a_run(store_url: str) -> None:
    store = open_store(store_url)
    names = (f"history {number}" for number in count())
    try:
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            lambda: Histories(store, next(names)),  # pyright: ignore[reportArgumentType]  # any callable will do
            settings=settings(
                max_examples=60 if store_url.startswith("sqlite") else 15,
                stateful_step_count=30,
                deadline=None,
                print_blob=True,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
    finally:
        store.close()
