"""``make_context``: the context that a stage is given, for calling its ``process`` by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mainstem.context import PipelineContext, StageProgress


def make_context(
    stage: str | None = None,
    *,
    metadata: Mapping[str, Any] | None = None,
    completed: Iterable[str] = (),
    chunk_start: int = 0,
    pipeline_id: str = "test",
) -> PipelineContext:
    """Make a context as a stage finds it in the middle of a run.

    Args:
        stage: The name of the stage that is running, for its errors.
        metadata: What the stages before it have left there; copied.
        completed: The names of the stages that have completed.
        chunk_start: The position of the first record it is handed, for the positions of its errors.
        pipeline_id: The run's identity.

    Example:
        >>> import anyio
        >>> from mainstem import MapStage
        >>> context = make_context("parse", metadata={"currency": "EUR"}, chunk_start=1000)
        >>> anyio.run(MapStage(int, continue_on_error=True).process, ["7", "x"], context).data
        [7]
        >>> [(error.stage, error.index, error.record) for error in context.errors]
        [('parse', 1001, 'x')]
    """
    context = PipelineContext(pipeline_id, metadata=dict(metadata or {}))
    for name in completed:
        context.progress[name] = StageProgress(done=True)
        context.mark_completed(name)
    context.current_stage, context.chunk_start = stage, chunk_start
    if stage is not None:
        context.progress[stage] = StageProgress()
    return context
