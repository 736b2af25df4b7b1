"""The first records of a source, and no more: what a preview reads in the place of all of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import anyio

from mainstem.context import PipelineContext
from mainstem.endpoints import CHUNK_SIZE, Position, SourceChunk, SourceStage


class FirstRecords(SourceStage[Any, Any]):
    """Reads the first records of another source, from where a new run would begin.

    It is never told what is committed, so a source that acknowledges lets go of nothing; what it holds is let go of
    when the read ends, and comes again.

    Args:
        source: The other source.
        count: How many records to read, those that cannot be read included.
        previous: Where the last completed run ended, if that is known.
        patience: Seconds to wait for the next record of a source that may have no end.

    Attributes:
        read_records: How many records it has read.
        note: Why it has read fewer than there are; empty if it has not.
    """

    def __init__(self, source: SourceStage[Any, Any], count: int, previous: Position | None, patience: float) -> None:
        self._source, self._count, self._previous, self._patience = source, count, previous, patience
        self.read_records = 0
        self.note = ""
        self.name, self.waits, self.expands = source.name, source.waits, source.expands
        self.made_at = source.made_at

    def output_hint(self, given: Any) -> Any:
        return self._source.output_hint(given)

    async def read(
        self, context: PipelineContext, *, start: Position | None = None, chunk_size: int = CHUNK_SIZE
    ) -> AsyncGenerator[SourceChunk[Any], None]:
        source = self._source
        begin = source.start_after(self._previous)
        chunks = source.read(context, start=begin, chunk_size=max(1, min(chunk_size, self._count)))
        try:
            async with aclosing(chunks):
                while self.read_records < self._count:
                    chunk = await self._next(chunks)
                    if chunk is None:
                        return
                    left = self._count - self.read_records
                    records = chunk.records[:left]
                    self.read_records += min(left, len(chunk.records) + chunk.records_failed)
                    yield SourceChunk(records, chunk.position, chunk.records_failed)
                    if chunk.wants_commit and self.read_records < self._count:
                        self.note = "it gives no more before what it gave is committed, which a preview never does"
                        return
        finally:
            if source.acknowledges:
                with anyio.CancelScope(shield=True):
                    await source.release(context)

    async def _next(self, chunks: AsyncGenerator[SourceChunk[Any], None]) -> SourceChunk[Any] | None:
        """Return the next chunk that holds something; ``None`` at the end, or if none comes in time."""
        # Only of a source that waits for what others send: any other comes to its end, and may be slow on the way.
        with anyio.move_on_after(self._patience if self._source.acknowledges else None):
            async for chunk in chunks:
                if len(chunk.records) or chunk.records_failed or chunk.wants_commit:
                    return chunk
            return None
        self.note = f"no more records came within {self._patience:g} s"
        return None
