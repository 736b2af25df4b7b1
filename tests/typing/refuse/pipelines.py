"""Wrong pipelines. Each refused line names the code of each checker."""

from __future__ import annotations

from functions import Parse, Read, Show, increment, is_positive, length, not_empty, text, total

from mainstem import (
    AggregateStage,
    BatchStage,
    BranchStage,
    Event,
    EventBus,
    EventType,
    FilterStage,
    MapStage,
    Pipeline,
    PipelineContext,
    ValidateStage,
)

parse = Parse()
map_words = MapStage(length)
keep_positive = FilterStage(is_positive)
check_numbers = ValidateStage(not_empty)
branch = BranchStage(sum=AggregateStage(total), again=AggregateStage(total))
show = Show()

numbers = Pipeline[str, list[int]]("numbers").add_stage(parse)
words = Pipeline[str, list[str]]("words").add_stage(parse).add_stage(MapStage(text))
unfinished = Pipeline[str, int]("unfinished").add_stage(parse)

numbers.add_stage(map_words)  # expect: arg-type, reportCallIssue, reportArgumentType
words.add_stage(keep_positive)  # expect: arg-type, reportCallIssue, reportArgumentType
words.add_stage(check_numbers)  # expect: arg-type, reportCallIssue, reportArgumentType
words.add_stage(branch)  # expect: arg-type, reportCallIssue, reportArgumentType
numbers.add_stage(show)  # expect: arg-type, reportCallIssue, reportArgumentType
numbers.add_stage(increment)  # expect: call-overload, reportCallIssue, reportArgumentType
one = Pipeline[str, int]("one").add_stage(parse).add_stage(AggregateStage(total))
one.add_stage(BatchStage(2))  # expect: arg-type, reportCallIssue, reportArgumentType
Pipeline[int, list[int]]("input").add_stage(parse)  # expect: arg-type, reportCallIssue, reportArgumentType

# the last stage against Out
unfinished.run("1")  # expect: operator, reportCallIssue
Pipeline[str, str]("empty").add_stage(parse).run("1")  # expect: operator, reportCallIssue


async def execution() -> None:
    await unfinished.execute("1")  # expect: operator, reportCallIssue
    await numbers.execute(3)  # expect: arg-type, reportArgumentType
    await numbers.execute()  # expect: call-arg, reportCallIssue
    await Pipeline[None, list[int]]("source").add_stage(Read()).execute(3)  # expect: arg-type, reportArgumentType


def takes(pipeline: Pipeline[str, int]) -> None: ...


takes(unfinished)  # expect: arg-type, reportArgumentType
takes(numbers)  # expect: arg-type, reportArgumentType
nested = Pipeline[str, str]("nested").add_stage(numbers)
nested.add_stage(show)  # expect: arg-type, reportCallIssue, reportArgumentType

# the fluent forms
Pipeline[list[int], list[str]]("fluent").map(str.upper)  # expect: arg-type, reportArgumentType, reportCallIssue
Pipeline[list[int], list[int]]("fluent").filter(str.isdigit)  # expect: arg-type, reportArgumentType
Pipeline[int, list[int]]("fluent").batch(2)  # expect: misc, reportAttributeAccessIssue, reportUnknownMemberType


# hooks and subscribers
@numbers.before_stage  # expect: type-var, reportArgumentType, reportUntypedFunctionDecorator
def too_few(stage: str, context: PipelineContext) -> None: ...


@numbers.on_error  # expect: type-var, reportArgumentType, reportUntypedFunctionDecorator
def wrong_error(stage: str, error: int, context: PipelineContext) -> None: ...


def on_number(number: int) -> None: ...


EventBus().subscribe(EventType.ITEM_CREATED, on_number)  # expect: arg-type, reportArgumentType
EventBus().subscribe("created", list[Event]().append)  # expect: arg-type, reportArgumentType
