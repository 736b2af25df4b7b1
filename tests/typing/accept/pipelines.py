"""``Pipeline``: ``add_stage``, the fluent forms, execution, hooks, nesting."""

from __future__ import annotations

from typing import Any, assert_type

from functions import Parse, Read, Show, fetch, increment, is_known, is_positive, not_empty, slow_total, text, total

from mainstem import (
    AggregateStage,
    BatchStage,
    BranchStage,
    ChainedStage,
    Count,
    Event,
    EventBus,
    EventType,
    FilterStage,
    FlattenStage,
    MapStage,
    Pipeline,
    PipelineContext,
    PipelineResult,
    Subscription,
    ValidateRecordsStage,
    ValidateStage,
    fan_out,
)

finished = (
    Pipeline[str, int]("finished")
    .add_stage(Parse())
    .add_stage(ValidateStage(not_empty))
    .add_stage(ValidateRecordsStage(is_positive))
    .add_stage(MapStage(increment))
    .add_stage(MapStage(increment, concurrency=2))
    .add_stage(FilterStage(is_positive))
    .add_stage(FilterStage(is_known))
    .add_stage(BatchStage(3))
    .add_stage(FlattenStage())
    .add_stage(AggregateStage(total))
)
assert_type(finished, Pipeline[str, int, int])
annotated: Pipeline[str, int] = finished


def takes_a_finished_pipeline(pipeline: Pipeline[str, int]) -> PipelineResult[int]:
    return pipeline.run("1 2 3")


takes_a_finished_pipeline(finished)


async def execution() -> None:
    result = await finished.execute("1 2 3")
    assert_type(result, PipelineResult[int])
    assert_type(result.data, int | None)
    assert_type(result.unwrap(), int)
    assert_type(result.context, PipelineContext)
    assert_type(await annotated.execute("1", context=PipelineContext(metadata={"a": 1})), PipelineResult[int])


assert_type(finished.run("1 2 3"), PipelineResult[int])

# a pipeline that begins with a source needs no data
from_source = Pipeline[None, list[str]]("source").add_stage(Read()).add_stage(MapStage(fetch))
assert_type(from_source.run(), PipelineResult[list[str]])
assert_type(from_source.run(context=PipelineContext()), PipelineResult[list[str]])

# the fluent forms infer lambdas
fluent = (
    Pipeline[list[int], str]("fluent")
    .map(lambda number: number + 1)
    .filter(lambda number: number > 3)
    .validate(lambda numbers: len(numbers) > 0 or "empty")
    .batch(2)
    .flatten()
    .map(lambda number: str(number))
    .map(str.upper)
    .aggregate(" ".join)
)
assert_type(fluent, Pipeline[list[int], str, str])
assert_type(
    Pipeline[list[int], list[str]]("async").map(fetch, concurrency=5), Pipeline[list[int], list[str], list[str]]
)
assert_type(Pipeline[list[int], int]("async").aggregate(slow_total), Pipeline[list[int], int, int])
assert_type(Pipeline[list[int], int]("combiner").aggregate(Count()), Pipeline[list[int], int, int])

# branches, nesting, chains
branched = (
    Pipeline[str, dict[str, int]]("branched")
    .add_stage(Parse())
    .add_stage(BranchStage(sum=AggregateStage(total), later=AggregateStage(slow_total)))
)
assert_type(branched.run("1"), PipelineResult[dict[str, int]])
fanned = (
    Pipeline[str, tuple[int, list[str]]]("fanned")
    .add_stage(Parse())
    .add_stage(fan_out(AggregateStage(total), MapStage(text)))
)
assert_type(fanned.run("1"), PipelineResult[tuple[int, list[str]]])
nested = Pipeline[str, str]("nested").add_stage(finished).add_stage(Show())
assert_type(nested.run("1"), PipelineResult[str])
assert_type(finished >> Show(), ChainedStage[str, str])
chained = Pipeline[str, str]("chained").add_stage(Parse() >> AggregateStage(total) >> Show())
assert_type(chained.run("1"), PipelineResult[str])

# hooks keep their type, sync and async, as decorators too
watched = Pipeline[list[int], list[int]]("watched", event_bus=EventBus(), hook_timeout=1.0, check="first")


@watched.before_stage
def note(stage: str, data: Any, context: PipelineContext) -> None:
    context.metadata[stage] = data


@watched.after_stage
async def check(stage: str, output: Any, context: PipelineContext) -> None: ...


@watched.on_error
def alert(stage: str, error: Exception, context: PipelineContext) -> None: ...


@watched.on_complete
async def report(output: list[int], context: PipelineContext) -> None: ...


note("stage", [1], PipelineContext())


class Bundle:
    def before_stage(self, stage: str, data: Any, context: PipelineContext) -> None: ...

    async def on_complete(self, output: Any, context: PipelineContext) -> None: ...


assert_type(finished.add_hooks(Bundle()), Pipeline[str, int, int])


async def on_event(event: Event) -> None: ...


bus = EventBus(handler_timeout=1)
assert_type(bus.subscribe(EventType.ITEM_CREATED, on_event), Subscription)
assert_type(bus.subscribe(EventType.ITEM_UPDATED, list[Event]().append), Subscription)
