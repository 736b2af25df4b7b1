"""``LimitStage``: the first so many records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, ClassVar

from typing_extensions import TypeVar

from mainstem.context import PipelineContext
from mainstem.result import StageResult
from mainstem.stage import RecordsStage
from mainstem.stage_run import count_records
from mainstem.stateful import StageState, StatefulStage
from mainstem.take_all import iterate

T = TypeVar("T", default=Any)


class LimitStage(StatefulStage[T, T], RecordsStage[T, T]):
    """Pass the first ``count`` records, in order, and ask for no more.

    An engine that reads its input bit by bit stops reading it then. Only the records taken are counted; those that come
    all the same, at the end of a chunk, count as filtered.

    Args:
        count: How many records to pass; with 0 there are none.
        name: The stage's name in reports.

    Raises:
        ValueError: If ``count`` is no whole number from 0 up.

    Example:
        >>> from mainstem import Pipeline
        >>> Pipeline[list[int], list[int]]("first two").add_stage(LimitStage(2)).run([5, 6, 7]).data
        [5, 6]

    Source: SQL's ``LIMIT``, ReactiveX's ``take``.
    """

    expands = False
    ends_input: ClassVar[bool] = True
    waits = False

    def __init__(self, count: int, *, name: str | None = None) -> None:
        _check_limit(count)
        self._count = count
        if name is not None:
            self.name = name

    def begin(self) -> StageState[T, T]:
        return _LimitState(self._count)

    async def process(self, data: Iterable[T], context: PipelineContext) -> StageResult[list[T]]:
        if not self._count:
            # A result without counts would have all of the input counted as passed.
            unread = 0 if isinstance(data, Iterator) else count_records(data)
            return StageResult(data=[], records_processed=unread, records_filtered=unread)
        if isinstance(data, (list, tuple)):
            return await super().process(data, context)
        # The input may have no end, so it is not asked for more than is wanted.
        return await super().process(islice(iterate(data), self._count), context)


class _LimitState(StageState[T, T]):
    def __init__(self, count: int) -> None:
        self._remaining = self.wanted = count

    async def feed(self, records: Sequence[T], context: PipelineContext) -> StageResult[list[T]]:
        taken = list(records[: self._remaining])
        self.restore(self._remaining - len(taken))
        return StageResult(data=taken, records_processed=len(records), records_filtered=len(records) - len(taken))

    def snapshot(self) -> int:
        return self._remaining

    def restore(self, snapshot: int) -> None:
        self._remaining = self.wanted = snapshot


def _check_limit(count: object) -> None:
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise ValueError(f"count of a limit must be a whole number from 0 up, not {count!r}")
