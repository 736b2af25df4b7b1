"""Where the time of a run went: for each stage, for its input and output, and which of them ran beside one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from mainstem.context import StageProgress
from mainstem.stage_timing import StageTiming

INPUT = "the input"
OUTPUT = "the taker of the output"
SHORTEST_MS = 10.0
"""A shorter run says nothing of what bounds it: what it costs to start one is as large."""
OVERLAPPED = 1.2
"""How many calls were under way on average, from which on they did overlap."""

PartKind: TypeAlias = Literal["input", "stage", "output"]
Option: TypeAlias = Literal["concurrency", "workers"]
Cause: TypeAlias = Literal["input", "output", "waiting", "computing", "rate limit", "retries"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPart:
    """A part of a run: a stage, the input, or whoever takes the output.

    Attributes:
        name: The stage's name in reports; ``the input``, ``the taker of the output``.
        kind: Which of the three it is.
        timing: Where its time went.
        computes: Whether it keeps the event loop's thread, so that no other part gets on meanwhile.
        option: The option of which more would make it faster, if there is one.
        at_a_time: How many of its calls, or of its workers, may be at work at a time.
        records: How many records it took: more calls at a time would be of no use.
        room: For how many of them there is room: records that it may hold, processors; ``None`` for any number.
        work_ms: The time of all its calls added up; the same as its busy time where there is one at a time.

    Example:
        >>> fetch = RunPart(name="fetch", timing=StageTiming(busy_ms=90.0), at_a_time=10, records=500, work_ms=600.0)
        >>> fetch.need_ms  # were ten calls under way all the time
        60.0
    """

    name: str
    kind: PartKind = "stage"
    timing: StageTiming = field(default=StageTiming())
    computes: bool = False
    option: Option | None = None
    at_a_time: int = 1
    records: int = 1
    room: int | None = None
    work_ms: float = 0.0

    @property
    def busy_ms(self) -> float:
        """Time spent in it, in all processes."""
        return self.timing.busy_ms

    @property
    def spent_ms(self) -> float:
        """Time spent in it, as its share in the run's: workers spend theirs at the same time."""
        return self.need_ms if self.option == "workers" else self.busy_ms

    @property
    def most(self) -> int:
        """How many of its calls, or of its workers, there can be at a time, whatever the option says."""
        return max(1, self.records if self.room is None else min(self.records, self.room))

    @property
    def need_ms(self) -> float:
        """The time it would take if nothing else held it up."""
        return self.work_ms / min(self.at_a_time, self.most)

    @property
    def on_thread_ms(self) -> float:
        """The time for which it keeps the event loop's thread."""
        held_up = self.timing.retry_ms + self.timing.throttle_ms
        return max(0.0, self.need_ms - held_up) if self.computes else 0.0

    @property
    def cause(self) -> Cause:
        """Why it takes its time."""
        if self.kind != "stage":
            return self.kind
        if self.timing.throttle_ms > self.busy_ms / 2:
            return "rate limit"
        if self.timing.retry_ms > self.busy_ms / 2:
            return "retries"
        return "computing" if self.computes or self.option == "workers" else "waiting"


Lane: TypeAlias = tuple[RunPart, ...]
"""Parts that take turns."""
Phase: TypeAlias = tuple[Lane, ...]
"""Lanes that run beside one another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTimes:
    """The times of a run, and which parts ran beside which.

    Attributes:
        wall_ms: How long it took.
        thread_ms: Processor time of the event loop's thread meanwhile.
        phases: The parts, as they were laid out: phases follow one another, lanes of a phase ran beside one another,
            parts of a lane took turns. None of a run of less than ``SHORTEST_MS``.

    Example:
        >>> import time
        >>> from mainstem import MapStage, Pipeline
        >>> def slow(number: int) -> int:
        ...     time.sleep(0.02)
        ...     return number
        >>> times = Pipeline[list[int], list[int]]("numbers").map(slow, name="slow").run([1]).times
        >>> [part.name for part in times.parts], times.parts[1].busy_ms > 19
        (['the input', 'slow'], True)
    """

    wall_ms: float
    thread_ms: float = 0.0
    phases: tuple[Phase, ...] = ()

    @property
    def parts(self) -> tuple[RunPart, ...]:
        """All parts, in the order of the pipeline."""
        return tuple(part for phase in self.phases for lane in phase for part in lane)

    @property
    def estimated_ms(self) -> float:
        """How long it should have taken, from what its parts need."""
        return sum(map(_phase_ms, self.phases))

    @property
    def on_thread_ms(self) -> float:
        """How long its parts kept the event loop's thread."""
        return sum(part.on_thread_ms for part in self.parts)


def _phase_ms(phase: Phase) -> float:
    longest = max((sum(part.need_ms for part in lane) for lane in phase), default=0.0)
    return max(longest, sum(part.on_thread_ms for lane in phase for part in lane))


def settle_waiting(times: RunTimes, progress: Mapping[str, StageProgress], *, streamed: bool) -> None:
    """Complete the times for which stages waited for others, from what is known at the end of a run.

    A stage that takes turns waits while those before it work, and, in a stream, can't go on while those after it do.
    What is left of a lane's time was spent waiting for a slower one: for its output, or for it to take some.
    """
    total = times.estimated_ms
    for phase in times.phases:
        phase_ms = _phase_ms(phase) * times.wall_ms / total if total else 0.0
        slowest = max(range(len(phase)), key=lambda at: sum(part.need_ms for part in phase[at]), default=0)
        for at, lane in enumerate(phase):
            _settle_lane(lane, progress, phase_ms, at - slowest, streamed=streamed)


def _settle_lane(
    lane: Lane, progress: Mapping[str, StageProgress], phase_ms: float, side: int, *, streamed: bool
) -> None:
    stages = [progress[part.name] for part in lane if part.kind == "stage"]
    if not stages:
        return
    busy = [part.spent_ms for part in lane]
    waited, blocked = stages[0].waiting_ms, stages[-1].blocked_ms
    idle = max(0.0, phase_ms - sum(busy) - waited - blocked) if streamed else 0.0
    waited += idle if side > 0 else 0.0
    blocked += idle if side < 0 else 0.0
    for at, part in enumerate(lane):
        if part.kind == "stage":
            progress[part.name].waiting_ms = waited + sum(busy[:at])
            if streamed:
                progress[part.name].blocked_ms = blocked + sum(busy[at + 1 :])
