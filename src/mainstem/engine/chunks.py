"""Cutting the input of a run into chunks: lists, iterables, async iterables and sources.

Each reader is an async generator. It asks before each chunk how large it may be, so that no record is taken which
nobody wants, and lets other tasks have their turn.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import islice
from time import perf_counter
from typing import Any

import anyio

from mainstem.endpoints import Position
from mainstem.engine.background import end, raise_if_urgent, start_in_background
from mainstem.engine.closing import CLOSING_SECONDS, closing
from mainstem.errors import StageContractError, add_note_once
from mainstem.frame_data import frames_of, is_columnar, is_frame
from mainstem.stage_run import UNOBSERVED, StageRun
from mainstem.take_all import iterate

YIELD_EVERY = 0.01
"""Seconds of uninterrupted work after which other tasks get a turn, and a cancellation is noticed."""


class Reader:
    """Reads the input of a segment.

    Args:
        room: Says how many records the next chunk may hold, given how many are on their way already.

    Attributes:
        last: Whether the chunk given last is known to be the last one.
        error: What the input raised, after the records that came before it.
        spent_ms: Time that the input took to give its records.
        taken: How many records came out of it, once it is read to its end in chunks, if it is what the run was given.
        arriving: Whether they arrive by themselves, while others are worked on: those of an async iterable.
    """

    def __init__(self, room: Callable[[int], int]) -> None:
        self._room = room
        self.last = False
        self.error: Exception | None = None
        self.spent_ms = 0.0
        self.taken: int | None = None
        self.arriving = False

    def read(self, data: Any) -> AsyncGenerator[Sequence[Any], None]:
        """Give the records of ``data`` in chunks."""
        if isinstance(data, (list, tuple)):
            return self._read_sequence(data)  # pyright: ignore[reportUnknownArgumentType]
        if is_columnar(data):
            return self._read_frames(data)
        if is_async(data):
            self.arriving = True
            return self._read_async(data)
        return self._read_iterable(data)

    async def _read_sequence(self, data: Sequence[Any]) -> AsyncGenerator[Sequence[Any], None]:
        at = 0
        yielded = perf_counter()
        while at < len(data) and (size := self._room(0)):
            self.last = at + size >= len(data)
            yield data[at : at + size]
            at += size
            yielded = await _give_turn(yielded)

    async def _read_frames(self, data: Any) -> AsyncGenerator[Any, None]:
        taken = 0
        yielded = perf_counter()
        remaining = frames_of(data)
        while self.error is None and self._room(0):
            started = perf_counter()
            try:
                frame = next(remaining, None)
            except Exception as error:
                self._fail(error, taken)
                return
            self.spent_ms += (perf_counter() - started) * 1000
            if frame is None:
                return
            taken += frame.height
            yield frame
            yielded = await _give_turn(yielded)

    async def _read_iterable(self, data: Any) -> AsyncGenerator[Sequence[Any], None]:
        taken = 0
        yielded = perf_counter()
        try:
            remaining = iterate(data)
        except Exception as error:
            self.error = error
            return
        while self.error is None and (size := self._room(0)):
            chunk: list[Any] = []
            started = perf_counter()
            try:
                chunk.extend(islice(remaining, size))
            except Exception as error:
                self._fail(error, taken + len(chunk))
            self.spent_ms += (perf_counter() - started) * 1000
            taken += len(chunk)
            self.last = len(chunk) < size and self.error is None
            if chunk:
                yield chunk
            if len(chunk) < size:
                return
            yielded = await _give_turn(yielded)

    async def _read_async(self, data: AsyncIterable[Any]) -> AsyncGenerator[Sequence[Any], None]:
        """Give what has arrived by the time somebody asks for it: no record waits for others to fill its chunk."""
        taken = 0
        arrivals = _Arrivals(data, self._room)
        try:
            async with arrivals:
                while self._room(0):
                    chunk = await arrivals.take()
                    taken += len(chunk)
                    if not chunk:
                        break
                    yield chunk
        finally:
            self.spent_ms += arrivals.spent_ms
        if isinstance(arrivals.error, Exception):
            self._fail(arrivals.error, taken)
        elif arrivals.error is not None:
            raise arrivals.error

    def timed(self, data: Iterable[Any]) -> Iterator[Any]:
        """Give the records of ``data`` one by one, to who takes them all at once."""
        started = perf_counter()
        try:
            yield from iterate(data)
        finally:
            self.spent_ms += (perf_counter() - started) * 1000

    def _fail(self, error: Exception, taken: int) -> None:
        self.error = error
        add_note_once(error, f"raised by the input after {taken} records")


def is_async(data: object) -> bool:
    """Whether the records of ``data`` are to be waited for."""
    return hasattr(type(data), "__aiter__")


class _Arrivals(AbstractAsyncContextManager[Any]):
    """The records of an async iterable, taken as they come by a task of its own, and no more than one chunk ahead."""

    def __init__(self, data: AsyncIterable[Any], room: Callable[[int], int]) -> None:
        self._data = data
        self._room = room
        self._waiting: list[Any] = []
        self._on_their_way = 0
        """Records that were taken, and may not have been seen to yet."""
        self._changed = anyio.Event()
        self._taken = anyio.Event()
        self._scope = anyio.CancelScope()
        self._ended = anyio.Event()
        self._done = False
        self.error: BaseException | None = None
        self.spent_ms = 0.0
        """Time that the iterable took to give its records."""

    async def __aenter__(self) -> _Arrivals:
        start_in_background(self._collect, self._ended)
        return self

    async def __aexit__(self, *_: object) -> None:
        await end(self._scope, self._ended)
        raise_if_urgent(self.error)

    async def take(self) -> list[Any]:
        """Wait until there is a record, and take all there are; an empty list at the end."""
        self._on_their_way = 0
        self._taken.set()
        while not self._waiting and not self._done:
            self._changed = anyio.Event()
            await self._changed.wait()
        chunk, self._waiting = self._waiting, []
        self._on_their_way = len(chunk)
        self._taken.set()
        return chunk

    async def _collect(self) -> None:
        started = perf_counter()
        try:
            with self._scope:
                await self._collect_from(aiter(self._data))
        except anyio.get_cancelled_exc_class() as cancelled:
            self.error = cancelled
            raise
        except BaseException as error:
            self.error = error
        finally:
            self.spent_ms += (perf_counter() - started) * 1000
            self._done = True
            self._changed.set()

    async def _collect_from(self, iterator: AsyncIterator[Any]) -> None:
        try:
            while True:
                while len(self._waiting) >= self._room(self._on_their_way):
                    await self._wait_for_room()
                try:
                    record = await anext(iterator)
                except StopAsyncIteration:
                    return
                self._waiting.append(record)
                if len(self._waiting) == 1:
                    self._changed.set()
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                with anyio.move_on_after(CLOSING_SECONDS, shield=True):
                    await close()

    async def _wait_for_room(self) -> None:
        self._taken = anyio.Event()
        started = perf_counter()
        try:
            await self._taken.wait()
        finally:
            self.spent_ms -= (perf_counter() - started) * 1000  # it is not the iterable that is slow


async def read_source(
    source: StageRun, data: Any, room: Callable[[int], int], chunk_size: int, start: Position | None = None
) -> AsyncGenerator[Sequence[Any], None]:
    """Give the chunks of a source stage from a position on, and count them; ``source.position`` is where each ends.

    Raises:
        StageContractError: If ``data`` is given; a source takes none.
        Exception: What the source raised.
    """
    if data is not None:
        raise StageContractError(f"source {source.name!r} takes no input, and was given {type(data).__name__}")
    context, stage = source.context, source.stage
    where: dict[str, Any] = {} if start is None else {"start": start}
    read: Any = getattr(stage, "read")  # noqa: B009 - a SourceStage's
    reading = read(context, chunk_size=min(chunk_size, room(0)), **where)
    yielded = perf_counter()
    async with closing(reading) as chunks:
        while room(0):
            context.current_stage, context.chunk_start = source.name, source.progress.records_in
            started = perf_counter()
            observed = context.observed
            with UNOBSERVED if observed is None else observed.around_chunk((source.name,), None):
                chunk = await anext(chunks, None)
            spent = (perf_counter() - started) * 1000
            if chunk is None:
                source.account(0, 0, spent)
                break
            source.account(len(chunk.records), chunk.records_failed, spent)
            source.position, source.wants_commit = chunk.position, chunk.wants_commit
            source.progress.position = chunk.position
            records: Any = chunk.records
            # A turn before the chunk is handed over, not after it: a source that reads in a thread is to begin the
            # next read before whoever takes this chunk keeps the event loop busy with it.
            yielded = await _give_turn(yielded)
            yield records if type(records) is list or is_frame(records) else list(records)


async def _give_turn(yielded: float) -> float:
    """Give other tasks a turn if the last was some time ago; return when it was."""
    if perf_counter() - yielded < YIELD_EVERY:
        return yielded
    await anyio.sleep(0)
    return perf_counter()
