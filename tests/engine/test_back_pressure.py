"""No part of a stream runs further ahead of whoever takes the output than was said, and no record waits for others."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from itertools import count
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstem import BatchStage, FilterStage, FlattenStage, LimitStage, MapStage, PipelineContext, PipelineStage
from mainstem.endpoints import SourceChunk
from runs import pipeline_of
from streams import Collect, Numbers, checkpoint, later, nothing_left, take, turns

CHUNK_SIZE = 4
IN_FLIGHT = [None, 2, 3, 5, 10]

STAGES: dict[str, Any] = {
    "sync": lambda: [MapStage(str), MapStage(int)],
    "in turn": lambda: [MapStage(later)],
    "two in turn": lambda: [MapStage(later), MapStage(str), MapStage(later)],
    "overlapping": lambda: [MapStage(later, concurrency=9)],
    "narrow window": lambda: [MapStage(later, concurrency=2)],
    "windows": lambda: [MapStage(later, concurrency=3), MapStage(later, concurrency=9), MapStage(later)],
    "stateful": lambda: [BatchStage(2), MapStage(later), FlattenStage(), MapStage(later, concurrency=5)],
}


class Watched:
    """Counts the records between an endless input and whoever takes the output, and remembers the most there were."""

    def __init__(self) -> None:
        self.read = self.taken = self.most = 0

    def note_read(self, records: int) -> None:
        self.read += records
        self.most = max(self.most, self.read - self.taken)

    def note_taken(self, records: int) -> None:
        self.taken += records

    def chunks(self) -> int:
        """The most chunks there were: of those that had begun to be read, and had not been done with."""
        return -(-self.most // CHUNK_SIZE)

    def iterator(self) -> Iterator[int]:
        for number in count():
            self.note_read(1)
            yield number

    async def async_generator(self) -> AsyncGenerator[int, None]:
        for number in count():
            self.note_read(1)
            yield number


class WatchedSource(Numbers):
    def __init__(self, watched: Watched, stop: int | None = None) -> None:
        super().__init__(stop)
        self._watched = watched

    async def read(self, context: PipelineContext, **options: Any) -> AsyncGenerator[SourceChunk[int], None]:
        step = options["chunk_size"]
        for first in count(0, step):
            if self._stop is not None and first >= self._stop:
                return
            await checkpoint()
            self._watched.note_read(step)
            yield SourceChunk(list(range(first, first + step)), {})


def begin(kind: str, stages: list[PipelineStage[Any, Any]], watched: Watched, in_flight: int | None) -> Any:
    if kind == "source":
        return pipeline_of(WatchedSource(watched), *stages).stream(chunk_size=CHUNK_SIZE, max_in_flight=in_flight)
    data: Any = watched.iterator() if kind == "iterator" else watched.async_generator()
    return pipeline_of(*stages).stream(data, chunk_size=CHUNK_SIZE, max_in_flight=in_flight)


@pytest.mark.anyio
@pytest.mark.parametrize("in_flight", IN_FLIGHT)
@pytest.mark.parametrize("stages", STAGES.values(), ids=STAGES.keys())
@pytest.mark.parametrize("kind", ["iterator", "async generator", "source"])
async def test_an_endless_input_is_read_no_further_ahead_of_a_slow_consumer_than_was_said(
    kind: str, stages: Any, in_flight: int | None
) -> None:
    watched = Watched()
    stream = begin(kind, stages(), watched, in_flight)
    assert in_flight is None or stream.max_in_flight == in_flight
    with nothing_left():
        async with stream:
            await turns()
            assert watched.read == 0
            async for chunk in stream:
                await turns(60)
                watched.note_taken(len(chunk))
                if watched.taken > 30 * CHUNK_SIZE:
                    break
    assert 1 <= watched.chunks() <= stream.max_in_flight
    if in_flight is None:
        assert watched.chunks() >= stream.max_in_flight - 1  # it is not idly said


@pytest.mark.anyio
@pytest.mark.parametrize("in_flight", IN_FLIGHT)
@pytest.mark.parametrize("stages", STAGES.values(), ids=STAGES.keys())
async def test_a_source_is_read_no_further_ahead_of_a_slow_sink_than_was_said(
    stages: Any, in_flight: int | None
) -> None:
    watched = Watched()

    class Slow(Collect):
        async def slowly(self) -> None:
            await turns(60)
            watched.note_taken(CHUNK_SIZE)

    sink = Slow()
    sink.wait = sink.slowly
    stream = pipeline_of(WatchedSource(watched, 30 * CHUNK_SIZE), *stages(), sink).stream(
        chunk_size=CHUNK_SIZE, max_in_flight=in_flight
    )
    await take(stream)
    assert len(sink.stored) == 30 * CHUNK_SIZE
    assert 1 <= watched.chunks() <= stream.max_in_flight


@st.composite
def any_stages(draw: st.DrawFn) -> list[PipelineStage[Any, Any]]:
    kinds = {
        "sync": lambda: [MapStage(str), MapStage(int)],
        "filter": lambda: [FilterStage(lambda number: number % 5 > 0)],
        "async": lambda: [MapStage(later)],
        "overlapping": lambda: [MapStage(later, concurrency=draw(st.integers(2, 12)))],
        "batch": lambda: [BatchStage(draw(st.integers(1, 3))), FlattenStage()],
    }
    names = draw(st.lists(st.sampled_from(sorted(kinds)), max_size=5))
    return [stage for name in names for stage in kinds[name]()]


@settings(deadline=None, max_examples=60)
@given(
    stages=any_stages(),
    kind=st.sampled_from(["iterator", "async generator", "source"]),
    in_flight=st.none() | st.integers(2, 9),
    backend=st.sampled_from(["asyncio", "trio"]),
)
def test_so_it_is_for_any_stages(
    stages: list[PipelineStage[Any, Any]], kind: str, in_flight: int | None, backend: str
) -> None:
    watched = Watched()

    async def consume() -> int:
        async with begin(kind, stages, watched, in_flight) as stream:
            given = 0
            async for chunk in stream:
                await turns(20)
                given += len(chunk)
                # With its last record, or the one before if that was filtered, a chunk of the input is done with.
                watched.taken = (int(chunk[-1]) // CHUNK_SIZE + 1) * CHUNK_SIZE
                if given > 10 * CHUNK_SIZE:
                    break
            return stream.max_in_flight

    said = anyio.run(consume, backend=backend)
    kept = sum(isinstance(stage, BatchStage) for stage in stages)  # records of chunks that are done with
    assert watched.chunks() <= said + kept


@pytest.mark.anyio
@pytest.mark.parametrize("in_flight", [None, 2, 3])
@pytest.mark.parametrize("stages", STAGES.values(), ids=STAGES.keys())
async def test_a_record_of_an_async_input_comes_out_before_the_next_one_arrives(
    stages: Any, in_flight: int | None
) -> None:
    send, receive = anyio.create_memory_object_stream[int](0)
    per_output = 2 if any(isinstance(stage, BatchStage) for stage in stages()) else 1
    async with pipeline_of(*stages()).stream(receive, chunk_size=1000, max_in_flight=in_flight) as stream:
        with anyio.fail_after(20):
            for first in range(0, 5 * per_output, per_output):
                async with anyio.create_task_group() as group:
                    for number in range(first, first + per_output):
                        group.start_soon(send.send, number)
                    got = []
                    while len(got) < per_output:
                        got += await anext(stream)
                assert sorted(map(int, got)) == list(range(first, first + per_output))
            send.close()
            with pytest.raises(StopAsyncIteration):
                await anext(stream)


@pytest.mark.anyio
async def test_records_that_arrived_meanwhile_come_together_and_no_more_than_a_chunk_of_them() -> None:
    async def burst() -> AsyncGenerator[int, None]:
        for number in range(10):
            yield number

    async with pipeline_of(MapStage(str)).stream(burst(), chunk_size=4) as stream:
        assert [len(chunk) async for chunk in stream] == [4, 4, 2]


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["iterator", "async generator", "source"])
async def test_a_limit_beyond_the_parts_that_run_ahead_ends_an_endless_input(kind: str) -> None:
    watched = Watched()
    stages = [MapStage(later, concurrency=3), MapStage(later), LimitStage(10), MapStage(later)]
    with anyio.fail_after(20), nothing_left():
        chunks = await take(begin(kind, stages, watched, None))
    assert sum(map(len, chunks)) == 10
    assert watched.read == (12 if kind == "source" else 10)
