"""The times of one stage of a run."""

from __future__ import annotations

from dataclasses import dataclass

from mainstem.context import StageProgress


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTiming:
    """Where the time of one stage went, in milliseconds.

    Attributes:
        busy_ms: Time spent in the stage, its own waiting for answers included; the same as ``duration_ms``. Of a stage
            that ran in worker processes, the time of all of them added up.
        waiting_ms: Time in which it had nothing to do: it waited for its input.
        blocked_ms: Time in which it could not hand on its output, because what comes after it was not ready.
        retry_ms: The part of ``busy_ms`` in which records were being retried.
        throttle_ms: The part of ``busy_ms`` that a rate limit held it up.
        queue_depth: The most chunks that waited before it at a time.

    Example:
        >>> from mainstem import MapStage, Pipeline
        >>> result = Pipeline[list[int], list[str]]("texts").add_stage(MapStage(str)).run([1, 2])
        >>> timing = result.stage_results["MapStage"].timing
        >>> timing.busy_ms > 0, timing.retry_ms, timing.queue_depth
        (True, 0.0, 0)
    """

    busy_ms: float = 0.0
    waiting_ms: float = 0.0
    blocked_ms: float = 0.0
    retry_ms: float = 0.0
    throttle_ms: float = 0.0
    queue_depth: int = 0

    @classmethod
    def of(cls, progress: StageProgress) -> StageTiming:
        """Return the times that a stage's progress holds."""
        return cls(
            busy_ms=progress.duration_ms,
            waiting_ms=progress.waiting_ms,
            blocked_ms=progress.blocked_ms,
            retry_ms=progress.retry_ms,
            throttle_ms=progress.throttle_ms,
            queue_depth=progress.queue_depth,
        )
