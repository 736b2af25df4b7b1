"""``HookRecorder`` writes down every call, and says when there is not the one that is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from tests.runs import pipeline_of

from mainstem import AggregateStage, MapStage
from mainstem.testing import HookCall, HookRecorder


def test_each_hook_is_written_down_in_order() -> None:
    recorder = HookRecorder()
    pipeline = pipeline_of(MapStage(int, name="parse"), AggregateStage(sum, name="sum")).add_hooks(recorder)
    result = pipeline.run(["1", "2"])
    assert recorder.order == [
        ("before_stage", "parse"),
        ("after_stage", "parse"),
        ("before_stage", "sum"),
        ("after_stage", "sum"),
        ("on_complete", ""),
    ]
    assert recorder.calls[-1] == HookCall("on_complete", "", 3, result.context)
    assert (recorder.taken_by("parse"), recorder.given_by("parse")) == (["1", "2"], [1, 2])
    assert (recorder.taken_by("sum"), recorder.given_by("sum")) == ([1, 2], 3)
    assert (recorder.outputs, recorder.errors) == ([3], [])


def test_a_stage_that_failed_has_given_nothing() -> None:
    recorder = HookRecorder()
    result = pipeline_of(MapStage(int, name="parse")).add_hooks(recorder).run(["x"])
    assert recorder.errors == [("parse", result.error)]
    assert recorder.outputs == []
    with pytest.raises(AssertionError, match=r"after_stage was called 0 times for stage 'parse'.*'on_error', 'parse'"):
        recorder.given_by("parse")
    with pytest.raises(AssertionError, match="has none"):
        HookRecorder().taken_by("parse")


@pytest.mark.anyio
async def test_in_a_stream_each_chunk_is_a_call() -> None:
    recorder = HookRecorder()
    pipeline: Any = pipeline_of(MapStage(int, name="parse")).add_hooks(recorder)
    async with pipeline.stream(["1", "2", "3"], chunk_size=2) as chunks:
        assert [chunk async for chunk in chunks] == [[1, 2], [3]]
    assert [call.value for call in recorder.calls if call.hook == "after_stage"] == [[1, 2], [3]]
    with pytest.raises(AssertionError, match="2 times"):
        recorder.taken_by("parse")
