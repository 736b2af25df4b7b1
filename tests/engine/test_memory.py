"""Running in memory: chunks, sources, and other tasks' turns."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from time import perf_counter
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from mainstem import (
    AggregateStage,
    FilterStage,
    MapStage,
    PipelineContext,
    PipelineStage,
    Position,
    SourceChunk,
    SourceStage,
    StageContractError,
    StageKind,
    StageResult,
)
from mainstem.connect import JsonLinesSource
from mainstem.endpoints import CHUNK_SIZE
from mainstem.engine.chunks import YIELD_EVERY
from runs import Abort, check_accounts, errors_of, execute, pipeline_of, raising_iterator, run, watch

pytestmark = pytest.mark.anyio

LENGTHS = [0, 1, CHUNK_SIZE, CHUNK_SIZE + 1, 3 * CHUNK_SIZE]


class Doubled(PipelineStage[list[int], list[int]]):
    """A stage of the user's own, which remembers how it was fed."""

    def __init__(self) -> None:
        self.fed: list[int] = []

    async def process(self, data: list[int], context: PipelineContext) -> StageResult[list[int]]:
        self.fed.append(len(data))
        return StageResult(data=[2 * number for number in data])


class DoubledByChunk(Doubled):
    kind = StageKind.ELEMENTWISE


