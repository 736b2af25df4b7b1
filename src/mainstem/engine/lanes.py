"""The parts of a run as they lay beside one another, with their times, for saying what bounds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mainstem.endpoints import SinkStage, SourceStage
from mainstem.engine.layout import Layout
from mainstem.run_times import INPUT, OUTPUT, Phase, RunPart, StageTiming
from mainstem.stage import StageKind
from mainstem.stage_run import StageRun
from mainstem.stages.record_function_stage import RecordFunctionStage


def input_part(spent_ms: float, *, arriving: bool) -> RunPart:
    """Return the input of a run as a part; an async iterable gives its records while others compute."""
    return RunPart(
        name=INPUT, kind="input", timing=StageTiming(busy_ms=spent_ms), work_ms=spent_ms, computes=not arriving
    )


def output_part(spent_ms: float) -> RunPart:
    """Return the taker of a run's output as a part."""
    return RunPart(name=OUTPUT, kind="output", timing=StageTiming(busy_ms=spent_ms), work_ms=spent_ms)


def stage_part(run: StageRun, room: int | None = None) -> RunPart:
    """Return a stage of a run as a part, which may hold so many records at a time."""
    stage: Any = run.stage
    computes, calls = not stage.waits, 1
    option: Any = None
    if isinstance(stage, RecordFunctionStage):
        function = stage.record_function
        computes = not (function.is_async or function.gave_awaitables or function.time_limit)
        option, calls = "workers" if computes else "concurrency", 1 if computes else stage.concurrency
    records, busy = max(1, run.progress.records_in), run.progress.duration_ms
    # Where its calls were not timed one by one, it had all its records at once, and as many under way as could be.
    work = run.calls_ms or busy * min(calls, records)
    return RunPart(
        name=run.name,
        timing=StageTiming.of(run.progress),
        computes=computes,
        option=option,
        at_a_time=calls,
        records=records,
        room=room,
        work_ms=work,
    )


def in_turn(runs: Sequence[StageRun], taken: RunPart, *, arriving: bool) -> tuple[Phase, ...]:
    """Return the parts of a run whose stages took turns; what an async iterable gives arrives beside them."""
    stages = tuple(map(stage_part, runs))
    return (((taken,), stages),) if arriving else (((taken, *stages),),)


def side_by_side(
    layouts: Sequence[Layout],
    runs: Sequence[StageRun],
    chunk_size: int,
    taken: RunPart,
    given: RunPart | None,
    *,
    arriving: bool,
) -> tuple[Phase, ...]:
    """Return the parts of a run that was laid out: its stages, what they take, and whoever is given the output."""
    phases: list[Phase] = []
    source = bool(runs) and isinstance(runs[0].stage, SourceStage)
    first: list[RunPart] = [stage_part(runs[0])] if source else [taken]
    for layout in layouts:
        lanes = [first, *([[]] if arriving and not phases else [])]
        first = []
        for section in layout.sections:
            if section.overlaps or section.ahead is not None:
                lanes.append([])
            room = section.holds * chunk_size if section.overlaps else None
            lanes[-1] += [stage_part(runs[at], room) for at in section.stages if at < len(runs)]
            if section.overlaps:  # its calls go on while what comes after it works
                lanes.append([])
        if layout.ahead is not None:
            lanes.append([])
        end = layout.end
        if end is not None and end < len(runs):
            if _gathers(runs[end]):
                phases.append(_phase(lanes))
                lanes = [[]]
            lanes[-1].append(stage_part(runs[end]))
        elif end is None and given is not None:
            lanes[-1].append(given)
        phases.append(_phase(lanes))
    if given is not None and layouts and layouts[-1].end is not None:
        phases.append(((given,),))
    return tuple(phase for phase in phases if phase)


def _gathers(run: StageRun) -> bool:
    """Whether a stage begins when its whole input is there."""
    stage: Any = run.stage
    return stage.kind is not StageKind.COMBINER and not isinstance(stage, SinkStage)


def _phase(lanes: Sequence[Sequence[RunPart]]) -> Phase:
    return tuple(tuple(lane) for lane in lanes if lane)
