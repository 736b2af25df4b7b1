"""Wrong options for runs on Ray. Each refused line names the code of each checker."""

from __future__ import annotations

from functions import increment

from mainstem import MapStage, Pipeline, Workers
from mainstem.ray_runner import RayRunner

pipeline = Pipeline[list[int], list[int]]("p").add_stage(MapStage(increment))

RayRunner(10001)  # expect: arg-type, reportArgumentType
RayRunner(None, 2)  # expect: call-arg, reportCallIssue
RayRunner(parallelism="2")  # expect: arg-type, reportArgumentType
RayRunner(resources=["big"])  # expect: arg-type, reportArgumentType
pipeline.run([1], runner="ray")  # expect: arg-type, reportArgumentType
pipeline.run([1], runner=Workers(2))  # expect: arg-type, reportArgumentType
pipeline.stream([1], runner=2)  # expect: arg-type, reportArgumentType


async def execute() -> None:
    await pipeline.execute([1], runner=RayRunner)  # expect: arg-type, reportArgumentType
