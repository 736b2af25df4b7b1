"""``>>`` with every built-in stage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, assert_type

from functions import (
    Parse,
    Show,
    fetch,
    increment,
    is_anything,
    is_even,
    is_known,
    is_positive,
    length,
    not_empty,
    not_empty_later,
    slow_total,
    start_fetch,
    text,
    total,
)

from mainstem import (
    AggregateStage,
    BatchStage,
    BranchStage,
    ChainedStage,
    Count,
    Distinct,
    FilterStage,
    FlattenStage,
    GroupBy,
    MapStage,
    PipelineStage,
    TopK,
    ValidateRecordsStage,
    ValidateStage,
    fan_out,
)


@dataclass
class User:
    age: int


def as_row(age: int) -> dict[str, Any]:
    return {"age": age}


def age_of(user: User) -> int:
    return user.age


numbers = Parse() >> MapStage(increment)
assert_type(numbers, ChainedStage[str, list[int]])

# map: sync, async, plain functions that return awaitables, builtins, classes, partials
assert_type(numbers >> MapStage(text), ChainedStage[str, list[str]])
assert_type(numbers >> MapStage(fetch, concurrency=10), ChainedStage[str, list[str]])
assert_type(numbers >> MapStage(start_fetch), ChainedStage[str, list[str]])
assert_type(numbers >> MapStage(str, continue_on_error=True, name="text"), ChainedStage[str, list[str]])
assert_type(numbers >> MapStage(partial(pow, 2)) >> AggregateStage(len), ChainedStage[str, int])
assert_type(numbers >> MapStage(text) >> MapStage(length), ChainedStage[str, list[int]])

# stages that give the records they are given keep their type
assert_type(numbers >> FilterStage(is_positive), ChainedStage[str, list[int]])
assert_type(numbers >> FilterStage(is_known, concurrency=3), ChainedStage[str, list[int]])
assert_type(numbers >> FilterStage(is_anything), ChainedStage[str, list[int]])
assert_type(numbers >> ValidateStage(not_empty), ChainedStage[str, list[int]])
assert_type(numbers >> ValidateStage(not_empty_later), ChainedStage[str, list[int]])
assert_type(numbers >> ValidateRecordsStage(is_even), ChainedStage[str, list[int]])
assert_type(numbers >> ValidateRecordsStage(is_known), ChainedStage[str, list[int]])
assert_type(numbers >> BatchStage(10), ChainedStage[str, list[list[int]]])
assert_type(numbers >> BatchStage(10) >> FlattenStage(), ChainedStage[str, list[int]])
assert_type(numbers >> BatchStage(10) >> MapStage(total), ChainedStage[str, list[int]])

# a model parses records into itself
users = Parse() >> MapStage(as_row) >> ValidateRecordsStage(User)
assert_type(users, ChainedStage[str, list[User]])
assert_type(users >> MapStage(age_of), ChainedStage[str, list[int]])

# aggregations
assert_type(numbers >> AggregateStage(total), ChainedStage[str, int])
assert_type(numbers >> AggregateStage(slow_total), ChainedStage[str, int])
assert_type(numbers >> AggregateStage(len), ChainedStage[str, int])
assert_type(numbers >> AggregateStage(Count()), ChainedStage[str, int])
top: PipelineStage[Iterable[int], list[int]] = AggregateStage(TopK[int](3))
assert_type(numbers >> top, ChainedStage[str, list[int]])
by_text: PipelineStage[Iterable[int], dict[str, int]] = AggregateStage(GroupBy(text, Count()))
assert_type(numbers >> by_text, ChainedStage[str, dict[str, int]])
distinct: PipelineStage[Iterable[int], list[int]] = AggregateStage(Distinct[int]())
assert_type(numbers >> distinct, ChainedStage[str, list[int]])

# branches: one type in a dict, one each in a tuple
assert_type(
    numbers >> BranchStage({"sum": AggregateStage(total), "again": AggregateStage(slow_total)}),
    ChainedStage[str, dict[str, int]],
)
assert_type(
    numbers >> BranchStage(sum=AggregateStage(total), later=AggregateStage(slow_total)),
    ChainedStage[str, dict[str, int]],
)
assert_type(
    numbers >> BranchStage[list[int], int](sum=AggregateStage(total), count=AggregateStage(len)),
    ChainedStage[str, dict[str, int]],
)
assert_type(numbers >> fan_out(AggregateStage(total), MapStage(text)), ChainedStage[str, tuple[int, list[str]]])
assert_type(
    numbers >> fan_out(AggregateStage(total), MapStage(text), AggregateStage(slow_total)),
    ChainedStage[str, tuple[int, list[str], int]],
)

# chains of chains, custom stages
assert_type(Parse() >> (MapStage(increment) >> AggregateStage(total)) >> Show(), ChainedStage[str, str])
assert_type(numbers >> AggregateStage(total) >> Show(), ChainedStage[str, str])

# polymorphic stages on the left say their record type
assert_type(BatchStage[int](3) >> FlattenStage(), ChainedStage[Iterable[int], list[int]])
assert_type(FilterStage(is_positive) >> MapStage(text), ChainedStage[Iterable[int], list[str]])

# variance: what takes more may stand where less is needed, what gives less where more is
takes_any_iterable: PipelineStage[list[int], int] = AggregateStage(total)
gives_a_list: PipelineStage[str, Iterable[object]] = numbers
