"""``make_context``: a stage called by hand finds what it finds within a run."""

from __future__ import annotations

from typing import Any

import pytest

from mainstem import MapStage, PipelineContext, PipelineStage, StageResult
from mainstem.testing import assert_rejects, make_context


class AddRate(PipelineStage[list[float], list[float]]):
    """Looks into what the stages before it have left."""

    async def process(self, data: list[float], context: PipelineContext) -> StageResult[list[float]]:
        assert context.completed_stages == ["rates"]
        return StageResult(data=[number * context.metadata["rate"] for number in data])


@pytest.mark.anyio
async def test_it_holds_what_the_stages_before_have_left() -> None:
    metadata = {"rate": 2.0}
    context = make_context("add", metadata=metadata, completed=["rates"])
    assert (await AddRate().process([1.0, 2.0], context)).data == [2.0, 4.0]
    assert (context.current_stage, context.pipeline_id) == ("add", "test")
    assert (context.progress["rates"].done, context.progress["add"].done) == (True, False)
    context.metadata["rate"] = 3.0
    assert metadata == {"rate": 2.0}


@pytest.mark.anyio
async def test_the_errors_bear_the_stage_and_the_position_in_its_whole_input() -> None:
    context = make_context("parse", chunk_start=500)
    stage: Any = MapStage(int, continue_on_error=True)
    assert (await stage.process(["1", "x"], context)).data == [1]
    (reject,) = assert_rejects(context, "parse", ("x", ValueError))
    assert reject.index == 501


def test_without_arguments_it_is_one_of_a_run_that_has_not_begun() -> None:
    context = make_context(pipeline_id="mine")
    assert (context.pipeline_id, context.current_stage, context.progress) == ("mine", None, {})
    assert (context.metadata, context.completed_stages, context.errors, context.chunk_start) == ({}, [], [], 0)
