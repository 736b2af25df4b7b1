"""A stream, or a load in memory, can be cancelled at any moment, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import anyio
import pytest

from mainstem import MapStage, StreamClosedError
from runs import pipeline_of
from streams import Collect, Heard, Numbers, every_kind, later, nothing_left, take, turns

pytestmark = pytest.mark.anyio


class Driven:
    """A run that is cancelled after so many turns of the event loop."""

    def __init__(self) -> None:
        self.heard, self.source, self.sink = Heard(), Numbers(20), Collect()
        self.pipeline = pipeline_of(self.source, *every_kind(), self.sink, event_bus=self.heard.bus)
        self.stream = self.pipeline.stream(chunk_size=3)
        self.done = False

    async def run(self, way: str) -> None:
        if way == "execute":
            await self.pipeline.execute(None)
        else:
            await take(self.stream)
        self.done = True

    def check(self, way: str) -> None:
        assert self.source.opened == self.source.closed
        assert len(self.sink.ends) == self.sink.begun
        assert self.heard.begun == len(self.heard.statuses)
        stored = list(range(20)) if self.done else []
        assert self.done or self.sink.stored == [] or self.sink.ends == ["committed"]
        assert not self.done or self.sink.stored == stored
        assert set(self.heard.statuses) <= ({"completed"} if self.done else {"cancelled", "completed"})
        if way == "stream" and self.heard.statuses == ["cancelled"]:
            assert isinstance(self.stream.result.error, StreamClosedError)


@pytest.mark.parametrize("way", ["stream", "execute"])
async def test_a_run_can_be_cancelled_at_any_moment(way: str) -> None:
    cancelled = 0
    for moment in range(1000):
        driven = Driven()
        with nothing_left():
            async with anyio.create_task_group() as group:
                group.start_soon(driven.run, way)
                await turns(moment)
                group.cancel_scope.cancel()
        driven.check(way)
        cancelled += not driven.done
        if driven.done:
            break
    assert driven.done
    assert cancelled > 30


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("way", ["stream", "execute"])
async def test_a_task_of_asyncios_own_can_be_cancelled_at_any_moment(way: str, anyio_backend: str) -> None:
    for moment in range(1000):
        driven = Driven()
        with nothing_left():
            task = asyncio.create_task(driven.run(way))
            await turns(moment)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        driven.check(way)
        if driven.done:
            break
    assert driven.done
    assert moment > 30


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("data", [None, "async"], ids=["source", "async input"])
@pytest.mark.filterwarnings("ignore:coroutine 'CallWindow:RuntimeWarning")  # which anyio had not begun to await
def test_the_event_loop_can_end_at_any_moment(data: Any, anyio_backend: str) -> None:
    """It cancels all tasks at once: those of the stream beside the one that takes it, even before they begin."""

    async def main(moment: int) -> None:
        async def numbers() -> AsyncGenerator[int, None]:
            for number in range(20):
                yield number

        source = [Numbers(20)] if data is None else []
        stream = pipeline_of(*source, *every_kind()).stream(None if source else numbers(), chunk_size=3)
        running.append(asyncio.create_task(take(stream)))
        await turns(moment)

    running: list[Any] = []
    for moment in range(60):
        asyncio.run(main(moment))
    assert all(task.done() for task in running)


async def test_a_deadline_of_the_consumer_ends_a_stream_that_waits() -> None:
    async def forever(number: int) -> None:
        await anyio.sleep_forever()

    for stage in (MapStage(forever), MapStage(forever, concurrency=3)):
        source = Numbers()
        stream = pipeline_of(source, stage).stream(chunk_size=2)
        with nothing_left(), anyio.move_on_after(0.01) as scope:
            await take(stream)
        assert scope.cancelled_caught
        assert source.opened == source.closed == 1
        assert isinstance(stream.result.error, StreamClosedError)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_function_that_awaits_what_was_cancelled_passes_that_on(anyio_backend: str) -> None:
    async def awaits_cancelled(number: int) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    for concurrency in (1, 3):
        for stage in (MapStage(awaits_cancelled, concurrency=concurrency),):
            with nothing_left(), pytest.raises(asyncio.CancelledError):
                await take(pipeline_of(Numbers(5), stage, MapStage(later)).stream(chunk_size=2))
