"""``LimitStage``: the first so many records."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem import LimitStage, MapStage, Pipeline, PipelineContext, StageKind
from mainstem.endpoints import CHUNK_SIZE
from runs import Untouchable, check_accounts, errors_of, raising_iterator, run


@pytest.mark.parametrize(
    ("limit", "data", "first"),
    [
        (2, [5, 6, 7], [5, 6]),
        (3, [5, 6, 7], [5, 6, 7]),
        (9, [5, 6, 7], [5, 6, 7]),
        (0, [5, 6, 7], []),
        (0, [], []),
        (2, [], []),
        (2, (5, 6, 7), [5, 6]),
        (2, iter([5, 6, 7]), [5, 6]),
        (2, "abc", ["a", "b"]),
    ],
)
def test_the_first_records_pass_in_order(limit: int, data: Any, first: list[Any]) -> None:
    result = run(LimitStage(limit), data=data)
    assert result.data == first
    assert result.records_passed == len(first)


def test_the_limit_may_lie_anywhere_in_what_engines_cut_into_chunks() -> None:
    for limit in (CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1):
        assert run(LimitStage(limit), data=iter(range(3 * CHUNK_SIZE))).data == list(range(limit))


@pytest.mark.anyio
@pytest.mark.parametrize("limit", [0, 3])
async def test_no_more_is_asked_of_an_input_without_end(limit: int) -> None:
    numbers = count()
    context = PipelineContext()
    result = check_accounts(await LimitStage(limit).process(numbers, context), limit)
    assert result.data == list(range(limit))
    assert next(numbers) == limit


@pytest.mark.anyio
async def test_in_a_chain_a_limit_of_none_lets_none_pass() -> None:
    result = check_accounts(await (MapStage(str) >> LimitStage(0)).process([5, 6], PipelineContext()), 2)
    assert (result.data, result.stage_results["LimitStage"].records_passed) == ([], 0)


def test_a_run_reads_no_more_than_the_limit() -> None:
    numbers = count()
    asked: list[int] = []

    def ask(number: int) -> int:
        asked.append(number)
        return number

    result = run(MapStage(ask), LimitStage(3), MapStage(str), data=numbers)
    assert (result.data, asked) == (["0", "1", "2"], [0, 1, 2])


def test_what_the_input_would_raise_beyond_the_limit_is_not_met() -> None:
    result = Pipeline[Any, list[int]]("short").limit(2).run([1, 2, 3])
    assert result.data == [1, 2]
    beyond = run(LimitStage(4), data=raising_iterator([1, 2, 3], OSError("gone")))
    assert errors_of(beyond.context) == [("LimitStage", None, "gone")]


@pytest.mark.anyio
async def test_its_state_says_how_many_it_still_wants_and_filters_what_comes_all_the_same() -> None:
    state = LimitStage[int](3).begin()
    context = PipelineContext()
    wanted: list[int | None] = [state.wanted]
    outputs: list[Any] = []
    for chunk in ([1, 2], [3, 4], [5]):
        result = check_accounts(await state.feed(chunk, context), len(chunk))
        outputs.append((result.data, result.records_filtered))
        wanted.append(state.wanted)
    assert wanted == [3, 1, 0, 0]
    assert outputs == [([1, 2], 0), ([3], 1), ([], 1)]


@pytest.mark.anyio
@given(numbers=st.lists(st.integers(), max_size=20), limit=st.integers(0, 20), cut=st.integers(0, 20))
async def test_a_restored_state_takes_what_was_left(numbers: list[int], limit: int, cut: int) -> None:
    context = PipelineContext()
    stage = LimitStage[int](limit)
    before, after = stage.begin(), stage.begin()
    first = await before.feed(numbers[:cut], context)
    after.restore(before.snapshot())
    assert after.wanted == before.wanted == max(0, limit - cut) if cut <= len(numbers) else True
    rest = await after.feed(numbers[cut:], context)
    assert [*(first.data or []), *(rest.data or [])] == numbers[:limit]


def test_records_are_only_carried() -> None:
    records = [Untouchable(), Untouchable()]
    assert run(LimitStage(1), data=records).data[0] is records[0]


@pytest.mark.parametrize("limit", [-1, 2.0, True, "2", None], ids=repr)
def test_a_wrong_count_is_an_error_when_the_stage_is_made(limit: Any) -> None:
    with pytest.raises(ValueError, match="count of a limit must be a whole number from 0 up, not"):
        LimitStage(limit)


def test_it_is_stateful_and_keeps_the_type_of_the_records() -> None:
    assert LimitStage(2).kind is StageKind.STATEFUL
    assert (LimitStage.expands, LimitStage.ends_input) == (False, True)
    assert LimitStage(2).output_hint(list[int]) == list[int]
    assert (MapStage(str) >> LimitStage(2)).output_hint(Any) == list[str]
    assert LimitStage(2, name="first two").name == "first two"
