"""The plan of a run: which stages are fed chunk by chunk together, and which need their whole input.

Neighbouring elementwise stages form one segment: by their law each chunk may go through all of them before the next one
begins, so the lists between them are short-lived and stay in the processor's cache, out of the garbage collector's way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mainstem.endpoints import SourceStage
from mainstem.stage import PipelineStage, StageKind
from mainstem.stages.record_function_stage import RecordFunctionStage


@dataclass(frozen=True, slots=True)
class Segment:
    """Stages that follow one another in a pipeline.

    Attributes:
        stages: Positions of the stages in the pipeline.
        in_chunks: Whether their input is cut into chunks; if not, there is one stage, handed its whole input.
    """

    stages: range
    in_chunks: bool


def plan_segments(stages: Sequence[PipelineStage[Any, Any]], *, fuse: bool) -> list[Segment]:
    """Cut a pipeline into segments.

    Args:
        stages: The pipeline's stages.
        fuse: Whether neighbours may share a segment; not when a hook wants to see the whole data between stages.
    """
    segments: list[Segment] = []
    for at, stage in enumerate(stages):
        in_chunks = _takes_chunks(stage)
        if fuse and in_chunks and segments and segments[-1].in_chunks:
            segments[-1] = Segment(range(segments[-1].stages.start, at + 1), True)
        else:
            segments.append(Segment(range(at, at + 1), in_chunks or (at == 0 and isinstance(stage, SourceStage))))
    return segments


def _takes_chunks(stage: PipelineStage[Any, Any]) -> bool:
    if isinstance(stage, RecordFunctionStage) and stage.overlaps_calls:
        return False  # at the end of each chunk its window of calls would run empty
    return stage.kind is StageKind.ELEMENTWISE
