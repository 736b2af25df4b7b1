"""Barriers: the marks between the batches of a durable run, on their way from the source to the sink.

A barrier goes through the stages like a chunk, and no part of the pipeline takes anything that comes after it before it
has handed it on. So what a stage has counted, kept and rejected when the barrier comes by is exactly what came before
it, and all of that together with the source's position is a state from which the run can go on.

Source: Chandy and Lamport's snapshots; Flink's aligned checkpoint barriers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from mainstem.context import StageError, StageProgress
from mainstem.endpoints import Position, SinkStage
from mainstem.engine.batch_load import BatchLoad
from mainstem.engine.stage_errors import StageErrors
from mainstem.stage_run import StageRun
from mainstem.stateful import GrowingState, StageState


class Barrier(list[Any]):
    """An empty chunk at which a batch ends.

    Args:
        position: Where in the source it stands.
        is_last: Whether the input ends here.

    Attributes:
        counts: What each stage it came by had counted, by name.
        snapshots: The states of those that keep one.
        changes: Those of which only what changed since the barrier before was taken.
        errors: What had gone wrong in them since the barrier before.
    """

    def __init__(self, position: Position | None, *, is_last: bool = False) -> None:
        super().__init__()
        self.position, self.is_last = position, is_last
        self.counts: dict[str, StageProgress] = {}
        self.snapshots: dict[str, Any] = {}
        self.changes: dict[str, Any] = {}
        self.errors: list[StageError] = []

    def pass_by(self, runs: Sequence[StageRun]) -> None:
        """Take down where these stages stand."""
        for run in runs:
            self.counts[run.name] = replace(run.progress)
            state: Any = run.state
            if isinstance(state, StageState):
                self._keep(run.name, state)  # pyright: ignore[reportUnknownArgumentType]
            errors: Any = run.context.errors
            if isinstance(errors, StageErrors):
                self.errors += errors.take()

    def _keep(self, name: str, state: StageState[Any, Any]) -> None:
        changes = changes_of(state)
        if changes is None:
            self.snapshots[name] = state.snapshot()
        else:
            self.changes[name] = changes


def changes_of(state: StageState[Any, Any]) -> Any:
    """Return what came to a state since it was last kept; ``None`` where it is to be kept whole."""
    return state.changes() if isinstance(state, GrowingState) else None


class Batches(Protocol):
    """What the engine asks of a durable run.

    Attributes:
        start: The source's position to read from; ``None`` for the beginning.
    """

    @property
    def start(self) -> Position | None: ...

    def restore(self, run: StageRun) -> None:
        """Give a stage that begins what it had at the last committed batch."""

    def load_into(self, sink: SinkStage[Any]) -> BatchLoad:
        """Return the sink's part in the run."""
        ...

    def end_batch(self, records: int, position: Position | None, *, wanted: bool = False) -> Barrier | None:
        """Return a barrier if the batch is to end here.

        Args:
            records: How many were read since the barrier before.
            position: Where the source is.
            wanted: Whether the source waits for its end.
        """
        ...

    def last_barrier(self, position: Position | None = None) -> Barrier:
        """Return the barrier for the end of the input.

        Args:
            position: Where the source is; ``None`` if nothing was read since the barrier before.
        """
        ...

    async def prepare(self, barrier: Barrier) -> None:
        """Put what belongs to a batch into the store, its rows being written and not committed.

        Raises:
            StoreError: If the store fails.
            LeaseLostError: If somebody else has taken the run.
        """

    def committed(self) -> None:
        """Take note that the batch is committed."""


def records_before(position: Position | None) -> int:
    """Return how many records of a given input, that of no source, lie before a position."""
    return 0 if position is None else int(position["record"])
