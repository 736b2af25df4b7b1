"""Runs with worker processes."""

from __future__ import annotations

from typing import assert_type

from functions import increment, text

from mainstem import (
    MapStage,
    NotSendableError,
    Pipeline,
    PipelineResult,
    PipelineStream,
    WorkerDiedError,
    WorkerFunctionError,
    Workers,
)

workers = Workers(2)
assert_type(workers, Workers)
assert_type(workers.count, int)
assert_type(workers.always, bool)
assert_type(Workers(4, always=True), Workers)
assert_type(Workers.of(2), Workers | None)
assert_type(Workers.of(workers), Workers | None)
assert_type(Workers.of(None), Workers | None)

pipeline = Pipeline[list[int], list[str]]("p").add_stage(MapStage(increment)).add_stage(MapStage(text))
assert_type(pipeline.run([1], workers=2), PipelineResult[list[str]])
assert_type(pipeline.run([1], workers=workers), PipelineResult[list[str]])
assert_type(pipeline.run([1], workers=None), PipelineResult[list[str]])
assert_type(pipeline.stream([1], workers=2), PipelineStream[list[str]])
assert_type(pipeline.stream([1], workers=workers, ordered=False), PipelineStream[list[str]])


async def execute() -> None:
    assert_type(await pipeline.execute([1], workers=2), PipelineResult[list[str]])
    assert_type(await pipeline.execute([1], workers=Workers(2)), PipelineResult[list[str]])


errors: list[type[TypeError]] = [NotSendableError]
others: list[type[Exception]] = [WorkerDiedError, WorkerFunctionError]
