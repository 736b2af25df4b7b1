"""Parts that run side by side: one task gives, another takes, a bounded number of chunks apart."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import anyio
import pytest

from mainstem import MapStage, StageProgress
from mainstem.engine.closing import closing
from mainstem.engine.hand_off import HandOff
from runs import Abort, pipeline_of
from streams import Collect, Numbers, checkpoint, nothing_left, take, turns

pytestmark = pytest.mark.anyio


class Giving:
    """A generator of numbers that remembers how far it got."""

    def __init__(self, stop: int = 10, error: BaseException | None = None) -> None:
        self._stop, self._error = stop, error
        self.given = 0
        self.closed = 0

    async def chunks(self) -> AsyncGenerator[int, None]:
        try:
            for number in range(self._stop):
                self.given += 1
                yield number
            if self._error is not None:
                raise self._error
        finally:
            await checkpoint()
            self.closed += 1


def handed(giving: Giving, ahead: int = 1, giver: Any = None, taker: Any = None) -> AsyncGenerator[Any, None]:
    return HandOff(giving.chunks(), ahead, giver, taker).output()


async def test_all_chunks_come_in_order() -> None:
    for ahead in (0, 1, 5, 20):
        giving = Giving()
        with nothing_left():
            async with closing(handed(giving, ahead)) as chunks:
                assert [number async for number in chunks] == list(range(10))
        assert giving.closed == 1


@pytest.mark.parametrize("ahead", [0, 1, 3])
async def test_the_giver_works_so_many_chunks_ahead_and_then_waits_with_one_in_its_hands(ahead: int) -> None:
    giving = Giving()
    async with closing(handed(giving, ahead)) as chunks:
        assert await anext(chunks) == 0
        await turns()
        assert giving.given == 1 + ahead + 1
        assert await anext(chunks) == 1
        await turns()
        assert giving.given == 2 + ahead + 1
    assert giving.closed == 1


async def test_nothing_is_done_before_the_first_chunk_is_asked_for() -> None:
    giving = Giving()
    with nothing_left():
        output = handed(giving)
        await turns()
        assert giving.given == 0
        await output.aclose()
    assert (giving.given, giving.closed) == (0, 0)


@pytest.mark.parametrize("error", [ValueError("broken"), Abort()], ids=repr)
async def test_what_the_giver_raises_comes_after_its_chunks_and_as_it_is(error: BaseException) -> None:
    giving, got = Giving(3, error), []

    async def take_slowly() -> None:
        async with closing(handed(giving, 5)) as chunks:
            async for number in chunks:
                await turns()
                got.append(number)

    with nothing_left(), pytest.raises(type(error)) as caught:
        await take_slowly()
    assert caught.value is error
    assert (got, giving.closed) == ([0, 1, 2], 1)


async def test_left_early_the_giver_is_ended_wherever_it_is() -> None:
    for wait in (0, 1, 5, 50):
        giving = Giving()
        with nothing_left():
            async with closing(handed(giving)) as chunks:
                await anext(chunks)
                await turns(wait)
        assert giving.closed == 1


async def test_the_times_say_who_waited_for_whom() -> None:
    giver, taker = StageProgress(), StageProgress()
    async with closing(handed(Giving(), 2, giver, taker)) as chunks:
        async for _ in chunks:
            await turns(20)
    assert giver.blocked_ms > 0
    assert taker.waiting_ms > 0
    assert taker.queue_depth == 3  # two that lie there, and the one that cannot be put down
    assert giver.queue_depth == 0


async def test_closing_gives_a_generator_time_to_clean_up_though_its_task_is_cancelled() -> None:
    giving = Giving()
    with anyio.CancelScope() as scope:
        async with closing(giving.chunks()) as chunks:
            await anext(chunks)
            scope.cancel()
            await checkpoint()
    assert scope.cancelled_caught
    assert giving.closed == 1


async def test_closing_what_was_never_begun_warns_of_nothing() -> None:
    giving = Giving()
    with suppress(ValueError):
        async with closing(giving.chunks()):
            raise ValueError
    gc.collect()
    assert giving.closed == 0


async def test_a_chain_of_generators_that_is_dropped_is_closed_from_the_outside_in(anyio_backend: str) -> None:
    """Not all at once, each finding that the other is being closed."""
    giving = Giving()

    async def outer(cycle: list[Any]) -> AsyncGenerator[int, None]:
        async with closing(middle()) as chunks:
            async for number in chunks:
                yield number

    async def middle() -> AsyncGenerator[int, None]:
        async with closing(giving.chunks()) as chunks:
            async for number in chunks:
                yield number

    cycle: list[Any] = []  # so that all are found by the garbage collector, together
    cycle.append(outer(cycle))
    await anext(cycle[0])
    del cycle
    if anyio_backend == "trio":
        with pytest.warns(ResourceWarning, match="garbage collected"):
            gc.collect()
    else:
        gc.collect()
    await turns()
    assert giving.closed == 1


class Meeting:
    """Two parts that can only go on together: each waits until the other has come."""

    def __init__(self, *names: str) -> None:
        self._here = {name: anyio.Event() for name in names}

    async def arrive(self, name: str) -> None:
        self._here[name].set()
        for event in self._here.values():
            await event.wait()


async def test_two_async_stages_and_a_sink_work_on_different_chunks_at_the_same_time() -> None:
    meeting = Meeting("source", "first", "second", "sink")

    class Reading(Numbers):
        async def read(self, context: Any, **options: Any) -> AsyncGenerator[Any, None]:
            at = 0
            async for chunk in super().read(context, **options):
                if at == 3:
                    await meeting.arrive("source")
                yield chunk
                at += 1

    def working(name: str, at: int) -> Any:
        async def work(number: int) -> int:
            if number == at:
                await meeting.arrive(name)
            return number

        return MapStage(work, name=name)

    async def write() -> None:
        if not sink.written:
            await meeting.arrive("sink")

    sink = Collect(wait=write)
    # At the same time: the source reads the fourth chunk, the stages have the third and second, the sink the first.
    pipeline = pipeline_of(Reading(8), working("first", 4), working("second", 2), sink)
    with anyio.fail_after(20):
        await take(pipeline.stream(chunk_size=2))
    assert sink.stored == list(range(8))


async def test_a_sink_writes_while_the_window_before_it_goes_on() -> None:
    meeting = Meeting("call", "write")

    async def call(number: int) -> int:
        if number == 3:
            await meeting.arrive("call")
        return number

    async def write() -> None:
        if not sink.written:
            await meeting.arrive("write")

    sink = Collect(wait=write)
    with anyio.fail_after(20):
        pipeline = pipeline_of(Numbers(8), MapStage(call, concurrency=2), MapStage(int), sink)
        await take(pipeline.stream(chunk_size=2))
    assert sink.stored == list(range(8))
