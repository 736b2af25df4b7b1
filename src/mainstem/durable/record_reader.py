"""Finding one record of a source again, and reading those before it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from mainstem.context import PipelineContext
from mainstem.endpoints import CHUNK_SIZE, SourceStage
from mainstem.errors import TraceError, describe_error


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """A record of a source.

    Attributes:
        position: Its index in the source, those included that could not be read.
        index: Its index among those that could be read, which is the one in the stage after the source.
        record: The record, or what was there in its place.
        error: Why it could not be read; ``None`` if it could.
    """

    position: int
    index: int
    record: Any
    error: str | None = None

    @property
    def could_be_read(self) -> bool:
        return self.error is None


async def find_record(
    source: SourceStage[Any], name: str, position: int | None, where: Callable[[Any], bool] | None
) -> ReadRecord:
    """Return the record at a position, or the first for which ``where`` is true.

    Raises:
        TraceError: If there is none.
    """
    if position is not None and position < 0:
        raise TraceError(f"a position counts from 0, and was given as {position}")
    index = total = 0
    async with aclosing(_chunks(source, name)) as chunks:
        async for first, records, failed in chunks:
            total = first + len(records) + len(failed)
            for at in range(first, total):
                if at in failed:
                    if at == position:
                        record, error = failed[at]
                        return ReadRecord(at, index, record, error)
                    continue
                record = records[at - first - sum(each < at for each in failed)] if failed else records[at - first]
                if at == position or (where is not None and where(record)):
                    return ReadRecord(at, index, record)
                index += 1
    if position is not None:
        raise TraceError(f"source {name!r} has no record {position}: it has {total:,}, counted from 0")
    raise TraceError(f"source {name!r} has no such record among its {total:,}")


async def read_before(source: SourceStage[Any], name: str, found: ReadRecord) -> AsyncGenerator[Sequence[Any], None]:
    """Give the records before one that was found, chunk by chunk, without those that cannot be read."""
    left = found.index
    async with aclosing(_chunks(source, name)) as chunks:
        while left:
            _, records, _ = await anext(chunks)
            yield records[:left]
            left -= min(left, len(records))


async def _chunks(
    source: SourceStage[Any], name: str
) -> AsyncGenerator[tuple[int, Sequence[Any], dict[int, tuple[Any, str]]], None]:
    """Give where each chunk begins, its records, and by position those that could not be read, with the reason."""
    context = PipelineContext()
    context.current_stage = name
    first = 0
    async with aclosing(source.read(context, chunk_size=CHUNK_SIZE)) as chunks:
        async for chunk in chunks:
            failed = {
                each.index: (each.record, describe_error(each.error))
                for each in context.errors
                if each.index is not None
            }
            context.errors.clear()
            yield first, chunk.records, failed
            first += len(chunk.records) + chunk.records_failed
            context.chunk_start = first
