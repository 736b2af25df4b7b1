"""A stream gives what ``execute`` gives: the same records, counts, errors, events and calls of hooks."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from mainstem import (
    AggregateStage,
    BatchStage,
    Count,
    FilterStage,
    FlattenStage,
    MapStage,
    PipelineContext,
    PipelineResult,
    PipelineStage,
    StageKind,
    StageResult,
    StopPipeline,
    Sum,
    TopK,
    current_context,
)
from runs import check_accounts, errors_of, pipeline_of, raising_iterator
from streams import Collect, Heard, Numbers, Reversed, arriving, later, nothing_left, take

pytestmark = pytest.mark.anyio

CHUNK_SIZES = [1, 2, 7, 1000]
LENGTHS = [0, 1, 14, 20]


def no_sevens(number: int) -> int:
    if number % 7 == 0:
        raise ValueError(f"{number} is a multiple of seven")
    return number


async def no_fives(number: int) -> int:
    await later(number)
    if number % 5 == 0:
        raise ValueError(f"{number} is a multiple of five")
    return number


def is_even(number: int) -> bool:
    return number % 2 == 0


class Ending(PipelineStage[Any, Any]):
    """An elementwise stage of the user's own, whose code asks for the current context."""

    kind = StageKind.ELEMENTWISE

    async def process(self, data: Any, context: PipelineContext) -> StageResult[Any]:
        assert current_context().pipeline_id == context.pipeline_id
        return StageResult(data=[(record, "end") for record in data])


PIPELINES: dict[str, Any] = {
    "no stages": lambda: (),
    "sync": lambda: (MapStage(str), MapStage(int), FilterStage(is_even), MapStage(str)),
    "async in turn": lambda: (MapStage(later), FilterStage(is_even), MapStage(later, name="again")),
    "overlapping": lambda: (MapStage(later, concurrency=4), FilterStage(is_even), MapStage(later, concurrency=3)),
    "stage of one's own": lambda: (MapStage(str), Ending(), MapStage(later), Ending()),
    "batches of batches": lambda: (BatchStage(3), BatchStage(2), MapStage(later), FlattenStage(), FlattenStage()),
    "left-over batches": lambda: (BatchStage(3), MapStage(len), BatchStage(4), MapStage(later, concurrency=2)),
    "failures": lambda: (
        MapStage(no_sevens, continue_on_error=True),
        FilterStage(is_even),
        MapStage(no_fives, concurrency=3, continue_on_error=True),
        BatchStage(2),
        FlattenStage(),
        MapStage(no_fives, continue_on_error=True),
        MapStage(no_sevens, continue_on_error=True),
    ),
    "combiner": lambda: (MapStage(later), AggregateStage(Sum())),
    "function of the whole": lambda: (MapStage(later, concurrency=2), AggregateStage(sum)),
    "value, and on": lambda: (AggregateStage(TopK(3)), MapStage(str), AggregateStage(Count()), Plus()),
    "blocking": lambda: (MapStage(str), Reversed(), MapStage(later), Reversed()),
    "sink": lambda: (BatchStage(2), MapStage(later), Collect()),
}


class Plus(PipelineStage[int, int]):
    async def process(self, data: int, context: PipelineContext) -> StageResult[int]:
        return StageResult(data=data + 1)


def gives_value(stages: Any) -> bool:
    """Whether a pipeline ends in a stage that has one answer, such as a list that is not to be cut."""
    return bool(stages) and stages[-1].kind in (StageKind.COMBINER, StageKind.BLOCKING)


def facts(result: PipelineResult[Any]) -> Any:
    """What is to be the same in a stream: all but the data, times and notes."""
    parts = {
        name: (part.success, part.records_processed, part.records_failed, part.records_filtered)
        for name, part in result.stage_results.items()
    }
    counts = (result.records_processed, result.records_failed, result.records_filtered)
    done = {name: progress.done for name, progress in result.context.progress.items()}
    return result.success, counts, parts, sorted(errors_of(result.context)), result.context.completed_stages, done


