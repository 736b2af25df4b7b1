"""Cutting an input into chunks, whatever it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from itertools import count
from time import perf_counter
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem import PipelineContext, SourceChunk, SourceStage, StageContractError
from mainstem.engine.chunks import YIELD_EVERY, Reader, is_async, read_source
from mainstem.engine.closing import closing
from mainstem.stage_run import StageRun
from runs import Abort, raising_iterator
from streams import arriving, checkpoint, nothing_left, turns

pytestmark = pytest.mark.anyio


def room_for(size: int) -> Callable[[int], int]:
    return lambda on_their_way: size


class Wanted:
    """A demand for so many records in all, cut into chunks."""

    def __init__(self, wanted: int, chunk_size: int) -> None:
        self.wanted, self._chunk_size = wanted, chunk_size

    def room(self, on_their_way: int) -> int:
        return min(self._chunk_size, max(0, self.wanted - on_their_way))


async def read(reader: Reader, data: Any) -> list[list[Any]]:
    async with closing(reader.read(data)) as chunks:
        return [list(chunk) async for chunk in chunks]


KINDS: dict[str, Callable[[list[int]], Any]] = {
    "list": list,
    "tuple": tuple,
    "iterator": iter,
    "set": lambda numbers: dict.fromkeys(numbers),
    "async generator": arriving,
}


@given(st.lists(st.integers(), unique=True), st.integers(1, 9), st.sampled_from(sorted(KINDS)))
def test_all_records_come_in_order_in_chunks_of_the_size(records: list[int], size: int, kind: str) -> None:
    reader = Reader(room_for(size))
    chunks = anyio.run(read, reader, KINDS[kind](records))
    assert [record for chunk in chunks for record in chunk] == records
    assert all(len(chunk) == size for chunk in chunks[:-1])
    assert all(chunks)
    assert reader.error is None


@pytest.mark.parametrize("kind", ["list", "iterator"])
async def test_it_is_known_of_which_chunk_that_it_is_the_last(kind: str) -> None:
    for length, lasts in [(4, [False, kind == "list"]), (5, [False, False, True]), (0, [])]:
        reader = Reader(room_for(2))
        async with closing(reader.read(KINDS[kind](list(range(length))))) as chunks:
            assert [reader.last async for _ in chunks] == lasts


@pytest.mark.parametrize("kind", KINDS)
async def test_no_more_records_are_taken_than_wanted_at_the_time(kind: str) -> None:
    wanted = Wanted(5, chunk_size=3)
    taken: list[int] = []

    def numbers() -> Any:
        for number in range(20):
            taken.append(number)
            yield number

    async def later_numbers() -> AsyncGenerator[int, None]:
        for number in numbers():
            yield number

    data: Any = KINDS[kind](list(range(20)))
    data = numbers() if kind == "iterator" else later_numbers() if kind == "async generator" else data
    chunks = []
    with nothing_left():
        async with closing(Reader(wanted.room).read(data)) as reading:
            async for chunk in reading:
                await turns()  # while it is on its way
                chunks.append(list(chunk))
                wanted.wanted -= len(chunk)
    assert chunks == [[0, 1, 2], [3, 4]]
    assert len(taken) == (5 if kind in ("iterator", "async generator") else 0)


@pytest.mark.parametrize("kind", KINDS)
async def test_where_no_record_is_wanted_none_is_taken(kind: str) -> None:
    if kind == "iterator":
        assert await read(Reader(room_for(0)), raising_iterator([], Abort())) == []
    assert await read(Reader(room_for(0)), KINDS[kind]([1])) == []


async def test_what_the_input_raises_is_kept_for_after_the_records_before() -> None:
    async def later_raising() -> AsyncGenerator[int, None]:
        for number in range(3):
            yield number
        raise OSError("gone")

    for data in (raising_iterator(range(3), OSError("gone")), later_raising()):
        reader = Reader(room_for(2))
        assert await read(reader, data) == [[0, 1], [2]]
        assert isinstance(reader.error, OSError)
        assert reader.error.__notes__ == ["raised by the input after 3 records"]


@pytest.mark.parametrize("data", [None, 42, len], ids=repr)
async def test_what_holds_no_records_is_an_error_that_says_so(data: Any) -> None:
    reader = Reader(room_for(2))
    assert await read(reader, data) == []
    assert isinstance(reader.error, TypeError)
    assert "a collection of records is needed, and" in str(reader.error)


async def test_an_async_iterable_whose_iterator_cannot_be_had_or_closed_is_no_trouble() -> None:
    class Unclosable:
        def __init__(self) -> None:
            self.numbers = iter(range(3))

        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> int:
            for number in self.numbers:
                return number
            raise StopAsyncIteration

    class Broken:
        def __aiter__(self) -> Any:
            raise OSError("not today")

    assert [number for chunk in await read(Reader(room_for(2)), Unclosable()) for number in chunk] == [0, 1, 2]
    reader = Reader(room_for(2))
    assert await read(reader, Broken()) == []
    assert str(reader.error) == "not today"
    assert is_async(Broken())
    assert not is_async(iter([]))


async def test_what_is_no_exception_passes_through() -> None:
    async def abort() -> AsyncGenerator[int, None]:
        yield 1
        raise Abort

    for data in (abort(), raising_iterator([1], Abort())):
        with nothing_left(), pytest.raises(Abort):
            await read(Reader(room_for(2)), data)


async def test_an_async_input_is_collected_while_others_work_but_no_more_than_a_chunk_of_it() -> None:
    given: list[int] = []

    async def numbers() -> AsyncGenerator[int, None]:
        for number in count():
            given.append(number)
            yield number

    with nothing_left():
        async with closing(Reader(room_for(3)).read(numbers())) as chunks:
            assert await anext(chunks) == [0, 1, 2]
            await turns()
            assert len(given) == 6
            assert await anext(chunks) == [3, 4, 5]


async def test_other_tasks_get_a_turn_while_a_long_input_is_read() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await checkpoint()

    def slow() -> Any:
        for number in range(5):
            until = perf_counter() + YIELD_EVERY
            while perf_counter() < until:
                pass
            yield number

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        await checkpoint()
        before = ticks
        await read(Reader(room_for(1)), slow())
        assert ticks >= before + 4
        group.cancel_scope.cancel()


class Pairs(SourceStage[int]):
    """A source whose chunks come with records that could not be read."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.starts: list[int] = []

    async def read(
        self, context: PipelineContext, *, start: Any = None, chunk_size: int = 0
    ) -> AsyncGenerator[SourceChunk[int], None]:
        self.asked.append(chunk_size)
        for number in range(3):
            self.starts.append(context.chunk_start)
            yield SourceChunk((number, number) if number else [0, 0], {}, records_failed=1)  # type: ignore[arg-type]


async def test_the_chunks_of_a_source_are_lists_and_counted_with_what_could_not_be_read() -> None:
    source = Pairs()
    run = StageRun(source, "pairs", PipelineContext())
    async with closing(read_source(run, None, room_for(7), 5)) as chunks:
        assert [chunk async for chunk in chunks] == [[0, 0], [1, 1], [2, 2]]
    assert (source.asked, source.starts) == ([5], [0, 3, 6])
    progress = run.progress
    assert (progress.records_in, progress.records_passed, progress.records_failed) == (9, 6, 3)


async def test_a_source_is_read_no_further_than_wanted_and_takes_no_input() -> None:
    source, wanted = Pairs(), Wanted(3, 5)
    got = []
    async with closing(read_source(StageRun(source, "pairs", PipelineContext()), None, wanted.room, 5)) as chunks:
        async for chunk in chunks:
            got.append(chunk)
            wanted.wanted -= len(chunk)
    assert got == [[0, 0], [1, 1]]
    assert source.asked == [3]
    with pytest.raises(StageContractError, match="source 'pairs' takes no input, and was given list"):
        async with closing(read_source(StageRun(source, "pairs", PipelineContext()), [1], room_for(1), 5)) as chunks:
            await anext(chunks)
