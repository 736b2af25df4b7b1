from __future__ import annotations

import gc
import traceback
from typing import Any

import pytest

from mainstem import FilterStage, MapStage, Pipeline, RetryPolicy, TapStage, ValidateRecordsStage
from mainstem.own_frames import drop_own_frames, is_own_file

pytestmark = pytest.mark.anyio


class Record:
    def __init__(self, number: int) -> None:
        self.number = number


def invert(record: Record) -> float:
    return 1 / record.number


async def invert_async(record: Record) -> float:
    return invert(record)


def functions_of(error: Exception) -> list[str]:
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def through(*stages: Any) -> Any:
    pipeline: Any = Pipeline[Any, Any]("inverses")
    for stage in stages:
        pipeline.add_stage(stage)
    return pipeline


@pytest.mark.parametrize(
    "pipeline",
    [
        through(MapStage(invert, continue_on_error=True)),
        through(FilterStage(lambda record: record.number < 5000), MapStage(invert, continue_on_error=True)),
        through(MapStage(invert, continue_on_error=True, retry=RetryPolicy(attempts=2, wait_initial=0, wait_jitter=0))),
        through(MapStage(invert_async, continue_on_error=True)),
        through(MapStage(invert_async, continue_on_error=True, concurrency=4)),
        through(MapStage(invert_async, continue_on_error=True, timeout=10)),
        through(FilterStage(invert, continue_on_error=True)),
        through(TapStage(invert, continue_on_error=True)),
        through(ValidateRecordsStage(lambda record: invert(record) >= 0, continue_on_error=True)),
    ],
    ids=["map", "loop", "retry", "async", "concurrent", "timeout", "filter", "tap", "validate"],
)
async def test_an_error_that_is_kept_does_not_keep_the_records_of_its_chunk(pipeline: Any) -> None:
    stream = pipeline.stream(Record((number - 500) % 1000) for number in range(3000))
    async for _ in stream:
        pass
    (first, *_) = errors = stream.result.context.errors
    assert len(errors) == 3
    assert "invert" in functions_of(first.error)
    gc.collect()
    alive = sum(isinstance(each, Record) for each in gc.get_objects())
    assert alive < 20


def test_the_traceback_of_a_rejected_record_begins_at_the_users_function() -> None:
    result = Pipeline[Any, Any]("inverses").map(invert_async, continue_on_error=True).run([Record(0)])
    (entry,) = result.context.errors
    assert functions_of(entry.error) == ["invert_async", "invert"]


def test_what_a_validator_refused_has_no_traceback() -> None:
    stage = ValidateRecordsStage(lambda record: "too small", continue_on_error=True)
    (entry,) = Pipeline[Any, Any]("small").add_stage(stage).run([1]).context.errors
    assert entry.error.__traceback__ is None


def test_frames_of_others_stay() -> None:
    def fail() -> None:
        raise KeyError("name")

    with pytest.raises(KeyError) as caught:
        fail()
    drop_own_frames(caught.value)
    assert functions_of(caught.value)[-1] == "fail"
    assert not is_own_file(__file__)
