"""``check_laws`` passes stages that keep their law, and fails those that lie."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import strategies as st

from mainstem import (
    AggregateStage,
    BatchStage,
    Combiner,
    Count,
    Distinct,
    FilterStage,
    FlattenStage,
    GroupBy,
    MapStage,
    Max,
    Mean,
    Min,
    MissingExtraError,
    PipelineContext,
    PipelineStage,
    StageKind,
    StageResult,
    Sum,
    TopK,
    ValidateRecordsStage,
)
from mainstem.testing import LawBrokenError, check_laws


def third_of(number: int) -> int:
    return 12 // number


async def third_later(number: int) -> int:
    return 12 // number


def is_even(number: int) -> bool | str:
    return number % 2 == 0 or "odd"


KEEPS: list[tuple[PipelineStage[Any, Any], st.SearchStrategy[Any]]] = [
    (MapStage(third_of), st.integers()),
    (MapStage(third_of, continue_on_error=True), st.integers(-3, 3)),
    (MapStage(third_later, continue_on_error=True, concurrency=3), st.integers(-3, 3)),
    (FilterStage(is_even), st.integers()),
    (ValidateRecordsStage(is_even), st.integers()),
    (ValidateRecordsStage(is_even, continue_on_error=True), st.integers()),
    (FlattenStage(), st.lists(st.integers(), max_size=3) | st.none()),
    (AggregateStage(Count()), st.integers()),
    (AggregateStage(Sum()), st.floats(allow_nan=False, allow_infinity=False, width=32) | st.integers()),
    (AggregateStage(Mean()), st.floats(allow_nan=False, allow_infinity=False, width=32)),
    (AggregateStage(Min(by=abs)), st.integers(-3, 3)),
    (AggregateStage(Max(by=abs)), st.integers(-3, 3)),
    (AggregateStage(TopK(2, by=abs)), st.integers(-3, 3)),
    (AggregateStage(Distinct(by=abs)), st.integers(-3, 3)),
    (AggregateStage(GroupBy(is_even, Sum())), st.integers()),
]


@pytest.mark.parametrize(("stage", "records"), KEEPS, ids=repr)
def test_the_built_in_stages_keep_their_laws(stage: Any, records: Any) -> None:
    check_laws(stage, records, max_examples=60)


class Numbered(PipelineStage[Iterable[Any], list[Any]]):
    """Claims that each record stands on its own, and looks at its position."""

    kind = StageKind.ELEMENTWISE

    async def process(self, data: Iterable[Any], context: PipelineContext) -> StageResult[list[Any]]:
        return StageResult(data=list(enumerate(data)))


class Sorted(Numbered):
    async def process(self, data: Iterable[Any], context: PipelineContext) -> StageResult[list[Any]]:
        return StageResult(data=sorted(data))


class FailsLate(Numbered):
    async def process(self, data: Iterable[Any], context: PipelineContext) -> StageResult[list[Any]]:
        records = list(data)
        if len(records) > 2:
            raise ValueError("too many")
        return StageResult(data=records)


class Miscounted(Numbered):
    async def process(self, data: Iterable[Any], context: PipelineContext) -> StageResult[list[Any]]:
        return StageResult(data=list(data), records_processed=1)


@pytest.mark.parametrize(
    ("stage", "smallest"),
    [
        (Numbered(), "[0] + [0]"),
        (Sorted(), "[1] + [0]"),
        (FailsLate(), "[0] + [0, 0]"),
        (Miscounted(), "[] + []"),
    ],
    ids=repr,
)
def test_a_stage_that_lies_is_shown_the_smallest_counter_example(stage: Any, smallest: str) -> None:
    with pytest.raises(LawBrokenError, match=f"stage '{stage.name}' claims to be elementwise") as caught:
        check_laws(stage, st.integers(0, 9))
    shown = str(caught.value)
    assert smallest in shown or " + ".join(reversed(smallest.split(" + "))) in shown


def test_a_stage_that_remembers_what_it_has_seen_is_found() -> None:
    seen: set[int] = set()

    def is_new(number: int) -> bool:
        return not (number in seen or seen.add(number))

    with pytest.raises(LawBrokenError, match="it keeps something between calls"):
        check_laws(FilterStage(is_new), st.integers())


class Latest(Combiner[int, int, int]):
    """Keeps the law of associativity, and has a unit that is none."""

    def create(self) -> int:
        return 0

    def add(self, accumulator: int, record: int) -> int:
        return record

    def merge(self, left: int, right: int) -> int:
        return right

    def finish(self, accumulator: int) -> int:
        return accumulator


class MeanOfMeans(Latest):
    """Not associative."""

    def add_all(self, accumulator: int, records: Iterable[int]) -> int:
        return accumulator + sum(records)

    def add(self, accumulator: int, record: int) -> int:
        return accumulator + record

    def merge(self, left: int, right: int) -> int:
        return (left + right) // 2


class AddsAllDifferently(MeanOfMeans):
    def add_all(self, accumulator: int, records: Iterable[int]) -> int:
        return accumulator + len(list(records))

    def merge(self, left: int, right: int) -> int:
        return left + right


@pytest.mark.parametrize(
    "combiner", [Latest(), MeanOfMeans(), AddsAllDifferently()], ids=lambda each: type(each).__name__
)
def test_a_combiner_that_lies_is_found(combiner: Combiner[int, int, int]) -> None:
    with pytest.raises(LawBrokenError, match="the combiner of stage 'AggregateStage' does not keep its law on"):
        check_laws(AggregateStage(combiner), st.integers(0, 9))


@pytest.mark.parametrize("stage", [AggregateStage(len), BatchStage(2)], ids=repr)
def test_a_stage_without_a_law_that_can_be_checked_is_refused(stage: Any) -> None:
    with pytest.raises(ValueError, match=f"is {stage.kind.value}, which is no law"):
        check_laws(stage, st.integers())


def test_without_hypothesis_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mainstem\[testing\]'"):
        check_laws(MapStage(third_of), st.integers())
