"""Wrong options for worker processes. Each refused line names the code of each checker."""

from __future__ import annotations

from functions import increment

from mainstem import MapStage, Pipeline, Workers

workers = Workers(2)
pipeline = Pipeline[list[int], list[int]]("p").add_stage(MapStage(increment))

Workers("2")  # expect: arg-type, reportArgumentType
Workers()  # expect: call-arg, reportCallIssue
Workers(2, always="yes")  # expect: arg-type, reportArgumentType
Workers(count=2, start="fork")  # expect: call-arg, reportCallIssue
workers.count = 3  # expect: misc, reportAttributeAccessIssue
pipeline.run([1], workers="2")  # expect: arg-type, reportArgumentType
pipeline.run([1], workers=2.5)  # expect: arg-type, reportArgumentType
pipeline.run([1], processes=2)  # expect: call-arg, reportCallIssue
pipeline.stream([1], workers={"count": 2})  # expect: arg-type, reportArgumentType


async def execute() -> None:
    await pipeline.execute([1], workers=[2])  # expect: arg-type, reportArgumentType
