"""The figures of a run that goes on: what each stage has done, how fast, what it waits on, and how much is left."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Any, Literal, NamedTuple, TypeAlias

from mainstem.context import PipelineContext, StageProgress
from mainstem.endpoints import SourceStage
from mainstem.errors import ConnectError
from mainstem.stage import PipelineStage
from mainstem.stage_run import unique_names

FigureState: TypeAlias = Literal["waiting", "running", "done"]
WINDOW_SECONDS = 5.0
"""Over how long a rate is taken."""
SHORTEST_SECONDS = 0.5
"""What is less than this long ago says nothing of a rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFigures:
    """What is known of a stage at a moment.

    Attributes:
        name: The stage's name.
        state: Whether it has begun, and ended.
        records_in: Records it has taken.
        records_passed: Records that came through.
        records_filtered: Records that it dropped on purpose.
        records_failed: Records that it rejected.
        duration_ms: Time spent in it.
        rate: Records taken per second, lately; ``None`` before there are any.
        waiting_on: What it waits on: ``its input``, ``the next stage``, ``an answer``, ``its rate limit`` or
            ``retries``; empty if it works, or nobody knows.
        share: Which share of its input it has taken, from 0 to 1, where the source knows its size.
        remaining_s: How many seconds the rest will take, if it goes on like this; ``None`` if that cannot be told.
    """

    name: str
    state: FigureState
    records_in: int = 0
    records_passed: int = 0
    records_filtered: int = 0
    records_failed: int = 0
    duration_ms: float = 0.0
    rate: float | None = None
    waiting_on: str = ""
    share: float | None = None
    remaining_s: float | None = None


class _Sample(NamedTuple):
    at: float
    records: int
    busy_ms: float
    retry_ms: float
    throttle_ms: float
    waiting_ms: float
    blocked_ms: float


class ProgressWatch:
    """Reads the figures of a run.

    Args:
        stages: The stages of its pipeline.
        context: The run's context.
        total: How many records there are to read, if that is known.

    Example:
        >>> from mainstem import Pipeline
        >>> pipeline = Pipeline[list[int], list[int]]("numbers").map(abs)
        >>> context = PipelineContext()
        >>> watch = ProgressWatch(pipeline.stages, context, total=4)
        >>> watch.look()[0].state
        'waiting'
        >>> _ = pipeline.run([1, -2], context=context)
        >>> (figures,) = watch.look()
        >>> figures.state, figures.records_in, figures.share
        ('done', 2, 0.5)
    """

    def __init__(
        self, stages: Sequence[PipelineStage[Any, Any]], context: PipelineContext, total: int | None = None
    ) -> None:
        self._stages: Mapping[str, PipelineStage[Any, Any]] = dict(zip(unique_names(stages), stages, strict=True))
        self._context, self._total = context, total
        self._samples: dict[str, deque[_Sample]] = {}
        self._first_share: tuple[float, float] | None = None
        self._lock = Lock()

    def look(self) -> list[StageFigures]:
        """Return the figures as they are now, in the order of the pipeline; those who look may do so at any time."""
        now = monotonic()
        begun = dict(self._context.progress)  # a copy: the run adds to it in another thread
        found: list[StageFigures] = []
        with self._lock:
            for name in dict.fromkeys([*self._stages, *begun]):
                progress = begun.get(name)
                if progress is None:
                    found.append(StageFigures(name=name, state="waiting"))
                    continue
                before = self._sample(name, progress, now)
                is_first = not found
                share = self._share(name, progress) if is_first else None
                found.append(
                    StageFigures(
                        name=name,
                        state="done" if progress.done else "running",
                        records_in=progress.records_in,
                        records_passed=progress.records_passed,
                        records_filtered=progress.records_filtered,
                        records_failed=progress.records_failed,
                        duration_ms=progress.duration_ms,
                        rate=_rate(progress, before, now),
                        waiting_on=self._waiting_on(name, progress, before, now, found),
                        share=share,
                        remaining_s=None if share is None or progress.done else self._remaining(share, now),
                    )
                )
        return found

    def _sample(self, name: str, progress: StageProgress, now: float) -> _Sample:
        """Take a sample, and return the one that the figures are compared with."""
        samples = self._samples.setdefault(name, deque())
        sample = _Sample(
            now,
            progress.records_in,
            progress.duration_ms,
            progress.retry_ms,
            progress.throttle_ms,
            progress.waiting_ms,
            progress.blocked_ms,
        )
        while len(samples) > 1 and now - samples[1].at >= WINDOW_SECONDS:
            samples.popleft()
        before = samples[0] if samples else sample
        samples.append(sample)
        return before

    def _share(self, name: str, progress: StageProgress) -> float | None:
        if self._total is not None:
            return min(1.0, progress.records_in / self._total) if self._total else 1.0
        source = self._stages.get(name)
        if not isinstance(source, SourceStage) or progress.position is None:
            return None
        if progress.done:
            return 1.0
        try:
            share: float | None = source.share_before(progress.position)
        except ConnectError:
            return None  # a file that was moved while it is read: the read says so, if it matters
        return share

    def _remaining(self, share: float, now: float) -> float | None:
        """Return how many seconds are left, if the rest is read as fast as what was read since the first look."""
        if self._first_share is None:
            self._first_share = (now, share)
        since, first = self._first_share
        if now - since < SHORTEST_SECONDS or share <= first:
            return None
        return (1 - share) * (now - since) / (share - first)

    def _waiting_on(
        self, name: str, progress: StageProgress, before: _Sample, now: float, others: Sequence[StageFigures]
    ) -> str:
        if progress.done:
            return ""
        busy = progress.duration_ms - before.busy_ms
        lately = now - before.at >= SHORTEST_SECONDS
        if lately and progress.throttle_ms - before.throttle_ms > busy / 2 > 0:
            return "its rate limit"
        if lately and progress.retry_ms - before.retry_ms > busy / 2 > 0:
            return "retries"
        if progress.idle:
            return "its input" if progress.idle == "input" else "the next stage"
        if not lately or progress.records_in > before.records:
            return ""
        stage = self._stages.get(name)
        if stage is not None and stage.waits:
            return "an answer"
        return "its input" if others and others[-1].waiting_on in ("its input", "an answer", "its rate limit") else ""


def rate_of(progress: StageProgress) -> float | None:
    """Return records per second of the time spent in a stage; ``None`` before there are any."""
    if not progress.records_in or not progress.duration_ms:
        return None
    return progress.records_in / progress.duration_ms * 1000


def _rate(progress: StageProgress, before: _Sample, now: float) -> float | None:
    if progress.done or now - before.at < SHORTEST_SECONDS:
        return rate_of(progress)
    return (progress.records_in - before.records) / (now - before.at)
