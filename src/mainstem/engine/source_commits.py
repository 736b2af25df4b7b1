"""What a source is told once its records are in the target for good, and when the run has ended."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import anyio

from mainstem.context import PipelineContext
from mainstem.endpoints import Position, SourceStage
from mainstem.engine.line import StageFailed
from mainstem.errors import describe_error
from mainstem.stage_run import StageRun

logger = logging.getLogger("mainstem.pipeline")


def acknowledging(stage: object) -> SourceStage[Any] | None:
    """Return a stage if it is a source that is to be told what is committed, and when the run has ended."""
    if not isinstance(stage, SourceStage):
        return None
    source: SourceStage[Any] = stage  # pyright: ignore[reportUnknownVariableType]
    return source if source.acknowledges else None


async def tell_committed(runs: Sequence[StageRun], position: Position | None) -> None:
    """Tell the source at the beginning of a pipeline, if there is one, what was committed.

    Raises:
        StageFailed: If the source cannot take note of it.
    """
    source = acknowledging(runs[0].stage) if runs else None
    if source is None or position is None:
        return
    try:
        await source.committed(position)
    except Exception as error:
        raise StageFailed(runs[0], runs[0].interrupt(error)) from error


async def release(stage: object, context: PipelineContext) -> None:
    """Let a source go of what it holds for a run, which has ended: its outcome does not change any more."""
    source = acknowledging(stage)
    if source is None:
        return
    with anyio.CancelScope(shield=True):
        try:
            await source.release(context)
        except Exception as error:
            logger.warning("source %s was not closed properly: %s", source.name, describe_error(error))
