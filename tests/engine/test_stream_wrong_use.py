"""What a stream refuses, and what it says then."""

from __future__ import annotations

from typing import Any

import pytest

from mainstem import (
    AggregateStage,
    BatchStage,
    Count,
    MapStage,
    Pipeline,
    StageContractError,
    StageTypeError,
    UnboundedStageError,
)
from runs import errors_of, pipeline_of
from streams import Collect, Numbers, Reversed, later, take

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("chunk_size", [0, -1, 2.0, True, "2", None], ids=repr)
def test_a_wrong_chunk_size_is_an_error_at_once(chunk_size: Any) -> None:
    with pytest.raises(ValueError, match=f"chunk_size must be a positive whole number, not {chunk_size!r}"):
        pipeline_of(MapStage(str)).stream([], chunk_size=chunk_size)


@pytest.mark.parametrize("max_in_flight", [1, 0, -3], ids=repr)
def test_fewer_than_two_chunks_in_flight_are_an_error_at_once(max_in_flight: Any) -> None:
    with pytest.raises(ValueError, match=f"max_in_flight must be a whole number of at least 2, not {max_in_flight}"):
        pipeline_of(MapStage(str)).stream([], max_in_flight=max_in_flight)


async def test_a_source_takes_no_input() -> None:
    source = Numbers(3)
    stream = pipeline_of(source, MapStage(str)).stream([1])
    with pytest.raises(StageContractError, match="source 'Numbers' takes no input, and was given list"):
        await take(stream)
    assert source.opened == 0
    assert [entry.stage for entry in stream.result.context.errors] == ["Numbers"]


@pytest.mark.parametrize("data", [None, 42, len], ids=repr)
@pytest.mark.parametrize(
    "stages",
    [
        lambda: [MapStage(str)],
        lambda: [MapStage(later, concurrency=3), MapStage(str)],
        lambda: [BatchStage(2)],
        lambda: [AggregateStage(Count())],
        lambda: [MapStage(str), Collect()],
    ],
    ids=["map", "overlapping", "batch", "combiner", "sink"],
)
async def test_what_holds_no_records_fails_the_first_stage(data: Any, stages: Any) -> None:
    first = stages()
    stream = pipeline_of(*first).stream(data)
    with pytest.raises(TypeError, match=f"a collection of records is needed, and {type(data).__name__} is none"):
        await take(stream)
    [(stage, index, _)] = errors_of(stream.result.context)
    assert (stage, index) == (first[0].name, None)


async def test_a_value_that_holds_no_records_fails_the_stage_after_it() -> None:
    stream = pipeline_of(AggregateStage(len), MapStage(str)).stream([1, 2])
    with pytest.raises(TypeError, match="a collection of records is needed, and int is none"):
        await take(stream)
    assert [entry.stage for entry in stream.result.context.errors] == ["MapStage"]


@pytest.mark.extras
def test_a_last_stage_that_does_not_give_what_the_pipeline_says_is_refused() -> None:
    def text(number: int) -> str:
        return str(number)

    pipeline: Any = Pipeline[list[int], list[int]]("wrong").add_stage(MapStage(text))
    with pytest.raises(StageTypeError, match="is to give list\\[int\\]"):
        pipeline.stream([1])


def test_a_bounded_stream_refuses_what_needs_its_whole_input_by_name_before_anything_is_read() -> None:
    source = Numbers()
    pipeline = pipeline_of(source, MapStage(str), Reversed(), AggregateStage(len))
    with pytest.raises(UnboundedStageError) as caught:
        pipeline.stream(bounded=True)
    assert "'Reversed', made at" in str(caught.value)
    assert "'AggregateStage', made at" in str(caught.value)
    assert "'MapStage'" not in str(caught.value)
    assert source.opened == 0


async def test_a_bounded_stream_takes_what_keeps_a_law() -> None:
    pipeline = pipeline_of(Numbers(7), MapStage(later, concurrency=2), BatchStage(2), AggregateStage(Count()))
    assert await take(pipeline.stream(bounded=True, chunk_size=2)) == [4]


async def test_the_result_is_not_there_before_the_end() -> None:
    stream = pipeline_of(MapStage(str)).stream([1, 2], chunk_size=1)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="take all of its chunks first, or close it"):
            _ = stream.result
        await anext(stream)
    await stream.aclose()
    assert not stream.result.success
