"""``BatchStage``: records into groups of a fixed size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typing_extensions import TypeVar

from mainstem.context import PipelineContext
from mainstem.options import check_count
from mainstem.result import StageResult
from mainstem.stage import GroupingStage
from mainstem.stateful import StageState, StatefulStage

T = TypeVar("T", default=Any)


class BatchStage(StatefulStage[T, list[T]], GroupingStage[T, T]):
    """Split the records into lists of ``size``, in order; the last may be shorter.

    ``FlattenStage`` is its inverse.

    Args:
        size: Records in a batch.
        name: The stage's name in reports.

    Raises:
        ValueError: If ``size`` is no positive whole number.

    Example:
        >>> from mainstem import Pipeline
        >>> Pipeline[list[int], list[list[int]]]("pairs").add_stage(BatchStage(2)).run([1, 2, 3]).data
        [[1, 2], [3]]
    """

    expands = False
    waits = False

    def __init__(self, size: int, *, name: str | None = None) -> None:
        check_count("size of a batch", size)
        self._size = size
        if name is not None:
            self.name = name

    def begin(self) -> StageState[T, list[T]]:
        return _BatchState(self._size)


class _BatchState(StageState[T, list[T]]):
    def __init__(self, size: int) -> None:
        self._size = size
        self._begun: list[T] = []
        """The records of the batch that is not full yet."""

    async def feed(self, records: Sequence[T], context: PipelineContext) -> StageResult[list[list[T]]]:
        waiting = [*self._begun, *records]
        full = len(waiting) // self._size * self._size
        batches = [waiting[at : at + self._size] for at in range(0, full, self._size)]
        self._begun = waiting[full:]
        return StageResult(data=batches, records_processed=len(records))

    async def finish(self, context: PipelineContext) -> StageResult[list[list[T]]]:
        return StageResult(data=[self._begun] if self._begun else [])

    def snapshot(self) -> list[T]:
        return list(self._begun)

    def restore(self, snapshot: list[T]) -> None:
        self._begun = list(snapshot)
