"""Combiners: merge is associative, create() is its unit, and any cut of the data gives the answer of the whole."""

from __future__ import annotations

import copy
import math
import struct
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mainstem import AggregateStage, Combiner, Count, Distinct, GroupBy, Max, Mean, Min, Sum, TopK
from runs import run

COMBINERS: dict[str, Combiner[Any, Any, Any]] = {
    "count": Count(),
    "sum": Sum(),
    "sum of": Sum(of=lambda number: number * number),
    "mean": Mean(),
    "min": Min(),
    "max": Max(),
    "max by": Max(by=lambda number: number % 5),
    "top": TopK(3),
    "top by": TopK(2, by=lambda number: number % 4, smallest=True),
    "distinct": Distinct(),
    "distinct by": Distinct(by=lambda number: number % 7),
    "group": GroupBy(lambda number: number % 3, Sum()),
    "group of groups": GroupBy(lambda number: number % 2, GroupBy(lambda number: number % 3, TopK(2))),
}
NOT_OF_NOTHING = {"mean", "min", "max", "max by"}

INTEGERS = st.lists(st.integers(-100, 100), max_size=30)
FLOATS = st.lists(
    st.one_of(
        st.floats(min_value=-1e300, max_value=1e300),
        st.sampled_from([0.1, 1e16, -1e16, 1e-300, 5e-324, -0.0, 1.0, 1e300, -1e300]),
        st.integers(-(2**60), 2**60).map(float),
    ),
    min_size=1,
    max_size=25,
)


def bits(number: float) -> bytes:
    return struct.pack("<d", number)


def parts_of(combiner: Combiner[Any, Any, Any], cuts: list[list[Any]]) -> list[Any]:
    return [combiner.add_all(combiner.create(), part) for part in cuts]


def finished(combiner: Combiner[Any, Any, Any], accumulator: Any) -> Any:
    return combiner.finish(copy.deepcopy(accumulator))


def merged(combiner: Combiner[Any, Any, Any], left: Any, right: Any) -> Any:
    return combiner.merge(copy.deepcopy(left), copy.deepcopy(right))


def cut(records: list[Any], places: list[int]) -> list[list[Any]]:
    borders = [0, *sorted(min(place, len(records)) for place in places), len(records)]
    return [records[left:right] for left, right in pairwise(borders)]


@pytest.mark.parametrize("name", COMBINERS)
@settings(max_examples=40, deadline=None)
@given(first=INTEGERS.filter(bool), second=INTEGERS, third=INTEGERS)
def test_merge_is_associative_and_create_is_its_unit(
    name: str, first: list[int], second: list[int], third: list[int]
) -> None:
    combiner = COMBINERS[name]
    a, b, c = parts_of(combiner, [first, second, third])
    from_left = merged(combiner, merged(combiner, a, b), c)
    from_right = merged(combiner, a, merged(combiner, b, c))
    assert finished(combiner, from_left) == finished(combiner, from_right)
    whole = finished(combiner, a)
    assert finished(combiner, merged(combiner, combiner.create(), a)) == whole
    assert finished(combiner, merged(combiner, a, combiner.create())) == whole


@pytest.mark.parametrize("name", COMBINERS)
@settings(max_examples=40, deadline=None)
@given(records=INTEGERS, places=st.lists(st.integers(0, 30), max_size=4))
def test_any_cut_of_the_data_gives_the_answer_of_the_whole(name: str, records: list[int], places: list[int]) -> None:
    combiner = COMBINERS[name]
    if not records and name in NOT_OF_NOTHING:
        return
    accumulator = combiner.create()
    for part in parts_of(combiner, cut(records, places)):
        accumulator = combiner.merge(accumulator, part)
    answer = combiner.finish(accumulator)
    assert answer == combiner.combine(records)
    assert answer == run(AggregateStage(combiner), data=records, entered=len(records)).data
    if isinstance(answer, dict):
        assert list(answer) == list(combiner.combine(records)), "keys in the order they first appear"


@settings(max_examples=40, deadline=None)
@given(records=INTEGERS.filter(bool))
def test_the_answers_are_those_of_plain_python(records: list[int]) -> None:
    expected = {
        "count": len(records),
        "sum": sum(records),
        "mean": sum(records) / len(records),
        "min": min(records),
        "max": max(records),
        "max by": max(records, key=lambda number: number % 5),
        "top": sorted(records, reverse=True)[:3],
        "top by": sorted(records, key=lambda number: number % 4)[:2],
        "distinct": list(dict.fromkeys(records)),
    }
    for name, answer in expected.items():
        assert COMBINERS[name].combine(records) == answer


@settings(max_examples=250, deadline=None)
@given(records=FLOATS, places=st.lists(st.integers(0, 25), max_size=4))
@example(records=[1e16, 1.0, -1e16], places=[1])
@example(records=[1e300, 5e-324, -1e300], places=[2])
@example(records=[-0.0, -0.0], places=[1])
def test_sums_and_means_of_floats_do_not_depend_on_the_cut_bit_for_bit(records: list[float], places: list[int]) -> None:
    for combiner in (Sum(), Mean()):
        whole = combiner.combine(records)
        left_to_right, right_to_left = combiner.create(), combiner.create()
        for part in parts_of(combiner, cut(records, places)):
            left_to_right = combiner.merge(left_to_right, part)
        for part in reversed(parts_of(combiner, cut(records, places))):
            right_to_left = combiner.merge(part, right_to_left)
        one_by_one = combiner.create()
        for record in records:
            one_by_one = combiner.add(one_by_one, record)
        for accumulator in (left_to_right, right_to_left, one_by_one):
            assert bits(combiner.finish(accumulator)) == bits(whole)


@settings(max_examples=150, deadline=None)
@given(records=FLOATS)
def test_a_sum_of_floats_is_the_exact_one_rounded_once(records: list[float]) -> None:
    exact = sum(map(Fraction, records))
    assert Sum().combine(records) == float(exact) == math.fsum(records)


@settings(max_examples=100, deadline=None)
@given(
    records=st.lists(st.one_of(st.integers(-(2**70), 2**70), st.floats(-1e200, 1e200)), min_size=1, max_size=20),
    place=st.integers(0, 20),
)
def test_sums_of_whole_numbers_and_floats_mixed_do_not_depend_on_the_cut_either(records: list[Any], place: int) -> None:
    combiner = Sum()
    left, right = parts_of(combiner, [records[:place], records[place:]])
    answer, whole = combiner.finish(combiner.merge(left, right)), combiner.combine(records)
    assert type(answer) is type(whole)
    assert answer == whole
