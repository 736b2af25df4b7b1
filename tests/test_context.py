"""``PipelineContext`` and ``current_context``: what a run carries with it."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta, timezone
from typing import Any

import anyio.lowlevel
import pytest

from mainstem import (
    AggregateStage,
    FilterStage,
    MapStage,
    NoCurrentContextError,
    PipelineContext,
    StageError,
    StageProgress,
    ValidateStage,
    current_context,
)
from runs import errors_of, execute, pipeline_of, run

pytestmark = pytest.mark.anyio


def test_a_fresh_context_has_identity_start_and_empty_state() -> None:
    before = datetime.now(timezone.utc)
    first, second = PipelineContext(), PipelineContext()
    assert first.pipeline_id != second.pipeline_id
    assert first.started_at.utcoffset() == timedelta(0)
    assert before <= first.started_at <= datetime.now(timezone.utc)
    assert (first.metadata, first.errors, first.completed_stages, first.current_stage) == ({}, [], [], None)
    assert first.metadata is not second.metadata
    assert first.errors is not second.errors


def test_identity_and_metadata_can_be_given_and_the_mapping_is_used_as_it_is() -> None:
    metadata = {"currency": "EUR"}
    context = PipelineContext("run-1", metadata=metadata)
    assert context.pipeline_id == "run-1"
    assert context.metadata is metadata


def test_an_error_is_recorded_with_all_that_is_known_of_it() -> None:
    context = PipelineContext()
    error = ValueError("bad")
    entry = context.record_error(error, stage="clean", record={"id": 1}, index=3)
    assert context.errors == [entry]
    assert (entry.stage, entry.error, entry.record, entry.index) == ("clean", error, {"id": 1}, 3)
    assert entry.at.utcoffset() == timedelta(0)


def test_an_error_belongs_to_the_running_stage_unless_one_is_named() -> None:
    context = PipelineContext()
    assert context.record_error(ValueError()).stage == ""
    context.current_stage = "clean"
    entry = context.record_error(ValueError())
    assert (entry.stage, entry.record, entry.index) == ("clean", None, None)


def test_positions_are_counted_from_where_the_chunk_starts() -> None:
    context = PipelineContext()
    context.chunk_start = 500
    assert context.record_error(ValueError(), index=3).index == 503
    assert context.record_error(ValueError()).index is None


def test_a_recorded_error_cannot_be_changed() -> None:
    entry = StageError("a", ValueError("x"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        entry.stage = "b"  # type: ignore[misc]


def test_marking_a_stage_completed_twice_counts_once() -> None:
    context = PipelineContext()
    context.mark_completed("a")
    context.mark_completed("b")
    context.mark_completed("a")
    assert context.completed_stages == ["a", "b"]


def test_elapsed_time_goes_on_until_the_run_ends_and_begins_anew_with_the_next() -> None:
    context = PipelineContext()
    first = context.elapsed_ms
    assert 0 <= first <= context.elapsed_ms
    context.finish()
    assert context.elapsed_ms == context.elapsed_ms
    stopped = context.elapsed_ms
    context.begin()
    assert context.elapsed_ms != stopped


def test_a_child_shares_metadata_and_errors_and_has_progress_of_its_own() -> None:
    context = PipelineContext()
    child = context.child("split").child("left", pipeline_id="inner-run")
    child.record_error(ValueError("x"), stage="map", index=1)
    child.mark_completed("map")
    assert errors_of(context) == [("split/left/map", 1, "x")]
    assert child.metadata is context.metadata
    assert child.pipeline_id == "inner-run"
    assert context.child("x").pipeline_id == context.pipeline_id
    assert context.completed_stages == []
    assert child.progress is not context.progress


def test_it_shows_what_one_looks_for() -> None:
    context = PipelineContext("run-1")
    context.record_error(ValueError())
    assert repr(context) == ("PipelineContext(pipeline_id='run-1', current_stage=None, completed_stages=[], errors=1)")


def test_current_context_outside_a_run_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(NoCurrentContextError, match="hand the context on yourself"):
        current_context()


async def test_current_context_is_the_runs_in_sync_and_async_functions() -> None:
    seen: list[PipelineContext] = []

    def look(record: Any) -> bool:
        seen.append(current_context())
        return True

    async def look_later(record: Any) -> bool:
        await anyio.lowlevel.checkpoint()
        return look(record)

    context = PipelineContext()
    pipeline = pipeline_of(
        MapStage(look),
        MapStage(look_later),
        MapStage(look_later, concurrency=3),
        FilterStage(look),
        ValidateStage(look_later),
        AggregateStage(look),
    )
    pipeline.before_stage(lambda *_: seen.append(current_context()))
    pipeline.on_complete(lambda *_: seen.append(current_context()))
    await pipeline.execute([1, 2], context=context)
    assert len(seen) == 6 + 2 * 4 + 2 + 1
    assert all(found is context for found in seen)
    with pytest.raises(NoCurrentContextError):
        current_context()


async def test_current_context_works_when_process_is_called_alone() -> None:
    context = PipelineContext(metadata={"factor": 3})
    result = await MapStage(lambda number: number * current_context().metadata["factor"]).process([1, 2], context)
    assert result.data == [3, 6]


async def test_in_a_nested_pipeline_it_is_the_nested_runs() -> None:
    seen: list[PipelineContext] = []
    inner = pipeline_of(MapStage(lambda _: seen.append(current_context())), name="inner")
    outer = PipelineContext()
    pipeline = pipeline_of(inner, MapStage(lambda _: seen.append(current_context())))
    await pipeline.execute([1], context=outer)
    assert seen[0].pipeline_id != outer.pipeline_id
    assert seen[0].metadata is outer.metadata
    assert seen[1] is outer


async def test_runs_that_overlap_do_not_see_each_others_context() -> None:
    both = anyio.Event()
    seen: dict[str, list[str]] = {"a": [], "b": []}

    async def look(name: str) -> None:
        seen[name].append(current_context().pipeline_id)
        if all(seen.values()):
            both.set()
        await both.wait()
        seen[name].append(current_context().pipeline_id)

    pipeline = pipeline_of(MapStage(look))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for name in seen:
                group.start_soon(lambda name=name: pipeline.execute([name], context=PipelineContext(name)))
    assert seen == {"a": ["a", "a"], "b": ["b", "b"]}


def test_progress_can_be_read_while_the_run_goes_on() -> None:
    seen: list[tuple[int, bool, bool]] = []

    def look(numbers: list[int]) -> int:
        progress = current_context().progress
        seen.append((progress["MapStage"].records_passed, progress["MapStage"].done, progress["AggregateStage"].done))
        return len(numbers)

    result = run(MapStage(int), AggregateStage(look), data=["1", "2", "3"])
    assert seen == [(3, True, False)]
    assert result.context.progress["AggregateStage"].done
    assert StageProgress() == StageProgress(0, 0, 0, 0, 0.0, False)


async def test_what_a_stage_writes_to_metadata_later_stages_can_read() -> None:
    def write(records: list[int]) -> bool:
        current_context().metadata["count"] = len(records)
        return True

    result = await execute(ValidateStage(write), MapStage(lambda _: current_context().metadata["count"]), data=[7, 8])
    assert result.data == [2, 2]
