"""Chaining is associative, batch and flatten are inverse, map and filter compose."""

from __future__ import annotations

from functools import reduce
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_pipelines import StageMaker, numbers, pipelines

from mainstem import BatchStage, FilterStage, FlattenStage, MapStage
from mainstem.endpoints import CHUNK_SIZE
from runs import errors_of, run

FUNCTIONS = st.sampled_from([lambda n: n + 1, lambda n: 3 * n, lambda n: -n, lambda n: n // 2, hash])
PREDICATES = st.sampled_from([lambda n: n % 2 == 0, lambda n: n > 10, lambda n: n % 3, lambda n: True, lambda n: []])


def counts(result: Any) -> list[tuple[str, int, int, int, int]]:
    return [
        (name, part.records_in, part.records_passed, part.records_filtered, part.records_failed)
        for name, part in result.stage_results.items()
    ]


@settings(max_examples=40, deadline=None)
@given(makers=pipelines(4), data=numbers(), cut=st.integers(0, 4))
def test_chaining_is_associative(makers: list[StageMaker], data: list[int], cut: int) -> None:
    def outcome(*stages: Any) -> Any:
        result = run(*stages, data=data, entered=len(data))
        return result.data, counts(result), sorted(errors_of(result.context)), result.context.completed_stages

    stages = [make() for make in makers]
    at = min(max(cut, 1), len(stages) - 1)
    from_left = reduce(lambda left, right: left >> right, stages)
    expected = outcome(*stages)
    assert outcome(from_left) == expected
    if len(stages) > 1:
        left = reduce(lambda left, right: left >> right, stages[:at])
        right = reduce(lambda left, right: left >> right, stages[at:])
        assert (left >> right).members == from_left.members
        assert outcome(left >> right) == expected


@settings(max_examples=60, deadline=None)
@given(data=numbers(), size=st.integers(1, 2 * CHUNK_SIZE))
def test_flatten_after_batch_is_the_identity(data: list[int], size: int) -> None:
    assert run(BatchStage(size) >> FlattenStage(), data=data, entered=len(data)).data == data
    batches = run(BatchStage(size), data=data).data
    assert all(len(batch) == size for batch in batches[:-1])
    assert all(1 <= len(batch) <= size for batch in batches)


@settings(max_examples=40, deadline=None)
@given(first=FUNCTIONS, second=FUNCTIONS, data=numbers())
def test_a_map_of_a_composition_is_the_composition_of_maps(first: Any, second: Any, data: list[int]) -> None:
    together = run(MapStage(lambda number: second(first(number))), data=data, entered=len(data))
    apart = run(MapStage(first) >> MapStage(second), data=data, entered=len(data))
    assert together.data == apart.data == [second(first(number)) for number in data]


@settings(max_examples=40, deadline=None)
@given(first=PREDICATES, second=PREDICATES, data=numbers())
def test_a_filter_of_a_conjunction_is_the_composition_of_filters(first: Any, second: Any, data: list[int]) -> None:
    together = run(FilterStage(lambda number: first(number) and second(number)), data=data, entered=len(data))
    apart = run(FilterStage(first) >> FilterStage(second), data=data, entered=len(data))
    assert together.data == apart.data == [number for number in data if first(number) and second(number)]
    assert together.records_filtered == apart.records_filtered


@pytest.mark.parametrize("make", [MapStage, FilterStage])
@settings(max_examples=25, deadline=None)
@given(left=numbers(), right=numbers())
def test_an_elementwise_stage_keeps_its_law(make: Any, left: list[int], right: list[int]) -> None:
    def small(number: int) -> bool:
        return number < 50

    apart = run(make(small), data=left).data + run(make(small), data=right).data
    assert run(make(small), data=left + right).data == apart
