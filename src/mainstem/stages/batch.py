"""``BatchStage``: records into groups of a fixed size."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter
from typing import Any

from typing_extensions import TypeVar

from mainstem.context import PipelineContext
from mainstem.options import check_count
from mainstem.result import StageResult
from mainstem.stage import GroupingStage, StageKind
from mainstem.stages.take_all import take_all

T = TypeVar("T", default=Any)


class BatchStage(GroupingStage[T, T]):
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

    kind = StageKind.STATEFUL

    def __init__(self, size: int, *, name: str | None = None) -> None:
        check_count("size of a batch", size)
        self._size = size
        if name is not None:
            self.name = name

    async def process(self, data: Iterable[T], context: PipelineContext) -> StageResult[list[list[T]]]:
        started = perf_counter()
        records, error = take_all(data)
        if error is not None:
            return StageResult.failure(error, records_processed=len(records))
        batches = [list(records[at : at + self._size]) for at in range(0, len(records), self._size)]
        return StageResult(data=batches, duration_ms=(perf_counter() - started) * 1000, records_processed=len(records))
