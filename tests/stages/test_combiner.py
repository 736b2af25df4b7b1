"""Combiners: each answer, on nothing, on equals, in parts."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from mainstem import Combiner, Count, Distinct, GroupBy, Max, Mean, Min, Sum, TopK


class Record:
    """Compared by its key alone, so that tests see which of equals was taken."""

    def __init__(self, key: int, label: str) -> None:
        self.key = key
        self.label = label

    def __repr__(self) -> str:
        return f"{self.key}{self.label}"


RECORDS = [Record(2, "a"), Record(1, "b"), Record(2, "c"), Record(3, "d"), Record(1, "e"), Record(3, "f")]


def key(record: Record) -> int:
    return record.key


@pytest.mark.parametrize(
    ("combiner", "records", "answer"),
    [
        (Count(), [], 0),
        (Count(), "abc", 3),
        (Sum(), [], 0),
        (Sum(), [1, 2, 3], 6),
        (Sum(), [True, True], 2),
        (Sum(), [1, 0.5], 1.5),
        (Sum(), [-1, 1, 0.25], 0.25),
        (Sum(), [Decimal("0.1"), Decimal("0.2")], Decimal("0.3")),
        (Sum(), [Fraction(1, 3), Fraction(2, 3)], 1),
        (Sum(of=len), ["a", "bc"], 3),
        (Mean(), [1, 2, 6], 3.0),
        (Mean(of=len), ["a", "bcd"], 2.0),
        (Mean(), [Decimal(1), Decimal(2)], Decimal("1.5")),
        (Min(), [3, 9, 2], 2),
        (Max(), [3, 9, 2], 9),
        (TopK(2), [3, 1, 2], [3, 2]),
        (TopK(2, smallest=True), [3, 1, 2], [1, 2]),
        (TopK(9), [3, 1, 2], [3, 2, 1]),
        (TopK(3), [], []),
        (Distinct(), [3, 1, 3, 2, 1], [3, 1, 2]),
        (Distinct(by=str.lower), ["A", "a", "B"], ["A", "B"]),
        (Distinct(), [], []),
        (GroupBy(len, Count()), ["a", "bb", "c"], {1: 2, 2: 1}),
        (GroupBy(len, Sum(of=int)), ["1", "22", "3"], {1: 4, 2: 22}),
        (GroupBy(len, Count()), [], {}),
    ],
)
def test_the_answer(combiner: Combiner[Any, Any, Any], records: Any, answer: Any) -> None:
    assert combiner.combine(records) == answer
    one_by_one = combiner.create()
    for record in records:
        one_by_one = combiner.add(one_by_one, record)
    assert combiner.finish(one_by_one) == answer


@pytest.mark.parametrize(
    ("combiner", "taken"),
    [
        (Max(by=key), "3d"),
        (Min(by=key), "1b"),
        (TopK(4, by=key), "[3d, 3f, 2a, 2c]"),
        (TopK(3, by=key, smallest=True), "[1b, 1e, 2a]"),
        (Distinct(by=key), "[2a, 1b, 3d]"),
        (GroupBy(key, Max(by=key)), "{2: 2a, 1: 1b, 3: 3d}"),
    ],
)
def test_of_equals_the_earlier_is_taken_wherever_the_data_is_cut(combiner: Combiner[Any, Any, Any], taken: str) -> None:
    for cut in range(len(RECORDS) + 1):
        left = combiner.add_all(combiner.create(), RECORDS[:cut])
        right = combiner.add_all(combiner.create(), RECORDS[cut:])
        assert repr(combiner.finish(combiner.merge(left, right))) == taken


@pytest.mark.parametrize(("combiner", "what"), [(Mean(), "mean"), (Min(), "min"), (Max(), "max")])
def test_what_is_not_defined_for_no_records_says_so(combiner: Combiner[Any, Any, Any], what: str) -> None:
    with pytest.raises(ValueError, match=f"the {what} of no records is not defined"):
        combiner.combine([])


def test_floats_are_added_exactly_and_rounded_once() -> None:
    assert Sum().combine([0.1] * 10) == 1.0
    assert Sum().combine([1e100, 1.0, -1e100]) == 1.0
    assert Mean().combine([0.1] * 10) == 0.1


def test_small_floats_survive_a_merge_with_large_ones() -> None:
    combiner = Sum()
    left = combiner.add_all(combiner.create(), [1e100, 1.0])
    right = combiner.add_all(combiner.create(), [-1e100, 1e-30])
    assert combiner.finish(combiner.merge(left, right)) == math.fsum([1.0, 1e-30])


@pytest.mark.parametrize(
    ("numbers", "answer"),
    [
        ([math.inf, 1.0], math.inf),
        ([-math.inf, 1.0], -math.inf),
        ([math.inf, -math.inf], math.nan),
        ([math.nan, 1.0], math.nan),
        ([1e308, 1e308], math.inf),
        ([0.0, -0.0], 0.0),
    ],
)
def test_beyond_the_finite_range_sums_are_what_floats_say(numbers: list[float], answer: float) -> None:
    combiner = Sum()
    for cut in range(len(numbers) + 1):
        left = combiner.add_all(combiner.create(), numbers[:cut])
        right = combiner.add_all(combiner.create(), numbers[cut:])
        assert combiner.finish(combiner.merge(left, right)) == pytest.approx(answer, nan_ok=True)


@pytest.mark.parametrize("k", [0, -1, True, 1.5], ids=repr)
def test_a_wrong_k_is_refused(k: Any) -> None:
    with pytest.raises(ValueError, match="k of TopK must be a positive whole number"):
        TopK(k)


def test_a_combiner_of_ones_own_needs_four_methods() -> None:
    class Longest(Combiner[str, str, str]):
        def create(self) -> str:
            return ""

        def add(self, accumulator: str, record: str) -> str:
            return max(accumulator, record, key=len)

        def merge(self, left: str, right: str) -> str:
            return max(left, right, key=len)

        def finish(self, accumulator: str) -> str:
            return accumulator

    assert Longest().combine(["a", "ccc", "bb"]) == "ccc"
    with pytest.raises(TypeError, match="abstract"):
        Combiner()  # type: ignore[abstract]
