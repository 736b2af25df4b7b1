"""The plan of a run: which stages share chunks, and which take all of them and give one value."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from mainstem import (
    AggregateStage,
    BatchStage,
    Count,
    FilterStage,
    FlattenStage,
    MapStage,
    PipelineContext,
    PipelineStage,
    SourceChunk,
    SourceStage,
    StageKind,
    StageResult,
    UnboundedStageError,
    ValidateStage,
)
from mainstem.engine.plan import plan_run, refuse_unbounded


class Numbers(SourceStage[int]):
    async def read(self, context: Any, *, start: Any = None, chunk_size: int = 1) -> AsyncGenerator[Any, None]:
        yield SourceChunk([1], {})


class Own(PipelineStage[Any, Any]):
    async def process(self, data: Any, context: PipelineContext) -> StageResult[Any]:
        return StageResult(data=data)


class OwnElementwise(Own):
    kind = StageKind.ELEMENTWISE


async def later(record: Any) -> Any:
    return record


def annotated(record: int) -> int:
    return record


def shape(*stages: PipelineStage[Any, Any], in_turn: bool = True) -> list[tuple[list[int], int | None]]:
    return [(list(segment.line), segment.end) for segment in plan_run(stages, in_turn=in_turn).segments]


def test_neighbouring_stages_that_take_chunks_share_a_line() -> None:
    assert shape(MapStage(str), FilterStage(bool), FlattenStage(), OwnElementwise()) == [([0, 1, 2, 3], None)]
    assert shape(MapStage(str), BatchStage(2), FlattenStage()) == [([0, 1, 2], None)]


def test_a_stage_that_gives_one_value_ends_a_segment() -> None:
    stages = (MapStage(str), AggregateStage(len), Own(), MapStage(str), AggregateStage(Count()))
    assert shape(*stages) == [([0], 1), ([], 2), ([3], 4)]
    assert shape(ValidateStage(bool), MapStage(str)) == [([], 0), ([1], None)]


def test_a_source_belongs_to_no_segment_when_it_is_first() -> None:
    plan = plan_run([Numbers(), MapStage(str)])
    assert plan.source
    assert [list(segment.line) for segment in plan.segments] == [[1]]
    assert plan_run([Numbers()]).segments == ()
    assert not plan_run([Own(), Numbers()]).source
    assert shape(Own(), Numbers(), MapStage(str)) == [([], 0), ([], 1), ([2], None)]


@pytest.mark.parametrize("function", [later, lambda record: later(record)])
def test_in_turn_a_stage_whose_calls_overlap_takes_its_whole_input_so_that_the_window_stays_full(function: Any) -> None:
    assert shape(MapStage(str), MapStage(function, concurrency=3)) == [([0], 1)]
    assert shape(MapStage(str), MapStage(function, concurrency=3), in_turn=False) == [([0, 1], None)]
    assert shape(MapStage(str), MapStage(function)) == [([0, 1], None)]


def test_concurrency_changes_nothing_for_what_is_known_to_be_sync() -> None:
    assert shape(MapStage(annotated, concurrency=3), MapStage(str)) == [([0, 1], None)]


def test_no_stages_make_no_segments() -> None:
    assert plan_run([]).segments == ()


def test_what_needs_its_whole_input_is_refused_by_name_with_the_line_that_made_it_and_the_way_out() -> None:
    stages = [MapStage(str), AggregateStage(Count()), ValidateStage(bool, name="whole"), Own()]
    with pytest.raises(UnboundedStageError) as caught:
        refuse_unbounded(stages, [stage.name for stage in stages])
    text = str(caught.value)
    assert f"'whole', made at {stages[2].made_at}" in text
    assert "'Own'" in text
    assert "MapStage" not in text
    assert "Combiner" in text
    refuse_unbounded(stages[:2], ["MapStage", "AggregateStage"])
