"""Every built-in stage, and the ways to make one, from small descriptions that can be drawn and read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import parts_of_pipelines as parts

from mainstem import (
    AggregateStage,
    BatchStage,
    BranchStage,
    Combiner,
    Count,
    DedupeStage,
    Distinct,
    EventBus,
    FilterStage,
    FlattenStage,
    GroupBy,
    JoinStage,
    KeyedStage,
    LimitStage,
    MapStage,
    Max,
    Mean,
    Min,
    Pipeline,
    PipelineStage,
    SessionWindow,
    SlidingWindow,
    SplitStage,
    Sum,
    TapStage,
    ThrottleStage,
    TopK,
    TumblingWindow,
    ValidateRecordsStage,
    ValidateStage,
    WindowStage,
    create_etl_pipeline,
    fan_out,
)
from mainstem.endpoints import CHUNK_SIZE


@dataclass(frozen=True)
class Step:
    """A stage, or a few, from numbers to numbers, or to one value.

    Attributes:
        kind: A key of ``KINDS``.
        number: From 1 to 7; what it means depends on the kind.
        form: How its functions are written, a key of ``FORMS``.
        go_on: Whether it goes on past failed records. If it does not, it may fail.
        concurrency: How many async calls of its function there may be at a time.
        inner: The steps of which it is made, if it is made of such.
    """

    kind: str
    number: int = 1
    form: str = "annotated"
    go_on: bool = True
    concurrency: int = 1
    inner: tuple[Step, ...] = ()

    def make(self) -> PipelineStage[Any, Any]:
        return KINDS[self.kind](self)

    def function(self, function: Callable[..., Any]) -> Callable[[Any], Any]:
        """Return one of the functions of ``parts_of_pipelines`` with the number, in the form that was drawn."""
        return parts.FORMS[self.form](partial(function, self.number))

    def each(self, stage: Any, function: Callable[..., Any]) -> PipelineStage[Any, Any]:
        """Return a stage that calls a function for each record."""
        return stage(self.function(function), continue_on_error=self.go_on, concurrency=self.concurrency)

    def key(self) -> Callable[[Any], Any]:
        """Return a plain function that gives a key, and fails only where the stage goes on, or may fail."""
        return partial(parts.simple_remainder if self.number % 2 else parts.remainder, self.number)


def _own_combiner(step: Step) -> AggregateStage[Any, Any]:
    return AggregateStage(COMBINERS[step.kind](step))


def _of(step: Step) -> Callable[[Any], Any] | None:
    """A plain function for a combiner; where it raises, the stage fails."""
    return partial(parts.shifted if step.go_on else parts.added, step.number)


COMBINERS: Mapping[str, Callable[[Step], Combiner[Any, Any, Any]]] = {
    "count": lambda step: Count(),
    "sum": lambda step: Sum(of=_of(step)),
    "mean": lambda step: Mean(of=_of(step)),
    "min": lambda step: Min(by=_of(step)),
    "max": lambda step: Max(by=partial(parts.simple_remainder, step.number)),
    "top": lambda step: TopK(step.number, by=partial(parts.simple_remainder, step.number)),
    "distinct": lambda step: Distinct(by=_of(step)),
    "group": lambda step: GroupBy(partial(parts.simple_remainder, step.number), TopK(2)),
}

WINDOWS: Mapping[str, Callable[[int], Any]] = {
    "tumbling": lambda number: TumblingWindow(number),
    "sliding": lambda number: SlidingWindow(2 * number, every=number),
    "session": lambda number: SessionWindow(number),
}

HOWS = ("inner", "left", "strict", "semi", "anti")


def _window(step: Step) -> PipelineStage[Any, Any]:
    return WindowStage(
        WINDOWS[step.kind](step.number),
        partial(parts.instant if step.go_on else parts.remainder, step.number),
        (None, Sum(), TopK(2))[step.number % 3],
        key=partial(parts.simple_remainder, step.number) if step.concurrency > 1 else None,
        allowed_lateness=(0, 3, 50)[step.number % 3],
        continue_on_error=step.go_on,
    ) >> MapStage(parts.digest)


def _join(step: Step, reference: Any) -> PipelineStage[Any, Any]:
    # A strict join may fail at a record that has no match, any join at one that has no key.
    how: Any = HOWS[step.number % len(HOWS)]
    mapping = isinstance(reference, Mapping)
    reference_key = None if mapping else partial(parts.simple_remainder, 5)
    options: Any = {} if mapping else {"reference_key": reference_key}
    return JoinStage(reference, key=step.key(), how=how, continue_on_error=step.go_on, **options) >> MapStage(
        parts.digest
    )


def _split(step: Step) -> PipelineStage[Any, Any]:
    # One of them goes on: of two that may fail, the first sees its records of a chunk before the other.
    drop: Any = FilterStage(step.function(parts.kept), continue_on_error=True)
    chain: Any = drop >> step.each(MapStage, parts.failing)
    groups: Any = MapStage(partial(parts.repeated, step.number)) >> FlattenStage()
    branches: Any = {"low": (step.function(parts.is_below), chain), "even": (parts.is_even, groups)}
    otherwise: Any = step.each(MapStage, parts.failing) if step.concurrency > 1 else None
    return SplitStage(branches, otherwise=otherwise, continue_on_error=step.go_on)


def _branch(step: Step) -> PipelineStage[Any, Any]:
    """Branches that all add up; in front of one there are steps of any kind that takes chunks."""
    distinct: Any = _chained([*(each.make() for each in step.inner), AggregateStage(Distinct())])
    return BranchStage({"count": AggregateStage(Count()), "distinct": distinct, "sum": _summed(step)})


def _summed(step: Step) -> PipelineStage[Any, Any]:
    return step.each(FilterStage, parts.kept) >> AggregateStage(Sum())


def _branch_whole(step: Step) -> PipelineStage[Any, Any]:
    """Branches of which some need the whole input, and some give records."""
    return BranchStage(
        blocking=parts.Reversed(),
        elementwise=step.each(FilterStage, parts.kept),
        chain=_chained([*(each.make() for each in step.inner), BatchStage(step.number)]),
    )


def _chained(stages: Sequence[PipelineStage[Any, Any]]) -> PipelineStage[Any, Any]:
    first, *rest = stages
    for stage in rest:
        first = first >> stage
    return first


def _nested(step: Step) -> PipelineStage[Any, Any]:
    inner: Any = Pipeline("inner", event_bus=EventBus())
    for each in stages_of(step.inner):
        inner.add_stage(each)
    return inner


def _etl(step: Step) -> PipelineStage[Any, Any]:
    return create_etl_pipeline(
        parts.extracted,
        step.function(parts.failing),
        parts.loaded,
        continue_on_error=step.go_on,
        concurrency=step.concurrency,
        event_bus=EventBus(),
    )


def _flatten(step: Step) -> PipelineStage[Any, Any]:
    return MapStage(step.function(parts.repeated if step.go_on else parts.repeated_or_none)) >> FlattenStage()


KINDS: Mapping[str, Callable[[Step], Any]] = {
    "map": lambda step: step.each(MapStage, parts.shifted),
    "failing map": lambda step: step.each(MapStage, parts.failing),
    "filter": lambda step: step.each(FilterStage, parts.kept),
    "check": lambda step: step.each(ValidateRecordsStage, parts.good),
    "tap": lambda step: step.each(TapStage, parts.looked_at),
    "flatten": _flatten,
    "batch": lambda step: BatchStage(step.number) >> step.each(MapStage, parts.total),
    "there and back": lambda step: BatchStage(step.number) >> FlattenStage(),
    "dedupe": lambda step: DedupeStage(step.function(parts.remainder), continue_on_error=step.go_on),
    "dedupe records": lambda step: DedupeStage(),
    "dedupe some": lambda step: DedupeStage(
        step.function(parts.simple_remainder), max_keys=step.number, continue_on_error=step.go_on
    ),
    **dict.fromkeys(WINDOWS, _window),
    "join mapping": lambda step: _join(step, {0: "zero", 2: "two", 4: "four"}),
    "join records": lambda step: _join(step, [0, 1, 5, 6, 10]),
    "join stage": lambda step: _join(step, parts.Given([0, 1, 6])),
    "split": _split,
    "throttle": lambda step: ThrottleStage((step.number, 1_000_000)[step.number % 2], per=1e-9),
    "own elementwise": lambda step: parts.Squares(),
    "own stateful": lambda step: parts.Differences(),
    "own blocking": lambda step: parts.Reversed(),
    "nested": _nested,
    "etl": _etl,
    "validate": lambda step: ValidateStage(step.function(parts.numbers_only if step.go_on else parts.not_too_many)),
    "limit": lambda step: LimitStage((1, 3, 5, 10, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1)[step.number - 1]),
    "limit to nothing": lambda step: LimitStage(0),
    "keyed": lambda step: KeyedStage(partial(parts.simple_remainder, step.number), Sum(of=_of(step))),
    **dict.fromkeys(COMBINERS, _own_combiner),
    "aggregate": lambda step: AggregateStage(
        step.function(parts.total_of_all if step.go_on else parts.total_or_failure)
    ),
    "branches": _branch,
    "whole branches": _branch_whole,
    "fan out": lambda step: fan_out(AggregateStage(Count()), AggregateStage(Distinct()), _summed(step)),
    "whole fan out": lambda step: fan_out(AggregateStage(max), parts.Reversed(), name="both"),
    "model": lambda step: (
        MapStage(parts.as_row)
        >> ValidateRecordsStage(parts.Row, continue_on_error=step.go_on)
        >> MapStage(parts.number_of)
    ),
}
"""What a step can be: every built-in stage is in one of them."""

ENDS = {*COMBINERS, "aggregate", "branches", "whole branches", "fan out", "whole fan out", "keyed"}
"""The kinds that give one value, or records that are no numbers, of which a stage makes numbers again."""

MADE_OF_STEPS = {"nested", "branches", "whole branches"}
"""The kinds that have inner steps."""

NEED_EXTRAS = {"model"}
"""The kinds that need an extra to be installed."""

TAKE_CHUNKS = [
    kind
    for kind in KINDS
    if kind
    not in ENDS | NEED_EXTRAS | {"own blocking", "nested", "etl", "validate", "whole fan out", "limit to nothing"}
]
"""The kinds whose stages all take chunks."""


def stages_of(steps: Sequence[Step]) -> Iterator[PipelineStage[Any, Any]]:
    """Make the stages of the steps, with one that makes numbers again after each that gives none."""
    for at, step in enumerate(steps):
        yield step.make()
        if step.kind in ENDS and at < len(steps) - 1:
            yield parts.Spread()
