"""``KeyedStage`` with every kind of combiner."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_type

from functions import Parse, increment, is_positive, text

from mainstem import ChainedStage, Count, KeyedStage, MapStage, Max, Pipeline, PipelineStage, Sum, TopK

numbers = Parse() >> MapStage(increment)


def show(pair: tuple[str, int]) -> str:
    return f"{pair[0]} {pair[1]}"


assert_type(KeyedStage(text, Max[int]()), KeyedStage[int, str, int])
assert_type(numbers >> KeyedStage(text, Count()), ChainedStage[str, list[tuple[str, int]]])
assert_type(numbers >> KeyedStage(is_positive, Count(), name="signs"), ChainedStage[str, list[tuple[bool, int]]])
assert_type(numbers >> KeyedStage(text, Max[int]()), ChainedStage[str, list[tuple[str, int]]])
assert_type(numbers >> KeyedStage(text, TopK[int](3)), ChainedStage[str, list[tuple[str, list[int]]]])
assert_type(numbers >> KeyedStage(text, Count()) >> MapStage(show), ChainedStage[str, list[str]])
keyed: PipelineStage[Iterable[int], list[tuple[str, float]]] = KeyedStage(text, Sum[int]())
assert_type(
    Pipeline[str, list[str]]("keyed").add_stage(numbers).add_stage(KeyedStage(text, Count())).add_stage(MapStage(show)),
    Pipeline[str, list[str], list[str]],
)
