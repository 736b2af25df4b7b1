"""What bounds a run, in plain words."""

from __future__ import annotations

from collections.abc import Mapping

from mainstem.attribution import (
    THREAD,
    Bottleneck,
    Remedy,
    find_bottleneck,
    has_stages,
    with_thread_explained,
)
from mainstem.run_times import INPUT, OUTPUT, SHORTEST_MS, RunPart, RunTimes

MOST_OF_IT = 0.5
"""The share of a run's time from which on a part is said to bound it."""
WORTH_IT = 0.9
"""More of an option is advised only if the run would take less than this share of its time then."""


def explain(times: RunTimes) -> str:
    """Say which part bounds a run that succeeded, and what would make it faster."""
    found = find_bottleneck(times)
    if found is None:
        return _why_not(times)
    return "\n".join([_what_bounds(found), *_what_would_help(found)])


def _why_not(times: RunTimes) -> str:
    took = f"The run took {in_words(times.wall_ms)}"
    if times.wall_ms < SHORTEST_MS:
        return f"{took}: too short to say what bounds it."
    if not has_stages(times):
        return f"{took}, and no stage was at work in it."
    spent = _of(with_thread_explained(times).estimated_ms, times.wall_ms)
    return (
        f"{took}, and its parts account for {spent} only.\n"
        "The rest went into hooks, event handlers, other work of the event loop, or the engine itself."
    )


def explain_failure(times: RunTimes, stage: str | None, error: str, busy: Mapping[str, float]) -> str:
    """Say where a run failed, and how long its stages were busy until then."""
    where = "" if stage is None else f" in {stage!r}"
    input_ms = sum(part.busy_ms for part in times.parts if part.kind == "input")
    parts = [f"the input {in_words(input_ms)}"] if input_ms else []
    parts += [f"{name!r} {in_words(spent_ms)}" for name, spent_ms in busy.items()]
    until_then = f"\nUntil then were busy: {', '.join(parts)}." if parts else ""
    return f"The run failed{where} after {in_words(times.wall_ms)}: {error}{until_then}"


def _what_bounds(found: Bottleneck) -> str:
    spent, part = f"{_of(found.busy_ms, found.wall_ms)} ({found.share:.0%})", found.part
    bounds = "bounds the run" if found.share >= MOST_OF_IT else "takes the largest part of the run"
    match found.cause:
        case "input":
            return f"The input {bounds}: it took {spent} to give its records."
        case "output":
            return f"The taker of the output {bounds}: it took {spent} for what it was given."
        case "rate limit":
            held_back = _of(part.timing.throttle_ms, found.wall_ms)
            return f"The rate limit of {found.name!r} {bounds}: it held records back for {held_back}."
        case "retries":
            retried = _of(part.timing.retry_ms, found.wall_ms)
            return f"{found.name!r} {bounds}: it spent {retried} on further attempts for records that had failed."
        case "computing":
            return f"{found.name!r} {bounds}: it computes for {spent}{_processes(part)}."
        case "waiting":
            return f"{found.name!r} {bounds}: it was busy for {spent}{_calls(part)}."


def _calls(part: RunPart) -> str:
    if part.option != "concurrency":
        return ""
    calls = min(part.at_a_time, part.most)
    return f", with {calls} {'call' if calls == 1 else 'calls'} at a time"


def _processes(part: RunPart) -> str:
    return f", in {part.at_a_time} worker processes" if part.option == "workers" and not part.computes else ""


def _what_would_help(found: Bottleneck) -> list[str]:
    if found.remedy is not None:
        return [_advice(found, found.remedy)]
    match found.cause:
        case "input":
            return ["More concurrency or workers would not make it faster; an input that is read faster would."]
        case "output":
            return ["More concurrency or workers would not make it faster; taking the output faster would."]
        case "rate limit":
            return ["Only a higher rate would make it faster."]
        case "retries":
            return ["Fewer failures, or shorter waits between attempts, would make it faster."]
        case "computing" if found.part.option == "workers":
            return [_no_processor(found.part)]
        case "computing":
            return ["It keeps the event loop's thread, so more concurrency would not help; only less work there would."]
        case "waiting" if found.part.option == "concurrency":
            return [_no_room(found.part)]
        case "waiting":
            return ["No option of the run would make it faster; only less work there would."]


def _no_processor(part: RunPart) -> str:
    if part.records < 2:
        return "It had one record, and more workers cannot share that; only less work there would make it faster."
    processors = "is 1 processor" if part.room == 1 else f"are {part.room} processors"
    return f"There {processors}, so more workers would not help; only less work there would make it faster."


def _no_room(part: RunPart) -> str:
    if part.room is not None and part.room < part.records:
        return f"It had room for {part.room:,} records at a time: a larger max_in_flight or chunk_size would help."
    return f"It had no more than {part.records:,} records, so more concurrency would not make it faster."


def _advice(found: Bottleneck, remedy: Remedy) -> str:
    option = f"{remedy.option}={remedy.value}" + (" there" if remedy.option == "concurrency" else "")
    if remedy.estimated_ms > WORTH_IT * found.wall_ms:
        if remedy.option == "workers" and found.part.computes and remedy.next_bound == found.name:
            return f"With {option} the run would gain little: starting processes takes as long."
        return f"With {option} the run would gain little: {_name(remedy.next_bound)} takes nearly as long."
    advice = f"With {option} the run would take about {in_words(remedy.estimated_ms)}"
    if remedy.option == "workers":
        advice += ", and what it takes to send the records there and back"
    if remedy.if_others_keep_up:
        advice += ", as long as what waits beside it keeps up"
    if remedy.next_bound != found.name:
        advice += f"; {_name(remedy.next_bound)} would then bound it"
    return f"{advice}."


def _name(name: str) -> str:
    return name if name in (INPUT, OUTPUT, THREAD) else repr(name)


def _of(part_ms: float, whole_ms: float) -> str:
    """Format a part of a time and the whole in one unit."""
    part_ms = min(part_ms, whole_ms)
    if whole_ms < 1000:
        return f"{part_ms:.0f} of {whole_ms:.0f} ms"
    if whole_ms < 100_000:
        return f"{part_ms / 1000:.1f} of {whole_ms / 1000:.1f} s"
    return f"{part_ms / 1000:,.0f} of {whole_ms / 1000:,.0f} s"


def in_words(milliseconds: float) -> str:
    """Format a duration to two or three digits."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:.1f} s" if milliseconds < 100_000 else f"{milliseconds / 1000:,.0f} s"
