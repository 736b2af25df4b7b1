"""``KeyedStage``: one aggregation for each key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem import Count, KeyedStage, MapStage, Max, Mean, StageKind, Sum, TopK
from runs import Abort, errors_of, raising_iterator, run


def parity(number: int) -> str:
    return "odd" if number % 2 else "even"


def test_each_key_is_aggregated_in_the_order_in_which_keys_first_appear() -> None:
    result = run(KeyedStage(parity, Sum()), data=[3, 2, 5, 4], entered=4)
    assert result.data == [("odd", 8), ("even", 6)]


@pytest.mark.parametrize(
    ("combiner", "expected"),
    [
        (Count(), [("odd", 3), ("even", 1)]),
        (Mean(), [("odd", 3.0), ("even", 2.0)]),
        (Max(), [("odd", 5), ("even", 2)]),
        (TopK(2), [("odd", [5, 3]), ("even", [2])]),
    ],
)
def test_any_combiner_will_do(combiner: Any, expected: Any) -> None:
    assert run(KeyedStage(parity, combiner), data=[1, 2, 5, 3], entered=4).data == expected


@pytest.mark.parametrize("data", [[], (), iter(())])
def test_nothing_gives_no_pairs(data: Any) -> None:
    assert run(KeyedStage(parity, Mean()), data=data, entered=0).data == []


@given(st.lists(st.integers(), max_size=30), st.integers(0, 30), st.integers(0, 30))
def test_parts_may_be_aggregated_anywhere(numbers: list[int], first: int, second: int) -> None:
    expected: dict[int, list[int]] = {}
    for number in numbers:
        expected.setdefault(number % 3, []).append(number)
    combiner: Any = KeyedStage(lambda number: number % 3, Sum()).combiner
    low, high = sorted((first, second))
    parts = [combiner.add_all(combiner.create(), part) for part in (numbers[:low], numbers[low:high], numbers[high:])]
    merged = combiner.merge(combiner.merge(parts[0], parts[1]), parts[2])
    assert combiner.finish(merged) == [(key, sum(group)) for key, group in expected.items()]
    one_by_one = combiner.create()
    for number in numbers:
        one_by_one = combiner.add(one_by_one, number)
    assert combiner.finish(one_by_one) == [(key, sum(group)) for key, group in expected.items()]


@pytest.mark.parametrize("kind", [ValueError, StopIteration])
@pytest.mark.parametrize("position", [0, 1, 2], ids=["first", "middle", "last"])
def test_a_key_that_raises_fails_the_stage_and_says_which_function(kind: type[Exception], position: int) -> None:
    def key(number: int) -> int:
        if number == position:
            raise kind("no key")
        return number

    result = run(KeyedStage(key, Count()), data=[0, 1, 2])
    assert not result.success
    assert isinstance(result.error, (kind, RuntimeError))
    assert any("key (" in note and "combiner Count" in note for note in result.error.__notes__)


def test_an_unhashable_key_fails_the_stage() -> None:
    result = run(KeyedStage(lambda number: [number], Count()), data=[1])
    assert errors_of(result.context) == [("KeyedStage", None, "unhashable type: 'list'")]


def test_what_is_no_exception_passes_through() -> None:
    def abort(_: int) -> int:
        raise Abort

    with pytest.raises(Abort):
        run(KeyedStage(abort, Count()), data=[1])


def test_what_the_input_raises_fails_the_stage() -> None:
    result = run(KeyedStage(parity, Count()), data=raising_iterator([1, 2], OSError("gone")))
    assert errors_of(result.context) == [("KeyedStage", None, "gone")]


async def later(number: int) -> int:
    return number


@pytest.mark.parametrize(
    ("key", "combiner", "message"),
    [
        ("id", Count(), "key of KeyedStage must be a function of one record"),
        (later, Count(), r"key of KeyedStage must be a plain function, and later \(.*\) is async"),
        (parity, Count, r"Count is a class of combiners: make one with Count\(\.\.\.\)"),
        (parity, sum, "combiner of KeyedStage must be a Combiner, not <built-in function sum>"),
    ],
)
def test_a_wrong_option_is_an_error_when_the_stage_is_made(key: Any, combiner: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        KeyedStage(key, combiner)


def test_it_is_a_combiner_stage_and_says_what_it_takes_and_gives() -> None:
    stage = KeyedStage(parity, Count(), name="by parity")
    assert (stage.kind, stage.name) == (StageKind.COMBINER, "by parity")
    assert stage.input_hint == Iterable[int]
    assert stage.output_hint(Any) == list[tuple[str, int]]

    def show(pair: tuple[str, int]) -> str:
        return f"{pair[0]} {pair[1]}"

    assert run(stage, MapStage(show), data=[1, 2, 3]).data == ["odd 2", "even 1"]
