"""One stage within one run: whatever it does becomes a result, named, timed, counted."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from mainstem import (
    MapStage,
    PipelineContext,
    PipelineStage,
    StageContractError,
    StageFailedError,
    StageResult,
)
from mainstem.stage_run import StageRun, count_records, unique_names
from runs import Abort, check_accounts, errors_of, execute, pipeline_of, watch

pytestmark = pytest.mark.anyio


class Gives(PipelineStage[Any, Any]):
    """Returns, or raises, what it is told to."""

    def __init__(self, answer: Any, name: str = "gives") -> None:
        self._answer = answer
        self.name = name

    async def process(self, data: Any, context: PipelineContext) -> StageResult[Any]:
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer


class NotAsync(Gives):
    def process(self, data: Any, context: PipelineContext) -> Any:
        return self._answer


class Generates(Gives):
    async def process(self, data: Any, context: PipelineContext) -> Any:
        yield StageResult(data=data)


@pytest.mark.parametrize("answer", [None, [1], "text", (True, [1])], ids=repr)
async def test_an_answer_that_is_no_stage_result_fails_with_a_message_that_names_the_stage(answer: Any) -> None:
    result = await execute(Gives(answer, name="mine"), data=[1, 2], entered=2)
    assert isinstance(result.error, StageContractError)
    assert f"process() of stage 'mine' returned {type(answer).__name__}, not a StageResult" in str(result.error)
    assert [entry.stage for entry in result.context.errors] == ["mine"]


@pytest.mark.parametrize("answer", [StageResult(data=1), None, [1]], ids=lambda answer: type(answer).__name__)
async def test_a_process_that_is_not_async_fails_with_a_message_that_names_the_stage(answer: Any) -> None:
    result = await execute(NotAsync(answer, name="mine"), data=[1])
    assert isinstance(result.error, StageContractError)
    assert "process() of stage 'mine' is not async: write 'async def process'" in str(result.error)


async def test_a_process_that_is_a_generator_fails_likewise() -> None:
    result = await execute(Generates(None, name="mine"), data=[1])
    assert isinstance(result.error, StageContractError)
    assert "'mine'" in str(result.error)


async def test_a_failed_result_without_an_error_fails_with_a_message_that_names_the_stage() -> None:
    result = await execute(Gives(StageResult(success=False), name="mine"), data=[1])
    assert isinstance(result.error, StageFailedError)
    assert "stage 'mine' returned a failed result without an error" in str(result.error)


async def test_an_error_that_is_no_exception_fails_with_a_message_that_names_the_stage() -> None:
    wrong: Any = "text"
    result = await execute(Gives(StageResult(success=False, error=wrong), name="mine"), data=[1])
    assert isinstance(result.error, StageContractError)
    assert "the error that stage 'mine' returned is str, not an exception" in str(result.error)


async def test_a_failed_result_with_data_passes_no_data_on() -> None:
    result = await execute(Gives(StageResult(data=[1], success=False, error=ValueError("no"))), MapStage(str), data=[])
    assert (result.data, str(result.error)) == (None, "no")


@pytest.mark.parametrize("error", [ValueError("bad"), StopIteration(), StopAsyncIteration(), AssertionError("no")])
async def test_an_exception_of_a_stage_becomes_a_failed_result(error: Exception) -> None:
    result = await execute(Gives(error), MapStage(str), data=[1, 2, 3], entered=3)
    assert not result.success
    assert result.error is error or isinstance(result.error.__cause__, StopIteration)
    assert list(result.stage_results) == ["gives"]
    assert any(f"in stage 'gives', made at {__file__}:" in note for note in result.error.__notes__)


async def test_what_is_no_exception_passes_through_a_stage() -> None:
    original = Abort()
    with pytest.raises(Abort) as caught:
        await execute(Gives(original), data=[1])
    assert caught.value is original


async def test_an_exception_that_counts_as_false_is_the_runs_error() -> None:
    class Empty(Exception):
        def __bool__(self) -> bool:
            return False

    for answer in (Empty(), StageResult.failure(Empty())):
        assert isinstance((await execute(Gives(answer), data=[1])).error, Empty)


async def test_an_error_the_stage_recorded_itself_is_not_recorded_twice() -> None:
    class Records(PipelineStage[Any, Any]):
        async def process(self, data: Any, context: PipelineContext) -> StageResult[Any]:
            error = ValueError("mine")
            context.record_error(error, record="r", index=0)
            return StageResult.failure(error)

    result = await execute(Records(), data=[1])
    assert errors_of(result.context) == [("Records", 0, "mine")]


async def test_counts_and_time_that_a_stage_does_not_give_are_filled_in() -> None:
    result = await execute(Gives(StageResult(data=[1])), data=[1, 2, 3], entered=3)
    part = result.stage_results["gives"]
    assert (part.records_processed, part.records_failed) == (3, 0)
    assert part.duration_ms > 0


async def test_counts_that_a_stage_gives_are_kept() -> None:
    answer = StageResult(data=[1], records_processed=5, records_failed=2, records_filtered=4)
    result = await execute(Gives(answer), data=list(range(7)), entered=7)
    part = result.stage_results["gives"]
    assert (part.records_processed, part.records_failed, part.records_filtered) == (5, 2, 4)


async def test_a_failure_without_counts_counts_its_whole_input_as_failed_and_at_least_one() -> None:
    assert (await execute(Gives(ValueError()), data=[1, 2], entered=2)).records_failed == 2
    assert (await execute(Gives(ValueError()), data=[], entered=1)).records_failed == 1


async def test_a_stage_that_takes_nothing_is_counted_by_what_it_gives() -> None:
    assert (await execute(Gives(StageResult(data=[1, 2])), data=None, entered=2)).records_processed == 2


@pytest.mark.parametrize(("output", "count"), [([1, 2, 3], 3), ([], 0), (42, 0)], ids=repr)
async def test_an_iterator_cannot_be_counted_afterwards_so_the_output_is(output: Any, count: int) -> None:
    result = await execute(Gives(StageResult(data=output)), data=iter("abc"), entered=count)
    assert result.records_processed == count


async def test_the_total_is_the_sum_of_all_it_was_fed() -> None:
    context = PipelineContext()
    stage_run = StageRun(MapStage(int, continue_on_error=True), "numbers", context)
    await stage_run.feed(["1", "x"])
    assert context.chunk_start == 0
    await stage_run.feed(["y", "2", "3"])
    assert context.chunk_start == 2
    total = check_accounts(stage_run.total(), 5)
    assert (total.data, total.records_processed, total.records_failed) == (None, 3, 2)
    assert [(entry.stage, entry.index) for entry in context.errors] == [("numbers", 1), ("numbers", 2)]
    assert context.progress["numbers"].duration_ms == total.duration_ms
    assert context.completed_stages == []
    stage_run.complete()
    assert (context.completed_stages, context.progress["numbers"].done) == (["numbers"], True)


def test_a_stage_that_was_never_fed_has_an_empty_total() -> None:
    total = check_accounts(StageRun(MapStage(int), "numbers", PipelineContext()).total(), 0)
    assert total.success


@pytest.mark.parametrize(
    ("data", "count"),
    [
        ([1, 2], 2),
        ((1,), 1),
        ({1, 2}, 2),
        (frozenset({1}), 1),
        (deque([1, 2, 3]), 3),
        (range(4), 4),
        ([], 0),
        (None, 0),
        ({"a": 1, "b": 2}, 1),
        ("text", 1),
        (42, 1),
        (iter([1, 2]), 1),
    ],
)
def test_records_are_the_items_of_plain_collections_and_anything_else_is_one(data: Any, count: int) -> None:
    assert count_records(data) == count


def test_equal_names_are_told_apart_by_number() -> None:
    def names(*given: str) -> list[str]:
        return unique_names([Gives(None, name=name) for name in given])

    assert names("a", "b") == ["a", "b"]
    assert names("a", "a", "a") == ["a", "a#2", "a#3"]
    assert names("a", "a#2", "a") == ["a", "a#2", "a#3"]
    assert names() == []


@pytest.mark.parametrize("position", [0, 3])
@pytest.mark.parametrize("watched", [False, True], ids=["fused", "watched"])
def test_a_run_that_failed_reports_the_stages_that_ran_and_counts_up_to_the_failure(
    position: int, watched: bool
) -> None:
    data = ["1"] * 10
    data[position] = "0"
    pipeline = pipeline_of(MapStage(int), MapStage(lambda number: 1 / number), MapStage(str))
    result = check_accounts((watch(pipeline) if watched else pipeline).run(data), position + 1)
    assert list(result.stage_results) == ["MapStage", "MapStage#2"]
    assert result.stage_results["MapStage#2"].error is result.error
    assert (result.records_processed, result.records_failed) == (position, 1)


def test_a_run_without_stages_has_no_stage_results() -> None:
    assert pipeline_of().run([1]).stage_results == {}
