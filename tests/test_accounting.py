"""What became of every record: the figures of each kind of stage, in memory and streamed, and of runs that fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.runs import pipeline_of
from tests.streams import Collect, Numbers, Reversed, later, take

from mainstem import (
    Accounting,
    AggregateStage,
    BatchStage,
    BranchStage,
    DedupeStage,
    FilterStage,
    FlattenStage,
    JoinStage,
    KeyedStage,
    LimitStage,
    MapStage,
    PipelineContext,
    PipelineStage,
    SinkTransaction,
    SplitStage,
    Sum,
    ThrottleStage,
    TumblingWindow,
    ValidateStage,
    WindowStage,
)

pytestmark = pytest.mark.anyio

Stages = list[PipelineStage[Any, Any]]


def inverse(number: int) -> float:
    return 1 / number


def is_even(number: int) -> bool:
    return number % 2 == 0


def itself(record: Any) -> Any:
    return record


def largest(numbers: list[int]) -> list[int]:
    return [max(numbers)]


def last_digit(number: int) -> int:
    return number % 10


def going_on() -> MapStage[int, float]:
    return MapStage(inverse, continue_on_error=True)


class Picky(Collect):
    """A sink that refuses the odd numbers."""

    async def begin(self, context: PipelineContext) -> SinkTransaction[Any]:
        return _Picking(await super().begin(context), context)


class _Picking(SinkTransaction[Any]):
    def __init__(self, inner: SinkTransaction[Any], context: PipelineContext) -> None:
        self._inner, self._context = inner, context
        self.commit, self.abort = inner.commit, inner.abort  # type: ignore[method-assign]

    async def write(self, records: Sequence[Any]) -> int:
        odd = [(at, record) for at, record in enumerate(records) if record % 2]
        for at, record in odd:
            self._context.record_error(ValueError("odd"), record=record, index=at)
        await self._inner.write([record for record in records if record % 2 == 0])
        return len(odd)

    async def commit(self, position: Any = None) -> None: ...

    async def abort(self) -> None: ...


def nested(*stages: PipelineStage[Any, Any]) -> PipelineStage[Any, Any]:
    return pipeline_of(*stages, name="inner")


FIGURES: dict[str, tuple[Callable[[], Stages], Any, str]] = {
    "no stages": (list, range(3), "3 in = 3 given"),
    "nothing": (lambda: [MapStage(str)], [], "0 in = 0"),
    "one to one": (lambda: [MapStage(str), MapStage(int)], range(5), "5 in = 5 given"),
    "dropped": (lambda: [FilterStage(is_even), going_on()], range(5), "5 in = 2 given + 2 filtered + 1 rejected"),
    "repeats": (lambda: [DedupeStage(last_digit)], range(25), "25 in = 10 given + 15 deduplicated"),
    "throttled": (lambda: [ThrottleStage(1000)], range(9), "9 in = 9 given"),
    "batches": (lambda: [BatchStage(4), MapStage(len)], range(10), "10 in = 3 given + 7 combined"),
    "records out of few": (lambda: [FlattenStage()], [[1, 2], [], [3]], "3 in = 3 given"),
    "more out of few": (lambda: [FlattenStage(), MapStage(str)], [[1, 2], [3, 4]], "2 in + 2 made = 4 given"),
    "there and back": (lambda: [BatchStage(2), FlattenStage()], range(5), "5 in + 2 made = 5 given + 2 combined"),
    "a total": (
        lambda: [FilterStage(is_even), AggregateStage(Sum())],
        range(9),
        "9 in = 1 given + 4 filtered + 4 combined",
    ),
    "a total of nothing": (lambda: [AggregateStage(Sum())], [], "0 in + 1 made = 1 given"),
    "a list for all": (
        lambda: [Numbers(9), AggregateStage(largest), MapStage(str)],
        None,
        "9 in = 1 given + 8 combined",
    ),
    "a function of all": (lambda: [AggregateStage(sum)], range(9), "9 in = 1 given + 8 combined"),
    "checked as a whole": (lambda: [ValidateStage(bool), MapStage(str)], range(9), "9 in = 9 given"),
    "a blocking stage": (lambda: [MapStage(int), Reversed(), MapStage(int)], range(9), "9 in = 9 given"),
    "branches": (
        lambda: [BranchStage(a=MapStage(str), b=FilterStage(is_even))],
        range(9),
        "9 in = 1 given + 8 combined",
    ),
    "a split": (
        lambda: [SplitStage[int, Any]({"even": (is_even, going_on())}, otherwise=FilterStage(is_even))],
        range(6),
        "6 in = 2 given + 3 filtered + 1 rejected",
    ),
    "a join": (lambda: [JoinStage({2: "two", 3: "three"}, key=itself)], range(5), "5 in = 2 given + 3 filtered"),
    "a join with several": (
        lambda: [JoinStage([1, 11, 12], key=itself, reference_key=last_digit, how="left")],
        range(3),
        "3 in + 1 made = 4 given",
    ),
    "keyed": (lambda: [KeyedStage(last_digit, Sum())], range(25), "25 in = 10 given + 15 combined"),
    "windows": (lambda: [WindowStage(TumblingWindow(10), itself)], range(25), "25 in = 3 given + 22 combined"),
    "late": (lambda: [WindowStage(TumblingWindow(10), itself)], [25, 1, 2], "3 in = 1 given + 2 rejected"),
    "a limit": (lambda: [MapStage(str), LimitStage(3)], range(10), "3 in = 3 given"),
    "a sink": (lambda: [FilterStage(is_even), Collect()], range(5), "5 in = 3 loaded + 2 filtered"),
    "a source and a sink": (lambda: [Numbers(2500), Picky()], None, "2,500 in = 1,250 loaded + 1,250 rejected"),
    "a sink amid": (lambda: [Collect(), AggregateStage(itself)], range(5), "5 in + 1 made = 5 loaded + 1 given"),
    "a pipeline within": (
        lambda: [MapStage(int), nested(DedupeStage(last_digit), FilterStage(is_even)), MapStage(str)],
        range(25),
        "25 in = 5 given + 5 filtered + 15 deduplicated",
    ),
    "a pipeline within one": (
        lambda: [nested(nested(FlattenStage(), DedupeStage()), BatchStage(2))],
        [[1, 2, 3], [3, 4]],
        "2 in + 3 made = 2 given + 1 deduplicated + 2 combined",
    ),
    "async and overlapping": (lambda: [MapStage(later, concurrency=4)], range(99), "99 in = 99 given"),
}


@pytest.mark.parametrize("case", FIGURES)
async def test_each_record_has_its_figure_in_memory(case: str) -> None:
    stages, data, figures = FIGURES[case]
    result = await pipeline_of(*stages()).execute(None if data is None else list(data))
    assert result.success
    assert str(result.accounting) == figures


@pytest.mark.parametrize("chunk_size", [1, 3, 1000])
@pytest.mark.parametrize("case", FIGURES)
async def test_each_record_has_its_figure_in_a_stream(case: str, chunk_size: int) -> None:
    stages, data, figures = FIGURES[case]
    stream = pipeline_of(*stages()).stream(None if data is None else list(data), chunk_size=chunk_size)
    await take(stream)
    assert str(stream.result.accounting) == figures


@pytest.mark.extras
@pytest.mark.parametrize("size", [5, 5000])
def test_each_record_has_its_figure_where_workers_share_the_work(size: int) -> None:
    pipeline = pipeline_of(going_on(), FilterStage(bool), DedupeStage(), AggregateStage(Sum()))
    data = [number // 2 for number in range(size)]
    assert pipeline.run(data, workers=2).accounting == pipeline.run(data).accounting


def expected(steps: Sequence[str], data: Sequence[int]) -> Accounting:
    """Count by hand, record by record, what the steps do."""
    records: list[Any] = list(data)
    counts = dict.fromkeys(("filtered", "rejected", "deduplicated", "combined", "made"), 0)
    for step in steps:
        before = len(records)
        if step == "filter":
            records = [each for each in records if each % 2 == 0]
            counts["filtered"] += before - len(records)
        elif step == "map":
            records = [each + 1 for each in records if each != 3]
            counts["rejected"] += before - len(records)
        elif step == "dedupe":
            records = list(dict.fromkeys(records))
            counts["deduplicated"] += before - len(records)
        else:
            records = [records[at : at + 3] for at in range(0, len(records), 3)]
            counts["combined"] += before - len(records)
            records, before = [each for group in records for each in (*group, 3)], len(records)
            counts["made"] += len(records) - before
    return Accounting(records_in=len(data), given=len(records), **counts)


def stages_of(steps: Sequence[str]) -> Stages:
    def but_three(number: int) -> int:
        if number == 3:
            raise ValueError(number)
        return number + 1

    def and_three(group: list[int]) -> list[int]:
        return [*group, 3]

    made: dict[str, Callable[[], Stages]] = {
        "filter": lambda: [FilterStage(is_even)],
        "map": lambda: [MapStage(but_three, continue_on_error=True)],
        "dedupe": lambda: [DedupeStage()],
        "regroup": lambda: [BatchStage(3), MapStage(and_three), FlattenStage()],
    }
    return [stage for step in steps for stage in made[step]()]


@given(
    st.lists(st.sampled_from(["filter", "map", "dedupe", "regroup"]), max_size=5),
    st.lists(st.integers(0, 6)),
    st.integers(1, 5),
)
@example(["regroup", "dedupe", "map"], [3, 3, 1, 2, 0, 6], 2)
async def test_the_figures_are_those_counted_by_hand_wherever_chunks_are_cut(
    steps: list[str], data: list[int], chunk_size: int
) -> None:
    pipeline = pipeline_of(*stages_of(steps))
    assert (await pipeline.execute(data)).accounting == expected(steps, data)
    stream = pipeline.stream(data, chunk_size=chunk_size)
    await take(stream)
    assert stream.result.accounting == expected(steps, data)
