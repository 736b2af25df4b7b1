"""The plan of a run: which stages share chunks, and which need their whole input."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from mainstem import (
    AggregateStage,
    BatchStage,
    FilterStage,
    FlattenStage,
    MapStage,
    PipelineContext,
    PipelineStage,
    SourceChunk,
    SourceStage,
    StageKind,
    StageResult,
    ValidateStage,
)
from mainstem.engine.plan import plan_segments


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


def shape(*stages: PipelineStage[Any, Any], fuse: bool = True) -> list[tuple[list[int], bool]]:
    return [(list(segment.stages), segment.in_chunks) for segment in plan_segments(stages, fuse=fuse)]


def test_neighbouring_elementwise_stages_share_a_segment() -> None:
    assert shape(MapStage(str), FilterStage(bool), FlattenStage(), OwnElementwise()) == [([0, 1, 2, 3], True)]


def test_other_stages_stand_alone_and_get_their_whole_input() -> None:
    stages = (MapStage(str), BatchStage(2), FlattenStage(), MapStage(str), AggregateStage(len), Own())
    assert shape(*stages) == [([0], True), ([1], False), ([2, 3], True), ([4], False), ([5], False)]
    assert shape(ValidateStage(bool), MapStage(str)) == [([0], False), ([1], True)]


def test_without_fusing_each_stage_has_a_segment_of_its_own() -> None:
    assert shape(MapStage(str), FilterStage(bool), fuse=False) == [([0], True), ([1], True)]


def test_a_source_feeds_the_stages_after_it_only_when_it_is_first() -> None:
    assert shape(Numbers(), MapStage(str)) == [([0, 1], True)]
    assert shape(Numbers(), MapStage(str), fuse=False) == [([0], True), ([1], True)]
    assert shape(Numbers()) == [([0], True)]
    assert shape(Own(), Numbers(), MapStage(str)) == [([0], False), ([1], False), ([2], True)]


@pytest.mark.parametrize("function", [later, lambda record: later(record)])
def test_stages_whose_calls_overlap_get_their_whole_input_so_that_the_window_stays_full(function: Any) -> None:
    assert shape(MapStage(str), MapStage(function, concurrency=3)) == [([0], True), ([1], False)]
    assert shape(MapStage(str), MapStage(function)) == [([0, 1], True)]


def test_concurrency_changes_nothing_for_what_is_known_to_be_sync() -> None:
    assert shape(MapStage(annotated, concurrency=3), MapStage(str)) == [([0, 1], True)]


def test_no_stages_make_no_segments() -> None:
    assert shape() == []
