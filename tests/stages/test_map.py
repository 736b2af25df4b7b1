"""``MapStage``: one record in, one record out."""

from __future__ import annotations

import operator
from functools import partial
from typing import Any

import anyio.lowlevel
import pytest

from mainstem import MapStage, Pipeline, PipelineContext, StageKind, StageTypeError
from mainstem.type_hints import list_of
from runs import errors_of, execute, run


@pytest.mark.parametrize(
    ("function", "data", "expected"),
    [
        (str, [1, 2], ["1", "2"]),
        (int, ["1", "2"], [1, 2]),
        (len, ["", "ab"], [0, 2]),
        (str.upper, ["a"], ["A"]),
        (partial(pow, 2), [3, 4], [8, 16]),
        (operator.itemgetter("a"), [{"a": 1}], [1]),
        ("{}!".format, ["x"], ["x!"]),
        (lambda number: number + 1, [1], [2]),
        (lambda number: None, [1, 2], [None, None]),
        (list, ["ab"], [["a", "b"]]),
        (len, {"key": 1}, [3]),
        (str.upper, "ab", ["A", "B"]),
    ],
)
def test_each_record_is_replaced_by_what_the_function_returns(function: Any, data: Any, expected: list[Any]) -> None:
    assert run(MapStage(function), data=data, entered=len(data)).data == expected


@pytest.mark.anyio
async def test_what_an_async_function_returns_is_awaited() -> None:
    async def double(number: int) -> int:
        await anyio.lowlevel.checkpoint()
        return 2 * number

    assert (await execute(MapStage(double), data=[1, 2, 3])).data == [2, 4, 6]


def test_the_output_is_a_new_list_and_the_input_is_left_alone() -> None:
    data = [1, 2]
    result = run(MapStage(lambda number: number), data=data)
    assert result.data == [1, 2]
    assert result.data is not data


def test_an_empty_input_gives_an_empty_output() -> None:
    result = run(MapStage(len), data=[], entered=0)
    assert (result.success, result.data, result.context.completed_stages) == (True, [], ["MapStage"])


@pytest.mark.anyio
async def test_process_can_be_called_alone_and_gives_a_failed_result() -> None:
    context = PipelineContext()
    result = await MapStage(int).process(["1", "x", "3"], context)
    assert (result.success, result.data, result.records_processed, result.records_failed) == (False, None, 1, 1)
    assert isinstance(result.error, ValueError)
    assert [(entry.stage, entry.index, entry.record) for entry in context.errors] == [("MapStage", 1, "x")]
    assert context.errors[0].error is result.error


@pytest.mark.anyio
async def test_process_alone_with_continue_on_error_gives_the_partial_output() -> None:
    context = PipelineContext()
    result = await MapStage(int, continue_on_error=True).process(["1", "x", "3"], context)
    assert (result.success, result.data, result.error) == (True, [1, 3], None)
    assert (result.records_processed, result.records_failed) == (2, 1)
    assert [entry.index for entry in context.errors] == [1]


def test_with_every_record_failing_continue_on_error_still_succeeds_with_nothing() -> None:
    result = run(MapStage(int, continue_on_error=True), data=["a", "b"], entered=2)
    assert (result.success, result.data, result.records_failed) == (True, [], 2)


def test_positions_are_those_of_the_stage_that_failed_not_of_the_pipelines_input() -> None:
    def third_fails(number: int) -> int:
        if number == 5:
            raise ValueError("five")
        return number

    from mainstem import FilterStage

    odd = FilterStage(lambda number: number % 2)
    result = run(odd, MapStage(third_fails, continue_on_error=True), data=range(10), entered=10)
    assert errors_of(result.context) == [("MapStage", 2, "five")]


def test_what_it_takes_and_gives_is_read_from_the_annotations() -> None:
    def length(text: str) -> int:
        return len(text)

    async def later(text: str) -> int:
        return len(text)

    for function in (length, later):
        assert MapStage(function).input_hint.__args__ == (str,)
        assert MapStage(function).output_hint(Any) == list[int]
    assert MapStage(lambda text: text).output_hint(Any) == list_of(Any)


@pytest.mark.extras
def test_a_function_of_another_type_is_refused_when_it_is_added() -> None:
    def length(text: str) -> int:
        return len(text)

    with pytest.raises(StageTypeError, match="MapStage"):
        Pipeline[list[bytes], list[int]]("wrong").add_stage(MapStage(length))


def test_it_is_elementwise() -> None:
    assert MapStage(len).kind is StageKind.ELEMENTWISE