def inputs(length: int) -> dict[str, Any]:
    numbers = range(length)
    return {
        "list": list(numbers),
        "tuple": tuple(numbers),
        "range": numbers,
        "iterator": iter(numbers),
        "async generator": arriving(numbers),
    }


@pytest.mark.parametrize("stages", PIPELINES.values(), ids=PIPELINES.keys())
@pytest.mark.parametrize("kind", [*inputs(0), "source"])
async def test_a_stream_gives_the_records_and_the_facts_of_execute(stages: Any, kind: str) -> None:
    for length in LENGTHS:
        source = [Numbers(length)] if kind == "source" else []
        wanted = await pipeline_of(*source, *stages()).execute(None if source else list(range(length)))
        for chunk_size in CHUNK_SIZES:
            stream = pipeline_of(*source, *stages()).stream(inputs(length).get(kind), chunk_size=chunk_size)
            with nothing_left():
                chunks = await take(stream)
            result = check_accounts(stream.result)
            assert facts(result) == facts(wanted)
            if gives_value(stages()):
                assert chunks == [wanted.data]
                assert result.data == wanted.data
            else:
                assert [record for chunk in chunks for record in chunk] == wanted.data
                assert all(chunks)
                assert result.data is None
        assert all(each.opened == each.closed for each in source)


@pytest.mark.parametrize("name", ["failures", "blocking", "combiner", "sink", "left-over batches"])
async def test_the_laws_hold_with_hooks_too(name: str) -> None:
    def watched(*stages: Any) -> Any:
        pipeline = pipeline_of(*stages)
        pipeline.after_stage(lambda *_: None)
        return pipeline

    wanted = await watched(*PIPELINES[name]()).execute(list(range(20)))
    for chunk_size in CHUNK_SIZES:
        stream = watched(*PIPELINES[name]()).stream(list(range(20)), chunk_size=chunk_size)
        chunks = await take(stream)
        assert facts(stream.result) == facts(wanted)
        if gives_value(PIPELINES[name]()):
            assert chunks == [wanted.data]
        else:
            assert [record for chunk in chunks for record in chunk] == wanted.data


async def test_an_error_says_where_in_the_whole_input_the_record_was() -> None:
    stream = pipeline_of(MapStage(str), MapStage(int), MapStage(no_sevens)).stream(range(1, 20), chunk_size=2)
    chunks: list[Any] = []
    with pytest.raises(ValueError, match="7 is a multiple") as caught:
        await take(stream, chunks)
    assert chunks == [[1, 2], [3, 4], [5, 6]]
    result = check_accounts(stream.result)
    assert result.error is caught.value
    assert errors_of(result.context) == [("MapStage#3", 6, "7 is a multiple of seven")]
    assert any("at record 6, in" in note for note in caught.value.__notes__)
    assert (result.records_in, result.records_failed) == (7, 1)
    assert result.context.current_stage == "MapStage#3"


async def test_the_input_fails_the_first_stage_after_the_records_before_and_where_there_is_none_the_run() -> None:
    for stages, first in [((MapStage(later), MapStage(str)), "MapStage"), ((), "under test")]:
        heard = Heard()
        failed: list[str] = []
        pipeline = pipeline_of(*stages, event_bus=heard.bus)
        pipeline.on_error(lambda name, error, context: failed.append(name))  # noqa: B023 - used in this turn
        stream = pipeline.stream(raising_iterator(range(3), OSError("gone")), chunk_size=2)
        chunks: list[Any] = []
        with pytest.raises(OSError, match="gone") as caught:
            await take(stream, chunks)
        assert [len(chunk) for chunk in chunks] == [2, 1]
        assert "raised by the input after 3 records" in caught.value.__notes__
        assert errors_of(stream.result.context) == [(first, None, "gone")]
        assert (stream.result.error, heard.statuses, failed) == (caught.value, ["failed"], [first])


