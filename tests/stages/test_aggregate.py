"""``AggregateStage``: all records into one value."""

from __future__ import annotations

import statistics
from typing import Any

import anyio.lowlevel
import pytest

from mainstem import (
    AggregateStage,
    Combiner,
    Count,
    Mean,
    PipelineContext,
    StageKind,
    Sum,
    current_context,
)
from runs import Abort, errors_of, execute, raising_iterator, run

pytestmark = pytest.mark.anyio


class Joined(Combiner[str, str, str]):
    def create(self) -> str:
        return ""

    def add(self, accumulator: str, record: str) -> str:
        return accumulator + record

    def merge(self, left: str, right: str) -> str:
        return left + right

    def finish(self, accumulator: str) -> str:
        return accumulator.upper()


@pytest.mark.parametrize(
    ("aggregator", "expected"),
    [
        (len, 4),
        (sum, 10),
        (max, 4),
        (statistics.mean, 2.5),
        (list, [4, 1, 2, 3]),
        (lambda numbers: {"low": min(numbers), "high": max(numbers)}, {"low": 1, "high": 4}),
        (Count(), 4),
        (Sum(), 10),
        (Mean(), 2.5),
    ],
)
def test_the_whole_collection_becomes_one_value(aggregator: Any, expected: Any) -> None:
    result = run(AggregateStage(aggregator), data=[4, 1, 2, 3], entered=4)
    assert result.data == expected


async def test_an_async_function_is_awaited() -> None:
    async def total(numbers: list[int]) -> int:
        await anyio.lowlevel.checkpoint()
        return sum(numbers)

    assert (await execute(AggregateStage(total), data=[1, 2], entered=2)).data == 3


async def test_a_plain_function_may_return_an_awaitable() -> None:
    async def total(numbers: list[int]) -> int:
        return sum(numbers)

    assert (await execute(AggregateStage(lambda numbers: total(numbers)), data=[1, 2])).data == 3


def test_a_function_gets_the_collection_as_it_is_and_a_combiner_each_record() -> None:
    data = (1, 2)
    seen: list[Any] = []
    run(AggregateStage(seen.append), data=data)
    assert seen[0] is data
    assert run(AggregateStage(Joined()), data=iter("abc"), entered=3).data == "ABC"


def test_nothing_can_be_aggregated_too() -> None:
    assert run(AggregateStage(Sum()), data=[], entered=0).data == 0
    assert run(AggregateStage(Joined()), data=[], entered=0).data == ""


@pytest.mark.parametrize("aggregator", [Mean(), max, lambda numbers: 1 / len(numbers)])
def test_an_aggregation_that_raises_fails_the_stage(aggregator: Any) -> None:
    result = run(AggregateStage(aggregator), data=[])
    assert isinstance(result.error, (ValueError, ZeroDivisionError))
    assert [entry.stage for entry in result.context.errors] == ["AggregateStage"]
    assert result.context.errors[0].index is None


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
async def test_stop_iteration_out_of_an_aggregator_is_a_failure(kind: type[Exception], is_async: bool) -> None:
    def stop(numbers: list[int]) -> int:
        raise kind

    async def stop_later(numbers: list[int]) -> int:
        raise kind

    result = await execute(AggregateStage(stop_later if is_async else stop), data=[1, 2, 3], entered=3)
    assert not result.success
    assert (result.records_failed, len(result.context.errors)) == (3, 1)


@pytest.mark.parametrize("position", [0, 1, 2], ids=["first", "middle", "last"])
@pytest.mark.parametrize("combiner", [Sum, Mean], ids=lambda combiner: combiner.__name__)
def test_stop_iteration_out_of_a_combiners_function_does_not_end_the_data(combiner: Any, position: int) -> None:
    def weigh(number: int) -> int:
        if number == position:
            raise StopIteration
        return number

    assert not run(AggregateStage(combiner(of=weigh)), data=[0, 1, 2]).success


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_what_is_no_exception_passes_through(is_async: bool) -> None:
    def abort(numbers: list[int]) -> int:
        raise Abort

    async def abort_later(numbers: list[int]) -> int:
        raise Abort

    with pytest.raises(Abort):
        await execute(AggregateStage(abort_later if is_async else abort), data=[1])


def test_what_the_input_raises_fails_the_stage() -> None:
    for aggregator in (Sum(), sum):
        result = run(AggregateStage(aggregator), data=raising_iterator([1, 2], OSError("gone")))
        assert errors_of(result.context) == [("AggregateStage", None, "gone")]


async def test_process_called_alone_gives_a_failed_result_and_does_not_raise() -> None:
    result = await AggregateStage(max).process([], PipelineContext())
    assert (result.success, type(result.error)) == (False, ValueError)


def test_the_context_can_be_had_in_the_function() -> None:
    result = run(AggregateStage(lambda _: current_context().current_stage), data=[1])
    assert result.data == "AggregateStage"


@pytest.mark.parametrize("wrong", [None, 3, "sum"], ids=repr)
def test_what_is_no_aggregator_is_refused_when_the_stage_is_made(wrong: Any) -> None:
    with pytest.raises(TypeError, match="aggregator of AggregateStage must be a function or a Combiner"):
        AggregateStage(wrong)


def test_a_class_of_combiners_is_refused_with_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"make one with Sum\(\.\.\.\)"):
        AggregateStage(Sum)


def test_a_combiner_makes_it_a_combiner_stage_and_a_function_a_blocking_one() -> None:
    joined = Joined()
    assert AggregateStage(joined).kind is StageKind.COMBINER
    assert AggregateStage(joined).combiner is joined
    assert AggregateStage(sum).kind is StageKind.BLOCKING
    assert AggregateStage(sum).combiner is None
    assert AggregateStage(sum, name="total").name == "total"


def test_its_annotations_are_those_of_the_function_or_the_combiner() -> None:
    def total(numbers: list[int]) -> float:
        return sum(numbers)

    assert AggregateStage(total).input_hint == list[int]
    assert AggregateStage(total).output_hint(Any) is float
    assert AggregateStage(Joined()).input_hint.__args__ == (str,)
    assert AggregateStage(Joined()).output_hint(Any) is str
