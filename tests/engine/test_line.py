"""A line of stages: what it cuts its input into, how its end goes through it, and which of its stages completed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem import (
    BatchStage,
    FilterStage,
    FlattenStage,
    LimitStage,
    MapStage,
    PipelineContext,
    PipelineStage,
    StageResult,
)
from mainstem.engine.chunked import demands_of
from mainstem.engine.line import Demand, Line, StageFailed
from mainstem.stage_run import StageRun, unique_names
from mainstem.stateful import StageState, StatefulStage
from runs import errors_of

pytestmark = pytest.mark.anyio


class Wanting:
    """As much of a state as its demand for records."""

    def __init__(self, wanted: int | None) -> None:
        self.wanted = wanted

    feed: Any = None
    finish: Any = None


def begin(*stages: PipelineStage[Any, Any]) -> tuple[list[StageRun], PipelineContext]:
    context = PipelineContext()
    states = [stage.begin() if isinstance(stage, StatefulStage) else None for stage in stages]
    names = unique_names(stages)
    return [
        StageRun(stage, name, context, None, state) for stage, name, state in zip(stages, names, states, strict=True)
    ], context


def line_of(*stages: PipelineStage[Any, Any]) -> tuple[Line, PipelineContext]:
    runs, context = begin(*stages)
    [demands] = demands_of([runs])
    return Line(runs, None, demands), context


@pytest.mark.parametrize(
    ("wanted", "exact", "room"), [(5, True, 5), (5, False, 1), (0, True, 0), (0, False, 0), (1, False, 1)]
)
def test_a_demand_is_for_what_can_come_out_at_most(wanted: int, exact: bool, room: int) -> None:
    assert Demand(Wanting(wanted), 0, exact).room == room


def test_demands_reach_the_stages_before_a_limit_also_in_earlier_sections() -> None:
    first, _ = begin(MapStage(str), FlattenStage())
    second, _ = begin(FilterStage(bool), LimitStage(3), LimitStage(2))
    demands = demands_of([first, second])
    assert [[(each.state, each.at, each.exact) for each in section] for section in demands] == [
        [(second[1].state, 2, False), (second[2].state, 2, False)],
        [(second[1].state, 1, True), (second[2].state, 2, True)],
    ]
    assert demands_of([first]) == [[]]
    assert demands_of([second, first])[1] == []


def test_a_line_that_wants_all_takes_a_chunk_as_it_is() -> None:
    line, _ = line_of(MapStage(str))
    chunk = [1, 2, 3]
    [piece] = line.cut(chunk)
    assert piece is chunk
    assert line.room is None


async def test_a_chunk_is_cut_into_what_is_wanted_at_the_time() -> None:
    line, _ = line_of(FilterStage(lambda number: number % 2), LimitStage(3))
    pieces = []
    for piece in line.cut(list(range(20))):
        pieces.append(list(piece))
        await line.feed(piece)
    assert pieces == [[0, 1, 2], [3, 4], [5]]
    assert line.room == 0
    assert list(line.cut([7])) == []


@given(st.integers(1, 5), st.integers(0, 12))
def test_a_line_whose_first_stage_takes_no_more_at_a_time_gets_no_more(largest: int, length: int) -> None:
    batch = BatchStage[int](2)
    batch.largest_feed = largest
    line, _ = line_of(batch)
    pieces = list(line.cut(list(range(length))))
    assert [number for piece in pieces for number in piece] == list(range(length))
    assert all(len(piece) <= largest for piece in pieces)
    assert len(pieces) == max(1, -(-length // largest))


async def test_what_stages_had_kept_goes_through_the_stages_after_them() -> None:
    line, context = line_of(BatchStage(2), BatchStage(2), MapStage(len), BatchStage(4))
    assert await line.feed([1, 2, 3]) == []
    assert await line.finish() == [[2]]  # one batch of two batches
    assert context.completed_stages == ["BatchStage", "BatchStage#2", "MapStage", "BatchStage#3"]
    assert [progress.records_in for progress in context.progress.values()] == [3, 2, 1, 1]


async def test_the_end_of_an_input_without_records_is_as_that_of_an_empty_run() -> None:
    line, context = line_of(MapStage(str), BatchStage(2))
    assert await line.finish() == []
    assert [progress.done for progress in context.progress.values()] == [True, True]
    assert all(run.feeds == 1 for run in line.runs)


async def test_what_a_stage_before_an_early_end_has_kept_is_dropped_and_what_one_after_it_has_is_not() -> None:
    line, _ = line_of(BatchStage(2), LimitStage(1), MapStage(len), BatchStage(3))
    assert await line.feed([1, 2]) == []
    assert line.room == 0
    assert await line.finish() == [[2]]

    line, _ = line_of(BatchStage(2), LimitStage(2), BatchStage(3))
    assert await line.feed([1, 2]) == []
    assert await line.feed([3]) == []
    assert await line.finish() == [[[1, 2], [3]]]


class Counting(StatefulStage[int, int]):
    """Passes its records, and at the end says how many they were."""

    def begin(self) -> Any:
        return _Counting()


class _Counting(StageState[int, int]):
    def __init__(self) -> None:
        self._count = 0

    async def feed(self, records: Any, context: PipelineContext) -> StageResult[list[int]]:
        self._count += len(records)
        return StageResult(data=list(records), records_processed=len(records))

    async def finish(self, context: PipelineContext) -> StageResult[list[int]]:
        return StageResult(data=[self._count])

    def snapshot(self) -> int:
        return self._count

    def restore(self, snapshot: int) -> None:
        self._count = snapshot


async def test_a_stage_before_an_early_end_is_not_asked_for_what_it_has_left() -> None:
    line, context = line_of(Counting(), LimitStage(1), Counting())
    assert await line.feed([5]) == [5]
    assert await line.finish() == [1]
    assert [progress.records_in for progress in context.progress.values()] == [1, 1, 1]


async def test_of_a_last_chunk_that_fails_the_stages_before_have_completed() -> None:
    for last, completed in [(True, ["first"]), (False, [])]:
        line, context = line_of(MapStage(int, name="first"), MapStage(lambda number: 1 // number, name="second"))
        with pytest.raises(StageFailed) as caught:
            await line.feed(["1", "0"], last=last)
        assert caught.value.run.name == "second"
        assert errors_of(context) == [("second", 1, "integer division or modulo by zero")]
        assert context.completed_stages == completed


async def test_a_stage_fails_on_what_another_had_kept() -> None:
    line, context = line_of(BatchStage(2), MapStage(lambda batch: 1 // (len(batch) - 1)))
    assert await line.feed([1, 2, 3]) == [1]
    with pytest.raises(StageFailed) as caught:
        await line.finish()
    assert caught.value.run.name == "MapStage"
    assert errors_of(context) == [("MapStage", 1, "integer division or modulo by zero")]
