"""``FilterStage``: keep the records that match."""

from __future__ import annotations

from typing import Any

import anyio.lowlevel
import pytest

from mainstem import FilterStage, MapStage, PipelineContext, StageKind
from mainstem.endpoints import CHUNK_SIZE
from runs import check_accounts, execute, run


def is_even(number: int) -> bool:
    return number % 2 == 0


def test_the_records_that_match_are_kept_in_order_and_the_others_counted_as_filtered() -> None:
    result = run(FilterStage(is_even), data=[4, 1, 2, 3, 8], entered=5)
    assert result.data == [4, 2, 8]
    assert (result.records_processed, result.records_filtered, result.records_failed) == (5, 2, 0)
    assert result.records_passed == 3


@pytest.mark.anyio
@pytest.mark.parametrize("concurrency", [1, 4])
async def test_an_async_predicate_is_awaited(concurrency: int) -> None:
    async def matches(number: int) -> bool:
        await anyio.lowlevel.checkpoint()
        return number > 2

    result = await execute(FilterStage(matches, concurrency=concurrency), data=[1, 2, 3, 4], entered=4)
    assert (result.data, result.records_filtered) == ([3, 4], 2)


def test_the_answer_is_taken_for_its_truth() -> None:
    assert run(FilterStage(lambda text: text.strip()), data=["a", " ", ""]).data == ["a"]
    assert run(FilterStage(bool), data=[0, 1, None, [], [0]]).data == [1, [0]]
    assert run(FilterStage(str.isdigit), data=["1", "x"]).data == ["1"]


@pytest.mark.parametrize(
    ("data", "kept"), [([], []), ([1, 3], []), ([2], [2]), (range(2 * CHUNK_SIZE), list(range(0, 2 * CHUNK_SIZE, 2)))]
)
def test_nothing_all_or_some_of_the_records_may_match(data: Any, kept: list[int]) -> None:
    result = run(FilterStage(is_even), data=data, entered=len(data))
    assert (result.data, result.records_filtered) == (kept, len(data) - len(kept))


@pytest.mark.parametrize("position", [0, 1, 2], ids=["first", "middle", "last"])
@pytest.mark.parametrize("kind", [ValueError, StopIteration])
@pytest.mark.parametrize("go_on", [False, True], ids=["fail-fast", "continue"])
def test_an_answer_that_has_no_truth_is_the_failure_of_its_record(
    kind: type[Exception], position: int, go_on: bool
) -> None:
    class Answer:
        def __init__(self, number: int) -> None:
            self._number = number

        def __bool__(self) -> bool:
            if self._number == position:
                raise kind("no truth")
            return True

    result = run(FilterStage(Answer, continue_on_error=go_on), data=[0, 1, 2])
    (entry,) = result.context.errors
    assert (entry.index, entry.record) == (position, position)
    assert isinstance(entry.error, RuntimeError if kind is StopIteration else kind)
    assert result.success is go_on
    if go_on:
        assert result.data == [number for number in (0, 1, 2) if number != position]
        check_accounts(result, 3)


@pytest.mark.anyio
async def test_a_failed_call_and_an_answer_without_truth_are_both_recorded_in_order() -> None:
    class NoTruth:
        def __bool__(self) -> bool:
            raise ValueError("no truth")

    def check(number: int) -> Any:
        if number == 1:
            raise KeyError("no answer")
        return NoTruth() if number in (0, 3) else number != 2

    context = PipelineContext()
    result = check_accounts(await FilterStage(check, continue_on_error=True).process([0, 1, 2, 3, 4], context))
    assert result.data == [4]
    assert [(entry.index, type(entry.error)) for entry in context.errors] == [
        (0, ValueError),
        (1, KeyError),
        (3, ValueError),
    ]
    assert (result.records_filtered, result.records_failed) == (1, 3)


def test_it_keeps_the_type_of_the_records() -> None:
    assert FilterStage(is_even).output_hint(list[int]) == list[int]
    assert FilterStage(is_even).output_hint(Any) == list[int]
    assert (MapStage(str) >> FilterStage(bool)).output_hint(Any) == list[str]


def test_it_is_elementwise() -> None:
    assert FilterStage(is_even).kind is StageKind.ELEMENTWISE
