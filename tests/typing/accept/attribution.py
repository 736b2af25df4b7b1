"""What bounds a run: its times, its bottleneck and the words for it."""

from __future__ import annotations

from typing import Literal, assert_type

from functions import increment

from mainstem import Bottleneck, MapStage, Pipeline, Remedy, RunPart, RunTimes, StageResult, StageTiming

result = Pipeline[list[int], list[int]]("numbers").add_stage(MapStage(increment)).run([1])

assert_type(result.explain(), str)
assert_type(result.times, RunTimes | None)
assert_type(result.stage_results["MapStage"].timing, StageTiming)
assert_type(result.stage_results["MapStage"].timing.busy_ms, float)
assert_type(result.stage_results["MapStage"].timing.queue_depth, int)
assert_type(StageResult(data=1).timing, StageTiming)

bottleneck = result.bottleneck
assert_type(bottleneck, Bottleneck | None)
if bottleneck is not None:
    assert_type(bottleneck.name, str)
    assert_type(bottleneck.kind, Literal["input", "stage", "output"])
    assert_type(bottleneck.cause, Literal["input", "output", "waiting", "computing", "rate limit", "retries"])
    assert_type(bottleneck.share, float)
    assert_type(bottleneck.part, RunPart)
    assert_type(bottleneck.remedy, Remedy | None)
    if bottleneck.remedy is not None:
        assert_type(bottleneck.remedy.option, Literal["concurrency", "workers"])
        assert_type(bottleneck.remedy.value, int)

if result.times is not None:
    assert_type(result.times.parts, tuple[RunPart, ...])
    assert_type(result.times.phases[0][0][0], RunPart)
