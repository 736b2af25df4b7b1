"""The batches of a durable run: when they end, what goes into the store with each, and where to go on after a crash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from anyio.to_thread import run_sync

from mainstem import clock
from mainstem.context import StageError, StageProgress
from mainstem.durable.options import LARGEST_BATCH, Durability
from mainstem.durable.states import encoded_snapshot, restore_state
from mainstem.endpoints import Claim, Guarantee, Position, SinkStage
from mainstem.engine.barrier import Barrier
from mainstem.engine.batch_load import BatchLoad
from mainstem.engine.stage_errors import StageErrors
from mainstem.errors import StoreError, describe_error
from mainstem.reject_limit import RejectLimit
from mainstem.resumed_progress import ResumedProgress
from mainstem.stage_run import StageRun
from mainstem.store.model import Checkpoint, Lease, NewReject, StageCounts
from mainstem.store.new_reject import new_rejects
from mainstem.store.store import Store

MOST_REJECTS = 10_000
"""Rejects after which a batch ends, for they are held in memory until it is committed."""

_COUNTED = [each.name for each in fields(StageCounts)]


class RunBatches:
    """The batches of one attempt at a run.

    Args:
        store: The store.
        lease: The right to work on the run.
        checkpoint: The last that was committed.
        durability: When batches end.
        claim: The name of the run in the target.
        reject_limit: How many records may be rejected.
        start: Where to begin, if there is no checkpoint.
        guarantee: What the run promises, if not what its sink does.

    Attributes:
        sequence: The number of the last batch that was committed.
    """

    def __init__(
        self,
        store: Store,
        lease: Lease,
        checkpoint: Checkpoint | None,
        durability: Durability,
        claim: Claim,
        reject_limit: RejectLimit | None = None,
        start: Position | None = None,
        guarantee: Guarantee | None = None,
    ) -> None:
        self._reject_limit, self._guarantee = reject_limit, guarantee
        self._store, self._lease, self._durability, self._claim = store, lease, durability, claim
        self._before = checkpoint
        self.sequence = 0 if checkpoint is None else checkpoint.sequence
        self._position = start if checkpoint is None else checkpoint.position
        self._prepared = self.sequence
        self._ended_at = clock.monotonic()
        self._runs: list[StageRun] = []
        self._on_their_way: list[Barrier] = []
        """Barriers whose batches are not committed yet."""

    @property
    def start(self) -> Position | None:
        return self._position

    def restore(self, run: StageRun) -> None:
        self._runs.append(run)
        before = self._before
        if before is None:
            return
        counts = before.counts.get(run.name)
        if counts is not None:
            run.progress = progress_of(counts)
        state: Any = run.state
        if state is None:  # the run is only to be ended
            return
        try:
            restore_state(state, [each for each in before.snapshots if each.stage == run.name])
        except Exception as error:
            raise StoreError(
                f"the state of stage {run.name!r} cannot be had again from {self._store.url}: {describe_error(error)}"
            ) from error

    def load_into(self, sink: SinkStage[Any]) -> BatchLoad:
        return BatchLoad(sink, self._claim, self.sequence, self._guarantee)

    def end_batch(self, records: int, position: Position | None, *, wanted: bool = False) -> Barrier | None:
        if not wanted and not self._is_due(records):
            return None
        self._ended_at = clock.monotonic()
        self._position = position
        return self._new_barrier(is_last=False)

    def _is_due(self, records: int) -> bool:
        wanted = self._durability.commit_records
        if wanted is not None:
            return records >= wanted
        if records >= LARGEST_BATCH or clock.monotonic() - self._ended_at >= self._durability.commit_seconds:
            return True
        return sum(len(run.context.errors) for run in self._runs) >= MOST_REJECTS

    def last_barrier(self, position: Position | None = None) -> Barrier:
        if position is not None:
            self._position = position
        return self._new_barrier(is_last=True)

    def _new_barrier(self, *, is_last: bool) -> Barrier:
        barrier = Barrier(self._position, is_last=is_last)
        self._on_their_way.append(barrier)
        return barrier

    async def prepare(self, barrier: Barrier) -> None:
        if barrier.is_last and self._reject_limit is not None and barrier.counts:
            self._reject_limit.check_end(barrier.counts[self._runs[0].name].records_in)
        await run_sync(self._prepare, barrier)

    def _prepare(self, barrier: Barrier) -> None:
        checkpoint = Checkpoint(
            sequence=self.sequence + 1,
            position=barrier.position,
            counts={name: counts_of(progress) for name, progress in barrier.counts.items()},
            snapshots=[
                *(encoded_snapshot(name, state) for name, state in barrier.snapshots.items()),
                *(encoded_snapshot(name, changes, is_change=True) for name, changes in barrier.changes.items()),
            ],
            rejects=rejects_of(barrier.errors),
            is_last=barrier.is_last,
        )
        self._store.prepare(self._lease, checkpoint)
        self._prepared = checkpoint.sequence

    def committed(self) -> None:
        self.sequence += 1
        self._on_their_way.pop(0)

    def settle(self) -> None:
        """Let the store know that the last batch is committed; where another is prepared, only the target knows."""
        if self._prepared == self.sequence:
            self._store.settle(self._lease, self.sequence)

    def unsettled(self) -> list[NewReject]:
        """Return the rejects that belong to no committed batch."""
        errors = [entry for barrier in self._on_their_way for entry in barrier.errors]
        for run in self._runs:
            if isinstance(run.context.errors, StageErrors):
                errors += run.context.errors.take()
        return rejects_of(errors)


def rejects_of(errors: Sequence[StageError]) -> list[NewReject]:
    """Return those of the errors that are rejected records, as the store keeps them."""
    return new_rejects([entry for entry in errors if entry.index is not None or entry.record is not None])


def counts_of(progress: StageProgress) -> StageCounts:
    """Return the counts as the store keeps them."""
    return StageCounts(**{name: getattr(progress, name) for name in _COUNTED})


def progress_of(counts: StageCounts) -> StageProgress:
    """Return the counts as a run goes on with them."""
    return ResumedProgress(**asdict(counts), earlier=StageProgress(**asdict(counts)))
