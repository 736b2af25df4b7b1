"""What bounds a run, from the times that were measured: which part, and what more calls or workers there would give.

The model is that of a line of work. Parts in one lane take turns, so their times add up; lanes run beside one another,
so the longest sets the pace; and all that computes on the event loop's thread adds up too, in whichever lane it is.
Phases follow one another: a stage that needs its whole input begins when the lanes before it have ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mainstem.run_times import OVERLAPPED, SHORTEST_MS, Cause, Lane, Option, PartKind, RunPart, RunTimes

NEARLY_ALL = 0.85
"""The share of a time from which on it counts as all of it: some goes into the engine, and clocks are not exact."""
COMPUTES = 0.7
"""The share of processor time in a stage's time from which on it computes: a busy machine interrupts it at times."""
COMPUTES_ONE_BY_ONE = 0.3
"""The same, where calls might have overlapped and did not: they gave no other one a chance."""
WORKERS_START_MS = 300.0
"""About what it takes to start worker processes, which load Python and what the functions need."""
THREAD = "the event loop's thread"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What more of an option would give.

    Attributes:
        option: ``concurrency`` of the stage, or ``workers`` of the run.
        value: What to set it to.
        estimated_ms: About how long the run would take then.
        next_bound: The part that would bound it then, the same one if it still would; or ``the event loop's thread``.
        if_others_keep_up: Whether that holds only if parts that waited beside it can be faster too: their own time
            cannot be told from the time in which they waited for the event loop's thread.

    Example:
        >>> remedy = Remedy(option="concurrency", value=20, estimated_ms=6_300, next_bound="load")
        >>> f"{remedy.option}={remedy.value}: about {remedy.estimated_ms / 1000} s"
        'concurrency=20: about 6.3 s'
    """

    option: Option
    value: int
    estimated_ms: float
    next_bound: str
    if_others_keep_up: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bottleneck:
    """The part that bounds a run: the run would gain most if it were faster.

    Attributes:
        name: The stage's name; ``the input``, or ``the taker of the output``.
        kind: Which of the three it is.
        cause: Why it takes its time.
        busy_ms: Time spent in it.
        wall_ms: Time that the run took.
        remedy: What more of an option would give; ``None`` if there is no option that would help.

    Example:
        >>> import time
        >>> from mainstem import MapStage, Pipeline
        >>> def slow(number: int) -> int:
        ...     time.sleep(0.02)
        ...     return number
        >>> pipeline = Pipeline[list[int], list[str]]("numbers").add_stage(MapStage(slow, name="slow"))
        >>> found = pipeline.add_stage(MapStage(str)).run([1, 2]).bottleneck
        >>> found.name, found.cause, found.remedy.option
        ('slow', 'computing', 'workers')
    """

    name: str
    kind: PartKind
    cause: Cause
    busy_ms: float
    wall_ms: float
    remedy: Remedy | None = None
    part: RunPart = field(repr=False)

    @property
    def share(self) -> float:
        """Which share of the run's time it was busy, from 0 to 1."""
        return min(1.0, self.busy_ms / self.wall_ms)


def find_bottleneck(times: RunTimes) -> Bottleneck | None:
    """Find the part that bounds a run.

    Returns:
        ``None`` where nothing can be said: the run was too short, has no stages, or spent its time elsewhere.
    """
    if times.wall_ms < SHORTEST_MS or not has_stages(times):
        return None
    times = with_thread_explained(times)
    if times.estimated_ms < times.wall_ms / 2:
        return None
    part = _bounding(times)
    return Bottleneck(
        name=part.name,
        kind=part.kind,
        cause=part.cause,
        busy_ms=part.spent_ms,
        wall_ms=times.wall_ms,
        remedy=_remedy(part, times),
        part=part,
    )


def has_stages(times: RunTimes) -> bool:
    """Whether there were stages that did something."""
    return any(part.kind == "stage" and part.busy_ms for part in times.parts)


def with_thread_explained(times: RunTimes) -> RunTimes:
    """Let stages count as computing that seem to wait, but account for processor time of the thread.

    An async function, a source or a sink may compute all the time, and then more calls at a time are of no use.
    """
    left = times.thread_ms - times.on_thread_ms
    computing: list[RunPart] = []
    for part in sorted(times.parts, key=lambda each: each.need_ms, reverse=True):
        share = COMPUTES_ONE_BY_ONE if _one_by_one(part) else COMPUTES
        if part.cause == "waiting" and part.busy_ms and left >= share * part.busy_ms:
            computing.append(part)
            left -= part.busy_ms

    def explain(part: RunPart) -> RunPart:
        if part not in computing:
            return part
        return replace(part, computes=True, option=None, at_a_time=1, work_ms=part.busy_ms)

    return _changed(times, explain)


def _one_by_one(part: RunPart) -> bool:
    return min(part.at_a_time, part.most) > 1 and part.work_ms < OVERLAPPED * part.busy_ms


def _bounding(times: RunTimes) -> RunPart:
    """Return the part without which the run would be shortest."""
    whole = times.estimated_ms

    def gain(part: RunPart) -> tuple[float, float]:
        without = _changed(times, lambda each: replace(each, work_ms=0.0) if each is part else each)
        return whole - without.estimated_ms, part.need_ms

    if _thread_is_full(times):  # what waited then, waited for the thread
        return max((each for each in times.parts if each.on_thread_ms), key=lambda each: each.need_ms)
    return max(times.parts, key=gain)


def _thread_is_full(times: RunTimes) -> bool:
    return times.on_thread_ms >= NEARLY_ALL * times.wall_ms


def _remedy(part: RunPart, times: RunTimes) -> Remedy | None:
    """Say what twice as much of the part's option would give, or as much as there can be of it."""
    option, value = part.option, min(2 * part.at_a_time, part.most)
    if option is None or part.at_a_time >= part.most or (option == "workers" and part.cause == "retries"):
        return None

    def widen(each: RunPart) -> RunPart:
        if option == "workers" and each.option == "workers":
            return replace(each, at_a_time=value, computes=False)
        return replace(each, at_a_time=value) if each is part else each

    contended = _thread_is_full(times) and any(_waits_long(lane, times) for phase in times.phases for lane in phase)
    freed = _changed_lanes(times, lambda lane: () if _waits_long(lane, times) else lane) if contended else times
    widened = _changed(freed, widen)
    before, after = freed.estimated_ms, widened.estimated_ms
    estimated = times.wall_ms - before + after if before <= times.wall_ms else times.wall_ms * after / before
    off_thread = freed.on_thread_ms - widened.on_thread_ms
    floor = max(0.0, times.thread_ms - off_thread)
    if option == "workers" and part.computes:
        estimated += WORKERS_START_MS
    return Remedy(
        option=option,
        value=value,
        estimated_ms=max(estimated, floor),
        next_bound=THREAD if floor > estimated else _bounding(widened).name,
        if_others_keep_up=contended,
    )


def _waits_long(lane: Lane, times: RunTimes) -> bool:
    """Whether much time of a lane may have gone into waiting for the thread that others kept."""
    waited = sum(part.need_ms for part in lane)
    return waited > (1 - NEARLY_ALL) * times.wall_ms and not any(part.on_thread_ms for part in lane)


def _changed(times: RunTimes, change: Callable[[RunPart], RunPart]) -> RunTimes:
    return _changed_lanes(times, lambda lane: tuple(map(change, lane)))


def _changed_lanes(times: RunTimes, change: Callable[[Lane], Lane]) -> RunTimes:
    return replace(times, phases=tuple(tuple(map(change, phase)) for phase in times.phases))