async def test_an_async_input_that_raises_fails_the_first_stage_after_the_records_before() -> None:
    async def broken() -> AsyncGenerator[int, None]:
        yield 1
        raise OSError("gone")

    stream = pipeline_of(MapStage(str)).stream(broken())
    chunks: list[Any] = []
    with pytest.raises(OSError, match="gone"):
        await take(stream, chunks)
    assert chunks == [["1"]]
    assert errors_of(stream.result.context) == [("MapStage", None, "gone")]


async def test_the_events_say_how_a_run_went() -> None:
    heard = Heard()
    pipeline = pipeline_of(MapStage(no_sevens), event_bus=heard.bus)
    stream = pipeline.stream([1, 2])
    assert heard.begun == 0
    await anext(stream)
    assert (heard.begun, heard.statuses) == (1, [])
    await take(stream)
    assert heard.statuses == ["completed"]
    with pytest.raises(ValueError, match="seven"):
        await take(pipeline.stream([7]))
    async with pipeline.stream([1, 2], chunk_size=1) as stream:
        await anext(stream)
    assert (heard.begun, heard.statuses) == (3, ["completed", "failed", "cancelled"])


async def test_hooks_see_each_chunk_and_what_is_left_at_the_end() -> None:
    calls: list[Any] = []
    pipeline = pipeline_of(Numbers(5), MapStage(later, concurrency=2), BatchStage(2), AggregateStage(Count()))
    pipeline.before_stage(lambda name, data, context: calls.append(("before", name, data)))
    pipeline.after_stage(lambda name, data, context: calls.append(("after", name, data)))
    pipeline.on_complete(lambda data, context: calls.append(("complete", data)))
    assert await take(pipeline.stream(chunk_size=3)) == [3]

    def seen(name: str) -> list[Any]:
        return [(when, data) for when, stage, *rest in calls if stage == name for data in rest]

    assert seen("Numbers") == [("before", None), ("after", [0, 1, 2]), ("after", [3, 4])]
    assert sorted(seen("MapStage")) == [
        ("after", [0, 1, 2]), ("after", [3, 4]), ("before", [0, 1, 2]), ("before", [3, 4]),
    ]  # fmt: skip
    assert seen("BatchStage") == [
        ("before", [0, 1, 2]), ("after", [[0, 1]]), ("before", [3, 4]), ("after", [[2, 3]]), ("after", [[4]]),
    ]  # fmt: skip
    assert seen("AggregateStage") == [("before", [[0, 1]]), ("before", [[2, 3]]), ("before", [[4]]), ("after", 3)]
    assert calls[-1] == ("complete", 3)


async def test_on_complete_is_given_nothing_where_chunks_were_handed_out_and_current_context_works_in_hooks() -> None:
    given: list[Any] = []
    pipeline = pipeline_of(MapStage(str))

    @pipeline.on_complete
    def remember(data: Any, context: PipelineContext) -> None:
        given.append((data, current_context() is context))

    pipeline.before_stage(lambda *_: current_context())
    stream = pipeline.stream([1, 2])
    await take(stream)
    assert given == [(None, True)]
    assert stream.context.errors == []


@pytest.mark.parametrize("kind", ["before_stage", "after_stage"])
@pytest.mark.parametrize("at", ["Numbers", "MapStage", "overlapping", "BatchStage", "Collect"])
async def test_a_hook_stops_the_run_on_purpose(kind: str, at: str) -> None:
    heard, sink, source = Heard(), Collect(), Numbers(20)
    overlapping = MapStage(later, concurrency=3, name="overlapping")
    pipeline = pipeline_of(source, MapStage(later), overlapping, BatchStage(2), sink, event_bus=heard.bus)

    def stop(name: str, data: Any, context: PipelineContext) -> None:
        if name == at:
            raise StopPipeline("enough")

    getattr(pipeline, kind)(stop)
    pipeline.on_error(lambda *_: pytest.fail("no stage has failed"))
    stream = pipeline.stream(chunk_size=3)
    with nothing_left(), pytest.raises(StopPipeline, match="enough") as caught:
        await take(stream)
    assert stream.result.error is caught.value
    assert heard.statuses == ["failed"]
    assert source.opened == source.closed
    assert sink.ends == (["committed"] if (kind, at) == ("after_stage", "Collect") else ["aborted"])


