"""``FlattenStage``: groups back into records."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter
from typing import Any

from typing_extensions import TypeVar

from mainstem.context import PipelineContext
from mainstem.errors import add_note_once
from mainstem.result import StageResult
from mainstem.stage import StageKind, UngroupingStage
from mainstem.take_all import take_all

T = TypeVar("T", default=Any)


class FlattenStage(UngroupingStage[T, T]):
    """Put the records of all groups into one list, in order: the inverse of ``BatchStage``.

    One level is flattened. Each group may be any iterable; one that is none fails the stage, as does one that raises.

    Args:
        name: The stage's name in reports.

    Example:
        >>> from mainstem import Pipeline
        >>> Pipeline[list[list[int]], list[int]]("flat").add_stage(FlattenStage()).run([[1, 2], [3]]).data
        [1, 2, 3]
    """

    kind = StageKind.ELEMENTWISE
    waits = False

    def __init__(self, *, name: str | None = None) -> None:
        if name is not None:
            self.name = name

    async def process(self, data: Iterable[Iterable[T]], context: PipelineContext) -> StageResult[list[T]]:
        started = perf_counter()
        groups, error = take_all(data)
        output: list[T] = []
        for at, group in enumerate(groups):
            try:
                output.extend(group)
            except Exception as raised:
                context.record_error(raised, stage=context.current_stage or self.name, record=group, index=at)
                add_note_once(raised, f"at record {context.chunk_start + at}, which holds no records that can be taken")
                return StageResult.failure(raised, records_processed=at, records_failed=1)
        if error is not None:
            return StageResult.failure(error, records_processed=len(groups))
        return StageResult(data=output, duration_ms=(perf_counter() - started) * 1000, records_processed=len(groups))
