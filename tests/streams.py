"""What tests of streams share: sources and sinks that remember what was done to them, and a look at what is left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import trio

from mainstem import (
    BatchStage,
    Event,
    EventBus,
    EventType,
    FlattenStage,
    MapStage,
    PipelineContext,
    PipelineStage,
    PipelineStream,
    Position,
    SinkStage,
    SinkTransaction,
    SourceChunk,
    SourceStage,
    StageResult,
)

checkpoint = anyio.lowlevel.checkpoint


async def turns(number: int = 50) -> None:
    """Give all other tasks some turns."""
    for _ in range(number):
        await checkpoint()


async def later(record: Any) -> Any:
    """An async function that waits."""
    await checkpoint()
    return record


async def take(stream: PipelineStream[Any], chunks: list[Any] | None = None) -> list[Any]:
    """Take all chunks; ``chunks`` then holds those that came before an error."""
    chunks = [] if chunks is None else chunks
    async with stream:
        async for chunk in stream:
            chunks.append(chunk)
    return chunks


async def arriving(records: Any) -> AsyncGenerator[Any, None]:
    """An async generator that never waits."""
    for record in records:
        yield record


class Numbers(SourceStage[int]):
    """A source of the numbers from 0; with no ``stop``, an endless one."""

    def __init__(self, stop: int | None = None, *, error: BaseException | None = None) -> None:
        self._stop, self._error = stop, error
        self.opened = self.closed = 0
        self.chunks = 0
        """Chunks read, in all runs."""

    async def read(
        self, context: PipelineContext, *, start: Position | None = None, chunk_size: int = 1000
    ) -> AsyncGenerator[SourceChunk[int], None]:
        self.opened += 1
        try:
            for first in count(0, chunk_size) if self._stop is None else range(0, self._stop, chunk_size):
                await checkpoint()
                end = first + chunk_size if self._stop is None else min(first + chunk_size, self._stop)
                self.chunks += 1
                yield SourceChunk(list(range(first, end)), {"next": end})
            if self._error is not None:
                raise self._error
        finally:
            await checkpoint_shielded()
            self.closed += 1


async def checkpoint_shielded() -> None:
    with anyio.CancelScope(shield=True):
        await checkpoint()


class Collect(SinkStage[Any]):
    """A sink that keeps what it was given, and says how each of its loads ended."""

    target = "a list"

    def __init__(self, fail: dict[str, BaseException] | None = None, wait: Callable[[], Awaitable[Any]] = checkpoint):
        self.fail = fail or {}
        self.wait = wait
        self.begun = 0
        self.stored: list[Any] = []
        self.written: list[Any] = []
        self.ends: list[str] = []

    async def begin(self, context: PipelineContext) -> SinkTransaction[Any]:
        await checkpoint()
        self.raise_at("begin")
        self.begun += 1
        return _Collecting(self)

    def raise_at(self, step: str) -> None:
        if step in self.fail:
            raise self.fail[step]


class _Collecting(SinkTransaction[Any]):
    def __init__(self, sink: Collect) -> None:
        self._sink = sink
        self._written: list[Any] = []

    async def write(self, records: Sequence[Any]) -> int:
        await self._sink.wait()
        self._sink.raise_at("write")
        self._written += records
        self._sink.written += records
        return 0

    async def commit(self, position: Position | None = None) -> None:
        await checkpoint()
        self._sink.raise_at("commit")
        self._sink.stored += self._written
        self._sink.ends.append("committed")

    async def abort(self) -> None:
        await checkpoint()
        self._sink.ends.append("aborted")
        self._sink.raise_at("abort")


class Reversed(PipelineStage[Any, Any]):
    """A blocking stage of the user's own."""

    async def process(self, data: Any, context: PipelineContext) -> StageResult[Any]:
        records = list(data)
        return StageResult(data=records[::-1], records_processed=len(records))


def every_kind() -> list[PipelineStage[Any, Any]]:
    """One of each kind that a stream runs in its own way."""
    return [
        MapStage(str),
        MapStage(int),
        MapStage(later, concurrency=4, name="overlapping"),
        BatchStage(2),
        MapStage(later, name="in turn"),
        FlattenStage(),
    ]


class Heard:
    """A bus, and what it carried: that a run began, and with which status it ended."""

    def __init__(self) -> None:
        self.bus = EventBus()
        self.begun = 0
        self.statuses: list[str] = []
        self.bus.subscribe(EventType.ITEM_CREATED, self._begin)
        self.bus.subscribe(EventType.ITEM_UPDATED, self._end)

    def _begin(self, event: Event) -> None:
        self.begun += 1

    def _end(self, event: Event) -> None:
        self.statuses.append(event.data["status"])


def all_tasks() -> set[Any]:
    """Return the tasks of the event loop that runs here."""
    try:
        waiting = [trio.lowlevel.current_root_task()]
    except RuntimeError:
        return set(asyncio.all_tasks())
    found: set[Any] = set()
    while waiting:
        task = waiting.pop()
        found.add(task)
        waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found


@contextmanager
def nothing_left() -> Iterator[None]:
    """Check that there are no more tasks, threads and open files afterwards than before."""

    def alive() -> tuple[set[Any], int, int]:
        threads = [thread for thread in threading.enumerate() if not thread.name.startswith("Trio thread")]  # idle ones
        return all_tasks(), len(threads), len(list(Path("/dev/fd").iterdir()))

    tasks, threads, files = alive()
    yield
    tasks_now, threads_now, files_now = alive()
    assert tasks_now <= tasks
    assert threads_now <= threads, threading.enumerate()
    assert files_now <= files
