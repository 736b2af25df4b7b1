"""Runs on Ray."""

from __future__ import annotations

from typing import assert_type

from functions import increment, text

from mainstem import MapStage, Pipeline, PipelineResult, PipelineStream
from mainstem.ray_runner import RayRunner
from mainstem.workers import Runner, Workers

runner = RayRunner("127.0.0.1:6379", parallelism=4, cpus_per_task=0.5, resources={"big": 1}, max_retries=0)
assert_type(runner, RayRunner)
assert_type(runner.count, int)
assert_type(RayRunner(), RayRunner)
base: Runner = runner
assert_type(Runner.or_workers(base, None), Workers | None)

pipeline = Pipeline[list[int], list[str]]("p").add_stage(MapStage(increment)).add_stage(MapStage(text))
assert_type(pipeline.run([1], runner=runner), PipelineResult[list[str]])
assert_type(pipeline.run([1], runner=None), PipelineResult[list[str]])
assert_type(pipeline.stream([1], runner=RayRunner()), PipelineStream[list[str]])


async def execute() -> None:
    assert_type(await pipeline.execute([1], runner=base), PipelineResult[list[str]])
