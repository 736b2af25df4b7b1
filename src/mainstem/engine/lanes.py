"""The parts of a run as they lay beside one another, with their times, for saying what bounds it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from mainstem.endpoints import SinkStage, SourceStage
from mainstem.engine.chunks import Reader
from mainstem.engine.layout import Layout
from mainstem.engine.plan import can_be_shipped
from mainstem.run_times import INPUT, OUTPUT, OVERLAPPED, Lane, Option, Phase, RunPart
from mainstem.stage import StageKind
from mainstem.stage_run import StageRun
from mainstem.stage_timing import StageTiming
from mainstem.stages.aggregate import AggregateStage
from mainstem.stages.record_function import RecordFunction
from mainstem.stages.record_function_stage import RecordFunctionStage


class LaidOut(Protocol):
    """A run that has ended, as far as it matters here; without ``layouts`` its stages took turns."""

    stage_runs: list[StageRun]
    layouts: Sequence[Layout]
    reader: Reader | None
    chunk_size: int


def phases_of(run: LaidOut, taker_ms: float | None, *, shippable: bool) -> tuple[Phase, ...]:
    """Return the parts of a run as they lay.

    Args:
        run: The run.
        taker_ms: Time that whoever took its chunks took for them; ``None`` if there were none to take.
        shippable: Whether its stages might run in worker processes.
    """
    reader, runs = run.reader, run.stage_runs
    arriving = reader is not None and reader.arriving
    reads = _input_part(0.0 if reader is None else reader.spent_ms, arriving=arriving)
    if not run.layouts:
        stages = tuple(_stage_part(each, shippable=shippable) for each in runs)
        return (((reads,), stages),) if arriving else (((reads, *stages),),)
    phases: list[list[list[RunPart]]] = []
    source = bool(runs) and isinstance(runs[0].stage, SourceStage)
    before = [_stage_part(runs[0])] if source else [reads]
    for layout in run.layouts:
        lanes = [before, []] if arriving and not phases else [before]
        phases.append(lanes)
        before = []
        _add_sections(lanes, layout, run, shippable=shippable)
        end = layout.end
        if end is None:
            lanes[-1] += [] if taker_ms is None else [_output_part(taker_ms)]
        elif end < len(runs) and _gathers(runs[end]):
            phases.append([[_stage_part(runs[end], shippable=shippable)]])
        elif end < len(runs):
            lanes[-1].append(_stage_part(runs[end], shippable=shippable))
    return tuple(phase for phase in map(_filled, phases) if phase)


def _add_sections(lanes: list[list[RunPart]], layout: Layout, run: LaidOut, *, shippable: bool) -> None:
    for section in layout.sections:
        if section.overlaps or section.shipped or section.ahead is not None:
            lanes.append([])
        room = section.holds * run.chunk_size if section.overlaps else None
        for at in section.stages:
            if at < len(run.stage_runs):  # of those after a failure some have not begun
                lanes[-1].append(_stage_part(run.stage_runs[at], room, shippable=shippable))
        if section.overlaps or section.shipped:  # its calls, or its workers, go on while what comes after it works
            lanes.append([])
    if layout.ahead is not None:
        lanes.append([])


def _input_part(spent_ms: float, *, arriving: bool) -> RunPart:
    timing = StageTiming(busy_ms=spent_ms)
    return RunPart(name=INPUT, kind="input", timing=timing, work_ms=spent_ms, computes=not arriving)


def _output_part(spent_ms: float) -> RunPart:
    return RunPart(name=OUTPUT, kind="output", timing=StageTiming(busy_ms=spent_ms), work_ms=spent_ms)


def _stage_part(run: StageRun, room: int | None = None, *, shippable: bool = False) -> RunPart:
    """Return a stage of a run as a part, which may hold so many records at a time."""
    computes, option, at_a_time = _works(run, shippable=shippable)
    if run.workers is not None:
        computes, option, at_a_time = not run.workers, "workers" if run.workers else None, max(1, run.workers)
    if option == "workers":
        from mainstem.engine.shipping_cost import available_processors  # late: it needs more than most runs do

        room = available_processors()
    records, busy = max(1, run.progress.records_in), run.progress.duration_ms
    # Where its calls were not timed one by one, it had all its records at once, and as many under way as could be.
    overlapping = min(at_a_time, records) if option == "concurrency" else 1
    return RunPart(
        name=run.name,
        timing=StageTiming.of(run.progress),
        computes=computes,
        option=option,
        at_a_time=at_a_time,
        records=records,
        room=room,
        work_ms=run.calls_ms or busy * overlapping,
    )


def _works(run: StageRun, *, shippable: bool) -> tuple[bool, Option | None, int]:
    """Say whether a stage computes, which option would make it faster, and how many of its calls run at a time."""
    stage: Any = run.stage
    shippable = shippable and can_be_shipped(stage)
    calls_overlapped = run.calls_ms > OVERLAPPED * run.progress.duration_ms
    if isinstance(stage, RecordFunctionStage) and (calls_overlapped or _awaits(stage.record_function)):
        return False, "concurrency", stage.concurrency
    computes = not stage.waits or (isinstance(stage, AggregateStage) and stage.combiner is not None)
    return computes, "workers" if computes and shippable else None, 1


def _awaits(function: RecordFunction) -> bool:
    """Whether calls of a function are waited for, so that several can be under way."""
    return function.is_async or function.gave_awaitables or function.time_limit is not None


def _gathers(run: StageRun) -> bool:
    """Whether a stage begins when its whole input is there."""
    stage: Any = run.stage
    return stage.kind is not StageKind.COMBINER and not isinstance(stage, SinkStage)


def _filled(lanes: Iterable[Iterable[RunPart]]) -> tuple[Lane, ...]:
    return tuple(lane for lane in map(tuple, lanes) if lane)
