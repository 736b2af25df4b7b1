"""Wrong uses of explain_record."""

from __future__ import annotations

from mainstem import MapStage, Pipeline, explain_record

pipeline = Pipeline[list[str], list[int]]("lengths").map(len)


async def explain() -> None:
    await explain_record(pipeline, 7)  # expect: call-arg, reportCallIssue
    await explain_record(pipeline, position="7")  # expect: arg-type, reportArgumentType
    await explain_record(pipeline, position=7, store="runs.db")  # expect: arg-type, reportArgumentType
    await explain_record(MapStage(len), position=7)  # expect: arg-type, reportArgumentType
