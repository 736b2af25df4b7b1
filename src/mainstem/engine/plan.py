"""The plan of a run: which stages are fed chunk by chunk, and which stage takes all chunks and gives one value.

Everything follows from the laws that the stages keep. Elementwise stages take any chunk by itself; stateful ones take
the chunks in order; a combiner takes them in order too, and has its answer at the end; a sink writes each and commits
at the end. A blocking stage needs its whole input: the chunks are gathered for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, TypeGuard

from mainstem.endpoints import SinkStage, SourceStage
from mainstem.errors import UnboundedStageError
from mainstem.stage import PipelineStage, StageKind
from mainstem.stages.aggregate import AggregateStage
from mainstem.stages.record_function_stage import RecordFunctionStage
from mainstem.stateful import StatefulStage, takes_chunks


@dataclass(frozen=True, slots=True)
class Segment:
    """Stages that follow one another in a pipeline.

    Attributes:
        line: Positions of the stages that each chunk goes through.
        end: Position of the stage that takes all that comes out of the line and gives one value; ``None`` if the line
            is the last thing in the pipeline.
    """

    line: range
    end: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A pipeline in segments.

    Attributes:
        source: Whether the first stage is a source, which belongs to no segment.
        segments: Each takes what the one before it gives.
    """

    source: bool
    segments: tuple[Segment, ...]


def plan_run(stages: Sequence[PipelineStage[Any, Any]], *, in_turn: bool = True) -> Plan:
    """Cut a pipeline into segments.

    Args:
        stages: Its stages.
        in_turn: Whether each chunk goes through all stages before the next. A stage whose async calls overlap then
            takes its whole input, for at the end of each chunk its window of calls would run empty; but not where the
            input may have no end, and a stage after it ends it.
    """
    source = bool(stages) and isinstance(stages[0], SourceStage)
    segments: list[Segment] = []
    start = 1 if source else 0
    for at in range(start, len(stages)):
        gathers = in_turn and overlaps_calls(stages[at]) and not _end_input(stages[at:])
        if gathers or not takes_chunks(stages[at]):
            segments.append(Segment(range(start, at), at))
            start = at + 1
    if start < len(stages):
        segments.append(Segment(range(start, len(stages)), None))
    return Plan(source, tuple(segments))


def _end_input(stages: Sequence[PipelineStage[Any, Any]]) -> bool:
    """Whether one of the stages ends the input early, before any that needs all of it."""
    return any(isinstance(stage, StatefulStage) and stage.ends_input for stage in takewhile(takes_chunks, stages))


def refuse_unbounded(stages: Sequence[PipelineStage[Any, Any]], names: Sequence[str]) -> None:
    """Refuse the stages that need their whole input at once.

    Raises:
        UnboundedStageError: If there is one; it names each, with where it was made and the way out.
    """
    blocking = [
        f"  {name!r}, made at {stage.made_at}"
        for name, stage in zip(names, stages, strict=True)
        if not takes_chunks(stage)
        and stage.kind is not StageKind.COMBINER
        and not isinstance(stage, (SourceStage, SinkStage))
    ]
    if blocking:
        raise UnboundedStageError(
            "a bounded stream cannot hold what these stages need, their whole input at once:\n"
            + "\n".join(blocking)
            + "\nAggregate with a Combiner instead of a function, say which law a stage of your own keeps (its kind), "
            "or leave out bounded=True"
        )


def overlaps_calls(stage: PipelineStage[Any, Any]) -> TypeGuard[RecordFunctionStage[Any, Any]]:
    """Whether calls of a stage's function for different records overlap."""
    return isinstance(stage, RecordFunctionStage) and stage.overlaps_calls


def can_be_shipped(stage: PipelineStage[Any, Any]) -> bool:
    """Whether the law of a stage allows it to work on any part of the data anywhere, and it computes rather than waits.

    What waits gains nothing from another processor, and often holds connections that cannot leave their process.
    """
    if isinstance(stage, RecordFunctionStage):
        return not stage.waits and not stage.overlaps_calls
    return stage.kind is StageKind.ELEMENTWISE or (isinstance(stage, AggregateStage) and stage.combiner is not None)
