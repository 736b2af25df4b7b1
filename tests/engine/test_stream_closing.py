"""However a stream ends, all that it started has ended: tasks, generators, loads, and the run has said how it went."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, nullcontext, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio
import pytest

from mainstem import (
    AggregateStage,
    BatchStage,
    Combiner,
    FlattenStage,
    MapStage,
    PipelineContext,
    PipelineStage,
    StageKind,
    StageResult,
    StreamClosedError,
)
from mainstem.connect import JsonLinesSource
from mainstem.stateful import StatefulStage
from runs import Abort, check_accounts, pipeline_of, raising_iterator
from streams import Collect, Heard, Numbers, Reversed, checkpoint, every_kind, later, nothing_left, take, turns

pytestmark = pytest.mark.anyio


async def broken_off(stream: Any) -> None:
    async for _ in stream:
        break


async def left_early(stream: Any) -> None:
    async with stream:
        await anext(stream)


async def left_before_it_began(stream: Any) -> None:
    async with stream:
        pass


async def closed_early(stream: Any) -> None:
    await anext(stream)
    await stream.aclose()
    await stream.aclose()


async def left_with_an_error(stream: Any) -> None:
    with suppress(LookupError):
        async with stream:
            async for _ in stream:
                raise LookupError("the consumer's own")


@pytest.mark.parametrize("leave", [left_early, closed_early, left_with_an_error])
@pytest.mark.parametrize("end", [[], [Reversed()], [AggregateStage(len)]], ids=["chunks", "blocking", "function"])
async def test_a_stream_that_is_left_early_ends_all_that_it_started(leave: Any, end: list[Any]) -> None:
    heard, source = Heard(), Numbers(None if not end else 20)
    stream = pipeline_of(source, *every_kind(), *end, event_bus=heard.bus).stream(chunk_size=3)
    with nothing_left():
        await leave(stream)
    assert (source.opened, source.closed) == (1, 1)
    if end:  # its one value was all there was to take
        assert stream.result.success
        assert heard.statuses == ["completed"]
        return
    assert heard.statuses == ["cancelled"]
    result = check_accounts(stream.result)
    assert isinstance(result.error, StreamClosedError)
    assert result.context.errors == []
    assert "Numbers" not in result.context.completed_stages
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_stream_that_is_closed_before_it_began_reads_nothing_and_has_a_result() -> None:
    heard, source = Heard(), Numbers()
    stream = pipeline_of(source, *every_kind(), event_bus=heard.bus).stream()
    with nothing_left():
        await left_before_it_began(stream)
    assert (source.opened, heard.begun, heard.statuses) == (0, 0, [])
    assert isinstance(stream.result.error, StreamClosedError)
    assert stream.result.context is stream.context


async def test_the_result_of_a_stream_that_has_ended_is_not_changed_by_closing_it() -> None:
    stream = pipeline_of(MapStage(str)).stream([1])
    assert await take(stream) == [["1"]]
    result = stream.result
    await stream.aclose()
    assert stream.result is result
    assert result.success


async def test_a_stream_that_is_dropped_is_closed_without_waiting_for_the_garbage_collector(anyio_backend: str) -> None:
    heard, source = Heard(), Numbers()
    warned = pytest.warns(ResourceWarning, match="was garbage collected before it had been exhausted")
    gc.collect()
    gc.disable()
    try:
        with nothing_left():
            with warned if anyio_backend == "trio" else nullcontext():  # trio holds that one should have closed it
                await broken_off(pipeline_of(source, *every_kind(), event_bus=heard.bus).stream(chunk_size=3))
            await turns(200)
    finally:
        gc.enable()
    assert (source.opened, source.closed) == (1, 1)
    assert heard.statuses == ["cancelled"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_stream_that_is_open_when_the_event_loop_ends_is_closed_by_it(backend: str, caplog: Any) -> None:
    heard, source, kept = Heard(), Numbers(), []

    async def main() -> None:
        kept.append(pipeline_of(source, *every_kind(), event_bus=heard.bus).stream(chunk_size=3))
        await anext(kept[0])

    anyio.run(main, backend=backend)
    assert (source.opened, source.closed) == (1, 1)
    assert heard.statuses == ["cancelled"]
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


async def test_generators_given_as_input_are_closed() -> None:
    closed: list[str] = []

    async def endless_async() -> AsyncGenerator[int, None]:
        try:
            while True:
                yield 1
        finally:
            await checkpoint()
            closed.append("async")

    def endless() -> Any:
        try:
            while True:
                yield 1
        finally:
            closed.append("sync")

    for data in (endless_async, endless):
        with nothing_left():
            await left_early(pipeline_of(*every_kind()).stream(data(), chunk_size=3))
    assert closed == ["async", "sync"]


async def test_a_source_is_opened_read_and_closed_by_one_task() -> None:
    """So that it can hold a task group, say, which wants that."""

    class Grouped(Numbers):
        async def read(self, context: PipelineContext, **options: Any) -> AsyncGenerator[Any, None]:
            async with anyio.create_task_group() as group:
                group.start_soon(checkpoint)
                with anyio.fail_after(50):
                    async with aclosing(super().read(context, **options)) as chunks:
                        async for chunk in chunks:
                            yield chunk

    for stage in (MapStage(later), MapStage(later, concurrency=5)):
        source = Grouped(20)
        with nothing_left():
            chunks = await take(pipeline_of(source, stage, MapStage(later, concurrency=2)).stream(chunk_size=3))
        assert sum(map(len, chunks)) == 20
        source = Grouped()
        with nothing_left():
            await left_early(pipeline_of(source, stage).stream(chunk_size=3))


variable: ContextVar[str] = ContextVar("variable", default="unset")


async def test_functions_and_sources_see_the_context_variables_of_whoever_takes_the_stream() -> None:
    seen: set[str] = set()

    class Looking(Numbers):
        async def read(self, context: PipelineContext, **options: Any) -> AsyncGenerator[Any, None]:
            async for chunk in super().read(context, **options):
                seen.add(f"source {variable.get()}")
                yield chunk

    async def look(number: int) -> int:
        seen.add(f"function {variable.get()}")
        return await later(number)

    async def numbers() -> AsyncGenerator[int, None]:
        seen.add(f"input {variable.get()}")
        yield 1

    variable.set("mine")
    await take(pipeline_of(Looking(5), MapStage(look), MapStage(look, concurrency=2)).stream(chunk_size=2))
    await take(pipeline_of(MapStage(look)).stream(numbers()))
    assert seen == {"source mine", "function mine", "input mine"}


class Boom(Exception):
    """What a stage fails with."""


class FailingCombiner(Combiner[Any, int, int]):
    def __init__(self, error: BaseException, step: str) -> None:
        self._error, self._step = error, step

    def _raise_in(self, step: str) -> None:
        if step == self._step:
            raise self._error

    def create(self) -> int:
        self._raise_in("create")
        return 0

    def add(self, accumulator: int, record: Any) -> int:
        self._raise_in("add")
        return accumulator + 1

    def merge(self, left: int, right: int) -> int:
        return left + right

    def finish(self, accumulator: int) -> int:
        self._raise_in("finish")
        return accumulator


class FailingStage(StatefulStage[Any, Any]):
    """A stateful stage that fails in a step of its state."""

    def __init__(self, error: BaseException, step: str) -> None:
        self._error, self._step = error, step

    def begin(self) -> Any:
        state: Any = BatchStage[Any](2).begin()
        error = self._error

        async def fail(*_: Any) -> Any:
            raise error

        setattr(state, self._step, fail)
        return state


class FailingElementwise(PipelineStage[Any, Any]):
    kind = StageKind.ELEMENTWISE

    def __init__(self, error: BaseException) -> None:
        self._error = error

    async def process(self, data: Any, context: PipelineContext) -> StageResult[Any]:
        raise self._error


class FailingBlocking(FailingElementwise):
    kind = StageKind.BLOCKING


def failing_sync(error: BaseException) -> Callable[[Any], Any]:
    def fail(number: int) -> int:
        if number == 7:
            raise error
        return number

    return fail


def failing_async(error: BaseException) -> Callable[[Any], Any]:
    async def fail(number: int) -> int:
        await checkpoint()
        if number == 7:
            raise error
        return number

    return fail


PLACES: dict[str, Callable[[BaseException], list[PipelineStage[Any, Any]]]] = {
    "source": lambda error: [Numbers(20, error=error), *every_kind()],
    "sync": lambda error: [Numbers(20), MapStage(str), MapStage(int), MapStage(failing_sync(error)), *every_kind()],
    "sync after a window": lambda error: [Numbers(20), *every_kind(), MapStage(failing_sync(error))],
    "async": lambda error: [Numbers(20), *every_kind(), MapStage(failing_async(error)), *every_kind()],
    "overlapping": lambda error: [
        Numbers(20),
        *every_kind(),
        MapStage(failing_async(error), concurrency=4),
        *every_kind(),
    ],
    "feed": lambda error: [Numbers(20), *every_kind(), FailingStage(error, "feed"), FlattenStage(), *every_kind()],
    "finish": lambda error: [Numbers(20), *every_kind(), FailingStage(error, "finish"), FlattenStage(), *every_kind()],
    "elementwise": lambda error: [Numbers(20), *every_kind(), FailingElementwise(error), *every_kind()],
    "blocking": lambda error: [Numbers(20), *every_kind(), FailingBlocking(error), *every_kind()],
    "create": lambda error: [Numbers(20), *every_kind(), AggregateStage(FailingCombiner(error, "create"))],
    "add": lambda error: [Numbers(20), *every_kind(), AggregateStage(FailingCombiner(error, "add"))],
    "combine": lambda error: [Numbers(20), *every_kind(), AggregateStage(FailingCombiner(error, "finish"))],
    "begin": lambda error: [Numbers(20), *every_kind(), Collect({"begin": error})],
    "write": lambda error: [Numbers(20), *every_kind(), Collect({"write": error})],
    "commit": lambda error: [Numbers(20), *every_kind(), Collect({"commit": error})],
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", ["stream", "execute"])
async def test_an_error_in_any_place_ends_the_run_and_all_that_it_started(place: str, way: str) -> None:
    error, heard = Boom(place), Heard()
    pipeline = pipeline_of(*PLACES[place](error), event_bus=heard.bus)
    with nothing_left():
        if way == "execute":
            result = check_accounts(await pipeline.execute(None))
        else:
            stream = pipeline.stream(chunk_size=3)
            with pytest.raises(Boom) as caught:
                await take(stream)
            assert caught.value is error
            result = check_accounts(stream.result)
    assert result.error is error
    assert [entry.error for entry in result.context.errors] == [error]
    assert heard.statuses == ["failed"]
    check_ends(pipeline)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", ["stream", "execute"])
async def test_what_is_no_exception_passes_through_from_any_place_as_it_is(place: str, way: str) -> None:
    error, heard = Abort(place), Heard()
    pipeline = pipeline_of(*PLACES[place](error), event_bus=heard.bus)
    stream = pipeline.stream(chunk_size=3)
    with nothing_left(), pytest.raises(Abort) as caught:  # a group of it would not be caught
        await (take(stream) if way == "stream" else pipeline.execute(None))
    assert caught.value is error
    assert heard.statuses == ["cancelled"]
    check_ends(pipeline)
    if way == "stream":
        assert isinstance(stream.result.error, StreamClosedError)
        assert stream.result.error.__cause__ is error


async def test_what_is_no_exception_passes_through_the_input_and_hooks() -> None:
    async def broken() -> AsyncGenerator[int, None]:
        yield 1
        raise Abort

    def stop(*_: Any) -> None:
        raise Abort

    for stage in every_kind()[1:-1]:
        for data in (raising_iterator([1], Abort()), broken()):
            with nothing_left(), pytest.raises(Abort):
                await take(pipeline_of(stage, MapStage(later)).stream(data, chunk_size=1))
    for kind in ("before_stage", "after_stage", "on_complete"):
        pipeline = pipeline_of(Numbers(5), *every_kind())
        getattr(pipeline, kind)(stop)
        with nothing_left(), pytest.raises(Abort):
            await take(pipeline.stream(chunk_size=2))


@pytest.mark.parametrize("wait", [0, 50])
async def test_what_is_no_exception_passes_through_when_a_generator_is_closed_early(wait: int) -> None:
    class Interrupted(Numbers):
        async def read(self, context: PipelineContext, **options: Any) -> AsyncGenerator[Any, None]:
            async with aclosing(super().read(context, **options)) as chunks:
                try:
                    async for chunk in chunks:
                        yield chunk
                finally:
                    raise Abort

    async def interrupted() -> AsyncGenerator[int, None]:
        try:
            for number in range(100):
                yield number
        finally:
            raise Abort

    for stage in every_kind()[1:-1]:
        for pipeline, data in [
            (pipeline_of(Interrupted(), stage), None),
            (pipeline_of(Interrupted(), MapStage(later), stage), None),
            (pipeline_of(stage), interrupted()),
        ]:
            with nothing_left():
                stream = pipeline.stream(data, chunk_size=3)
                await anext(stream)
                await turns(wait)
                with pytest.raises(Abort):
                    await stream.aclose()


async def test_files_are_closed_when_a_stream_is_left_early(tmp_path: Path) -> None:
    file = tmp_path / "numbers.jsonl"
    file.write_text("".join(f'{{"number": {number}}}\n' for number in range(100)))
    for stage in (MapStage(len), MapStage(later), MapStage(later, concurrency=3)):
        with nothing_left():
            await left_early(pipeline_of(JsonLinesSource(file), stage).stream(chunk_size=3))


def check_ends(pipeline: Any) -> None:
    """Check that sources were closed, and loads committed or aborted, each once."""
    for stage in pipeline.stages:
        if isinstance(stage, Numbers):
            assert (stage.opened, stage.closed) in ((1, 1), (0, 0))
        if isinstance(stage, Collect):
            assert stage.ends == ["aborted"] * stage.begun
            assert stage.stored == []


async def test_a_load_that_cannot_even_be_undone_still_fails_for_its_first_reason() -> None:
    error = Boom("write")
    sink = Collect({"write": error, "abort": Boom("abort")})
    with nothing_left(), pytest.raises(Boom) as caught:
        await take(pipeline_of(Numbers(5), sink).stream(chunk_size=2))
    assert caught.value is error
    assert any("to undo the load failed: Boom: abort" in note for note in error.__notes__)