async def test_current_context_works_in_what_takes_all_that_comes() -> None:
    seen: list[str] = []

    class Looking(Reversed):
        async def process(self, data: Any, context: PipelineContext) -> StageResult[Any]:
            seen.append(current_context().pipeline_id)
            return await super().process(data, context)

    async def look() -> None:
        seen.append(current_context().pipeline_id)

    stream = pipeline_of(MapStage(later), Looking(), Looking(), Collect(wait=look)).stream([1])
    await take(stream)
    assert seen == [stream.context.pipeline_id] * 3


async def test_a_context_can_be_given_and_read_while_the_run_goes_on() -> None:
    context = PipelineContext(metadata={"currency": "EUR"})

    def price(cents: int) -> str:
        return f"{cents} {current_context().metadata['currency']}"

    stream = pipeline_of(MapStage(price)).stream([1, 2, 3], chunk_size=1, context=context)
    assert await anext(stream) == ["1 EUR"]
    assert stream.context is context
    assert context.progress["MapStage"].records_passed == 1
    with pytest.raises(RuntimeError, match="no result yet"):
        _ = stream.result
    assert len(await take(stream)) == 2
    assert stream.result.context is context
    assert context.elapsed_ms == context.elapsed_ms


async def test_runs_of_one_pipeline_may_overlap() -> None:
    pipeline = pipeline_of(BatchStage(2), MapStage(later), FlattenStage(), AggregateStage(Sum()))
    pieces = pipeline_of(BatchStage(2)).stream
    async with pieces([1, 2, 3], chunk_size=1) as first, pieces([4, 5, 6], chunk_size=1) as second:
        assert [await anext(first), await anext(second)] == [[[1, 2]], [[4, 5]]]
        assert [await anext(first), await anext(second)] == [[[3]], [[6]]]
    assert await take(pipeline.stream(range(5))) == [10]


async def test_whoever_takes_the_one_value_need_not_ask_for_more() -> None:
    heard, sink = Heard(), Collect()
    async with pipeline_of(Numbers(5), sink, event_bus=heard.bus).stream() as stream:
        report = await anext(stream)
        assert (report.records_loaded, heard.statuses, stream.result.success) == (5, ["completed"], True)
    assert stream.result.success
    assert heard.statuses == ["completed"]


@pytest.mark.extras
async def test_records_are_checked_in_streams_too() -> None:
    def wrong(number: int) -> str:
        return number  # type: ignore[return-value]

    for stage in (MapStage(wrong), MapStage(wrong, concurrency=2)):
        with pytest.raises(TypeError, match="MapStage"):
            await take(pipeline_of(stage, check="all").stream([1, 2], chunk_size=1))


async def test_stages_that_need_their_whole_input_gather_it_and_their_result_says_so() -> None:
    pipeline = pipeline_of(MapStage(str), Reversed(), MapStage(later), AggregateStage(len))
    stream = pipeline.stream(iter(range(2000)), chunk_size=7)
    assert await take(stream) == [2000]
    parts = stream.result.stage_results
    gathered = "gathered 2,000 records: it needs its whole input at once"
    assert (parts["Reversed"].notes, parts["AggregateStage"].notes) == ((gathered,), (gathered,))
    assert parts["MapStage"].notes == ()


@pytest.mark.parametrize("make", [list, iter])
async def test_a_pipeline_as_first_stage_takes_the_whole_input_and_says_so(make: Any) -> None:
    inner = pipeline_of(MapStage(str), name="inner")
    stream = pipeline_of(inner).stream(make(range(2500)))
    assert [record async for chunk in stream for record in chunk] == [str(number) for number in range(2500)]
    assert stream.result.stage_results["inner"].notes == ("took the whole input at once, as it was given",)
