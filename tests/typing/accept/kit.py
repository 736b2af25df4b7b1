"""The test kit: fakes between stages, what a clock runs, what is asserted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, assert_type

from functions import increment, is_even, text

from mainstem import LoadReport, MapStage, Pipeline, PipelineContext, StageError
from mainstem.testing import (
    FakeQueue,
    FakeSink,
    FakeSource,
    GraphSnapshot,
    HookRecorder,
    VirtualClock,
    assert_rejects,
    graph_text,
    make_context,
)


def refuse(number: int) -> str | None:
    return None if is_even(number) else "is odd"


async def add(left: int, right: int) -> int:
    return left + right


source = FakeSource([1, 2], unreadable={1: ValueError("torn")}, every=timedelta(seconds=1), name="read")
assert_type(source, FakeSource[int])
assert_type(source.records, list[int])
assert_type(source.reads, list[Mapping[str, Any] | None])
assert_type(FakeQueue([1, 2]).acknowledged, int)
sink = FakeSink[str](fails_at=3, commit_fails="after", error=OSError("full"))
assert_type(sink.stored, list[str])
FakeSink(refuses=refuse)

pipeline = Pipeline[None, LoadReport]("texts").add_stage(source).add_stage(MapStage(text)).add_stage(sink)
assert_type(pipeline, Pipeline[None, LoadReport, LoadReport])
result = pipeline.add_hooks(HookRecorder()).run()
Pipeline[None, list[int]]("numbers").add_stage(FakeQueue([1])).add_stage(MapStage(increment)).run()

assert_type(assert_rejects(result, "read", "torn", ValueError, (2, "torn"), (2, OSError)), list[StageError])
assert_rejects(make_context("read"), "read")
assert_type(make_context("read", metadata={"a": 1}, completed=["b"], chunk_start=3), PipelineContext)

with VirtualClock(idle_seconds=0.1) as clock:
    assert_type(clock, VirtualClock)
    assert_type(clock.now(), datetime)
    assert_type(clock.run(add, 1, 2), int)
    clock.advance(3)
    clock.advance(timedelta(days=1))

assert_type(graph_text(pipeline), str)
GraphSnapshot(Path(), "texts", update=False)(pipeline)