class Numbers(SourceStage[int]):
    """A source of the user's own: chunks of three, with positions."""

    def __init__(self, count: int, error: BaseException | None = None, bad: frozenset[int] = frozenset()) -> None:
        self._count, self._error, self._bad = count, error, bad
        self.closed = 0

    async def read(
        self, context: PipelineContext, *, start: Position | None = None, chunk_size: int = 3
    ) -> AsyncGenerator[SourceChunk[int], None]:
        try:
            for first in range(0 if start is None else start["next"], self._count, 3):
                numbers = range(first, min(first + 3, self._count))
                for at, number in enumerate(numbers):
                    if number in self._bad:
                        context.record_error(ValueError("unreadable"), record=number, index=at)
                good = [number for number in numbers if number not in self._bad]
                await anyio.lowlevel.checkpoint()
                yield SourceChunk(good, {"next": first + 3}, records_failed=len(numbers) - len(good))
            if self._error is not None:
                raise self._error
        finally:
            self.closed += 1


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("as_iterator", [False, True], ids=["list", "iterator"])
def test_an_elementwise_stage_of_the_users_own_is_fed_chunk_by_chunk(length: int, as_iterator: bool) -> None:
    stage = DoubledByChunk()
    data = list(range(length))
    result = run(stage, data=iter(data) if as_iterator else data, entered=length)
    assert result.data == [2 * number for number in data]
    assert sum(stage.fed) == length
    assert max(stage.fed) <= CHUNK_SIZE
    assert len(stage.fed) == max(1, -(-length // CHUNK_SIZE))


@pytest.mark.parametrize("length", LENGTHS)
def test_a_blocking_stage_of_the_users_own_gets_everything_at_once(length: int) -> None:
    stage = Doubled()
    assert run(MapStage(int), stage, data=range(length), entered=length).data == [2 * at for at in range(length)]
    assert stage.fed == [length]


@pytest.mark.parametrize("watched", [False, True], ids=["fused", "watched"])
@pytest.mark.parametrize("length", LENGTHS)
def test_counts_and_completed_stages_are_those_of_the_whole_input(length: int, watched: bool) -> None:
    pipeline = pipeline_of(MapStage(int), FilterStage(lambda at: at % 2), DoubledByChunk())
    result = check_accounts((watch(pipeline) if watched else pipeline).run(list(range(length))), length)
    counts = [(part.records_in, part.records_filtered) for part in result.stage_results.values()]
    assert counts == [(length, 0), (length, (length + 1) // 2), (length // 2, 0)]
    assert result.context.completed_stages == ["MapStage", "FilterStage", "DoubledByChunk"]
    assert all(progress.done for progress in result.context.progress.values())


@pytest.mark.parametrize("given", [None, 42], ids=repr)
def test_an_elementwise_stage_that_gives_no_collection_fails_the_run_and_does_not_raise(given: Any) -> None:
    class Wrong(DoubledByChunk):
        async def process(self, data: Any, context: PipelineContext) -> StageResult[Any]:
            return StageResult(data=given)

    result = run(MapStage(int), Wrong(), data=[1, 2])
    assert isinstance(result.error, TypeError)
    assert [entry.stage for entry in result.context.errors] == ["Wrong"]


def test_an_elementwise_stage_that_gives_an_iterator_which_raises_fails_the_run() -> None:
    class Lazy(DoubledByChunk):
        async def process(self, data: Any, context: PipelineContext) -> StageResult[Any]:
            return StageResult(data=raising_iterator(data, OSError("too late")))

    result = run(Lazy(), data=[1, 2])
    assert errors_of(result.context) == [("Lazy", None, "too late")]


@pytest.mark.parametrize("watched", [False, True], ids=["fused", "watched"])
def test_a_source_of_the_users_own_feeds_the_stages_after_it(watched: bool) -> None:
    source = Numbers(8)
    pipeline = pipeline_of(source, MapStage(str), AggregateStage(len))
    result = check_accounts((watch(pipeline) if watched else pipeline).run(), 8)
    assert result.data == 8
    assert result.stage_results["Numbers"].records_processed == 8
    assert result.context.completed_stages == ["Numbers", "MapStage", "AggregateStage"]
    assert source.closed == 1


def test_a_source_alone_gives_its_records_and_an_empty_one_none() -> None:
    assert run(Numbers(5), data=None, entered=5).data == [0, 1, 2, 3, 4]
    assert run(Numbers(0), MapStage(str), data=None, entered=0).data == []


@pytest.mark.parametrize("watched", [False, True], ids=["fused", "watched"])
def test_records_a_source_cannot_read_are_counted_with_their_position_in_the_whole(watched: bool) -> None:
    pipeline = pipeline_of(Numbers(8, bad=frozenset({1, 7})), MapStage(str))
    result = check_accounts((watch(pipeline) if watched else pipeline).run(), 8)
    assert result.success
    assert result.records_failed == 2
    assert [(entry.stage, entry.index, entry.record) for entry in result.context.errors] == [
        ("Numbers", 1, 1),
        ("Numbers", 7, 7),
    ]


def test_a_source_that_raises_fails_the_run_after_what_it_gave() -> None:
    source = Numbers(4, error=OSError("connection lost"))
    seen: list[int] = []
    result = run(source, MapStage(seen.append), data=None)
    assert errors_of(result.context) == [("Numbers", None, "connection lost")]
    assert seen == [0, 1, 2, 3]
    assert result.context.completed_stages == []
    assert source.closed == 1


def test_an_error_that_a_source_recorded_with_its_record_is_not_recorded_twice() -> None:
    class Strict(Numbers):
        async def read(self, context: Any, **options: Any) -> AsyncGenerator[SourceChunk[int], None]:
            yield SourceChunk([1, 2], {})
            error = ValueError("unreadable")
            context.record_error(error, record="3?", index=0)
            raise error

    result = run(Strict(1), MapStage(str), data=None)
    assert errors_of(result.context) == [("Strict", 2, "unreadable")]


async def test_stop_async_iteration_out_of_a_source_is_a_failure() -> None:
    result = await execute(Numbers(4, error=StopAsyncIteration()), MapStage(str), data=None)
    assert not result.success


async def test_what_is_no_exception_passes_through_a_source_which_is_closed() -> None:
    source = Numbers(4, error=Abort())
    with pytest.raises(Abort):
        await execute(source, MapStage(str), data=None)
    assert source.closed == 1


def test_a_source_is_closed_when_a_later_stage_fails() -> None:
    def fail_at_four(number: int) -> int:
        if number == 4:
            raise ValueError("four")
        return number

    source = Numbers(30)
    result = run(source, MapStage(fail_at_four), data=None)
    assert errors_of(result.context) == [("MapStage", 4, "four")]
    assert source.closed == 1
    assert result.stage_results["Numbers"].records_processed == 6


def test_a_chunk_whose_records_cannot_be_taken_fails_the_source() -> None:
    class Spoilt(list[int]):
        def __iter__(self) -> Any:
            raise OSError("spoilt")

    class SpoiltSource(Numbers):
        async def read(self, context: Any, **options: Any) -> AsyncGenerator[SourceChunk[int], None]:
            yield SourceChunk(Spoilt([1]), {})

    result = run(SpoiltSource(1), data=None)
    assert errors_of(result.context) == [("SpoiltSource", None, "spoilt")]


def test_a_source_is_given_no_input() -> None:
    result = run(Numbers(3), data=[1])
    assert isinstance(result.error, StageContractError)
    assert "source 'Numbers' takes no input, and was given list" in str(result.error)


@pytest.mark.parametrize("end", [CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 7])
def test_the_stages_before_a_failure_on_the_last_chunk_have_completed(end: int) -> None:
    def fail_at_the_end(number: int) -> int:
        if number == end:
            raise ValueError("the end")
        return number

    def build() -> Any:
        return pipeline_of(MapStage(int, name="first"), MapStage(fail_at_the_end, name="second"))

    for pipeline in (build(), watch(build())):
        result = check_accounts(pipeline.run(list(range(end + 1))))
        assert result.context.completed_stages == ["first"]
        assert errors_of(result.context) == [("second", end, "the end")]


def test_a_failure_on_an_empty_input_leaves_the_stages_before_it_completed() -> None:
    class RefusesNothing(DoubledByChunk):
        async def process(self, data: list[int], context: PipelineContext) -> StageResult[list[int]]:
            return StageResult.failure(ValueError("nothing to do"))

    for change in (lambda pipeline: pipeline, watch):
        result = change(pipeline_of(MapStage(int), RefusesNothing())).run([])
        assert result.context.completed_stages == ["MapStage"]
        assert errors_of(result.context) == [("RefusesNothing", None, "nothing to do")]


@pytest.mark.parametrize("length", [3, CHUNK_SIZE + 3])
def test_what_the_input_raises_belongs_to_the_first_stage_for_hooks_too(length: int) -> None:
    reported: list[str] = []
    pipeline = pipeline_of(MapStage(int, name="first"), MapStage(str, name="second"))
    pipeline.on_error(lambda name, error, context: reported.append(name))
    result = check_accounts(pipeline.run(raising_iterator(range(length), OSError("gone"))))
    assert reported == ["first"]
    assert errors_of(result.context) == [("first", None, "gone")]


async def test_what_is_no_exception_passes_through_the_input() -> None:
    with pytest.raises(Abort):
        await execute(MapStage(str), data=raising_iterator([1], Abort()))


async def test_long_sync_work_gives_other_tasks_a_turn_and_notices_a_cancellation() -> None:
    seen: list[int] = []

    def work(number: int) -> int:
        seen.append(number)
        if number % CHUNK_SIZE == 0:
            until = perf_counter() + YIELD_EVERY
            while perf_counter() < until:
                pass
        return number

    with anyio.CancelScope() as scope:
        pipeline = pipeline_of(MapStage(work))
        pipeline.on_complete(lambda *_: pytest.fail("the run went on to its end"))
        scope.cancel()
        await pipeline.execute(list(range(50 * CHUNK_SIZE)))
    assert scope.cancelled_caught
    assert len(seen) <= 2 * CHUNK_SIZE


async def test_a_record_that_ends_the_reading_of_a_source_is_counted_as_failed(tmp_path: Path) -> None:
    file = tmp_path / "numbers.jsonl"
    file.write_text("".join(f'{{"number": {number}}}\n' for number in range(1500)) + "broken\n")
    pipeline = pipeline_of(JsonLinesSource(file), MapStage(len), MapStage(str))
    result = await pipeline.execute(None)
    assert not result.success
    assert result.stage_results["JsonLinesSource"].records_failed == 1
    assert [entry.index for entry in result.context.errors] == [1500]


async def test_a_source_that_fails_for_no_records_sake_counts_none(tmp_path: Path) -> None:
    result = await pipeline_of(JsonLinesSource(tmp_path / "absent.jsonl"), MapStage(len)).execute(None)
    assert not result.success
    assert result.stage_results["JsonLinesSource"].records_failed == 0
