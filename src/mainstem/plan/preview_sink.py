"""The sinks of a preview: each takes the place of a real one, writes nothing, and says what that would have written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mainstem.connect.table_diff import SAMPLES, TableChanges
from mainstem.connect.table_sink import TableDiffTransaction
from mainstem.context import PipelineContext
from mainstem.endpoints import Position, SinkStage, SinkTransaction
from mainstem.frame_data import is_frame
from mainstem.plan.kinds import is_table_sink


class PreviewSink(SinkStage[Any]):
    """Stands in for a sink.

    Args:
        sink: The real one, which is asked what a load would do, and never to do it.
        path: Its name as reports show it.

    Attributes:
        path: That name.
        changes: What would be done to the table; ``None`` of what is no table that can be compared.
        taken: How many records it was given.
        rejected: How many of them the target would not take.
        first: The first records that it was given.
    """

    def __init__(self, sink: SinkStage[Any], path: str) -> None:
        self._sink = sink
        self.path = path
        self.name, self.waits, self.expands, self.kind = sink.name, sink.waits, sink.expands, sink.kind
        self.made_at = sink.made_at
        self.changes: TableChanges | None = None
        self.taken = self.rejected = 0
        self.first: list[Any] = []

    def _hints(self) -> tuple[Any, Any]:
        hint = self._sink.input_hint
        return hint, self._sink.output_hint(hint)

    @property
    def target(self) -> str:
        return self._sink.target

    @property
    def replaces(self) -> bool:
        return self._sink.replaces

    async def begin(self, context: PipelineContext) -> SinkTransaction[Any]:
        diff = await self._sink.begin_diff(context) if is_table_sink(self._sink) else None
        self.changes = None if diff is None else diff.changes
        return _PreviewTransaction(self, diff)

    def take(self, records: Sequence[Any], rejected: int) -> None:
        """Count records that were given."""
        self.taken += len(records)
        self.rejected += rejected
        left = SAMPLES - len(self.first)
        if left > 0:
            some: Any = records[:left]
            self.first += some.to_dicts() if is_frame(some) else some


class _PreviewTransaction(SinkTransaction[Any]):
    def __init__(self, preview: PreviewSink, diff: TableDiffTransaction[Any] | None) -> None:
        self._preview, self._diff = preview, diff

    async def write(self, records: Sequence[Any]) -> int:
        rejected = 0 if self._diff is None else await self._diff.write(records)
        self._preview.take(records, rejected)
        return rejected

    async def commit(self, position: Position | None = None) -> None:
        """End the comparison: nothing was written."""
        if self._diff is not None:
            await self._diff.commit()

    async def abort(self) -> None:
        if self._diff is not None:
            await self._diff.abort()
