"""What is said of the times of a run, word for word, from times that are given."""

from __future__ import annotations

from typing import Any

import pytest

from mainstem import RunPart, RunTimes, StageTiming
from mainstem.attribution import find_bottleneck
from mainstem.explanation import explain, explain_failure


def part(name: str, busy: float, *, retry: float = 0, throttle: float = 0, calls: float = 0, **more: Any) -> RunPart:
    """A stage, with times in seconds."""
    timing = StageTiming(busy_ms=busy * 1000, retry_ms=retry * 1000, throttle_ms=throttle * 1000)
    return RunPart(name=name, timing=timing, work_ms=1000 * (calls or busy), records=more.pop("records", 1000), **more)


def waits(name: str, busy: float, at_a_time: int, **more: Any) -> RunPart:
    """A stage whose calls overlap, as many as may."""
    return part(name, busy, calls=busy * at_a_time, at_a_time=at_a_time, option="concurrency", **more)


def computes(name: str, busy: float, room: int = 2, **more: Any) -> RunPart:
    """A stage that may work in worker processes, on two processors."""
    return part(name, busy, computes=True, option="workers", room=room, **more)


def stream(wall: float, *lanes: RunPart, thread: float = 0.0) -> RunTimes:
    """A run whose parts ran beside one another."""
    return RunTimes(wall_ms=wall * 1000, thread_ms=thread * 1000, phases=(tuple((each,) for each in lanes),))


def in_turn(wall: float, *parts: RunPart, thread: float = 0.0) -> RunTimes:
    """A run whose parts took turns."""
    return RunTimes(wall_ms=wall * 1000, thread_ms=thread * 1000, phases=((parts,),))


GIVEN = part("the input", 9.8, kind="input")
TAKER = part("the taker of the output", 9.8, kind="output")


@pytest.mark.parametrize(
    ("times", "lines"),
    [
        (
            stream(12.4, waits("fetch", 12.1, 10), part("load", 6.3)),
            [
                "'fetch' bounds the run: it was busy for 12.1 of 12.4 s (98%), with 10 calls at a time.",
                "With concurrency=20 there the run would take about 6.6 s; 'load' would then bound it.",
            ],
        ),
        (
            stream(12.4, waits("fetch", 12.1, 10), part("load", 11.9)),
            [
                "'fetch' bounds the run: it was busy for 12.1 of 12.4 s (98%), with 10 calls at a time.",
                "With concurrency=20 there the run would gain little: 'load' takes nearly as long.",
            ],
        ),
        (
            stream(12.4, waits("fetch", 12.1, 1), thread=7.9),
            [
                "'fetch' bounds the run: it was busy for 12.1 of 12.4 s (98%), with 1 call at a time.",
                "With concurrency=2 there the run would take about 7.9 s; the event loop's thread would then bound it.",
            ],
        ),
        (
            in_turn(10, waits("fetch", 6, 2), waits("load", 4, 2)),
            [
                "'fetch' bounds the run: it was busy for 6.0 of 10.0 s (60%), with 2 calls at a time.",
                "With concurrency=4 there the run would take about 7.0 s; 'load' would then bound it.",
            ],
        ),
        (
            in_turn(0.3, *(part(name, 0.1) for name in "abc")),
            [
                "'a' takes the largest part of the run: it was busy for 100 of 300 ms (33%).",
                "No option of the run would make it faster; only less work there would.",
            ],
        ),
        (
            stream(10, waits("fetch", 9.9, 10, room=4)),
            [
                "'fetch' bounds the run: it was busy for 9.9 of 10.0 s (99%), with 4 calls at a time.",
                "It had room for 4 records at a time: a larger max_in_flight or chunk_size would help.",
            ],
        ),
        (
            stream(10, part("fetch", 9.9, calls=29, at_a_time=10, option="concurrency", records=3)),
            [
                "'fetch' bounds the run: it was busy for 9.9 of 10.0 s (99%), with 3 calls at a time.",
                "It had no more than 3 records, so more concurrency would not make it faster.",
            ],
        ),
        (
            in_turn(8.3, computes("parse", 8), thread=8.1),
            [
                "'parse' bounds the run: it computes for 8.0 of 8.3 s (96%).",
                "With workers=2 the run would take about 4.6 s, and what it takes to send the records there and back.",
            ],
        ),
        (
            stream(8.3, computes("parse", 8), waits("fetch", 8.2, 3), thread=8.1),
            [
                "'parse' bounds the run: it computes for 8.0 of 8.3 s (96%).",
                "With workers=2 the run would take about 4.6 s, and what it takes to send the records there and back, "
                "as long as what waits beside it keeps up.",
            ],
        ),
        (
            in_turn(8.3, computes("parse", 5), computes("check", 3)),
            [
                "'parse' bounds the run: it computes for 5.0 of 8.3 s (60%).",
                "With workers=2 the run would take about 4.6 s, and what it takes to send the records there and back.",
            ],
        ),
        (
            in_turn(0.3, computes("parse", 0.28)),
            [
                "'parse' bounds the run: it computes for 280 of 300 ms (93%).",
                "With workers=2 the run would gain little: starting processes takes as long.",
            ],
        ),
        (
            in_turn(8.3, computes("parse", 8, room=1)),
            [
                "'parse' bounds the run: it computes for 8.0 of 8.3 s (96%).",
                "There is 1 processor, so more workers would not help; only less work there would make it faster.",
            ],
        ),
        (
            in_turn(8.3, computes("parse", 8, records=1)),
            [
                "'parse' bounds the run: it computes for 8.0 of 8.3 s (96%).",
                "It had one record, and more workers cannot share that; only less work there would make it faster.",
            ],
        ),
        (
            stream(8.3, part("parse", 16, at_a_time=2, option="workers", room=2)),
            [
                "'parse' bounds the run: it computes for 8.0 of 8.3 s (96%), in 2 worker processes.",
                "There are 2 processors, so more workers would not help; only less work there would make it faster.",
            ],
        ),
        (
            stream(8.3, part("parse", 16, at_a_time=2, option="workers", room=8)),
            [
                "'parse' bounds the run: it computes for 8.0 of 8.3 s (96%), in 2 worker processes.",
                "With workers=4 the run would take about 4.3 s, and what it takes to send the records there and back.",
            ],
        ),
        (
            stream(10, waits("fetch", 9.9, 4), thread=9.5),
            [
                "'fetch' bounds the run: it computes for 9.9 of 10.0 s (99%).",
                "It keeps the event loop's thread, so more concurrency would not help; only less work there would.",
            ],
        ),
        (
            stream(10, part("fetch", 9.9, calls=10, at_a_time=4, option="concurrency"), thread=4),
            [
                "'fetch' bounds the run: it computes for 9.9 of 10.0 s (99%).",
                "It keeps the event loop's thread, so more concurrency would not help; only less work there would.",
            ],
        ),
        (
            stream(10, waits("fetch", 12, 2)),
            [
                "'fetch' bounds the run: it was busy for 10.0 of 10.0 s (100%), with 2 calls at a time.",
                "With concurrency=4 there the run would take about 5.0 s.",
            ],
        ),
        (
            stream(10, GIVEN, waits("fetch", 9.9, 10, room=100), thread=0.1),
            [
                "'fetch' bounds the run: it was busy for 9.9 of 10.0 s (99%), with 10 calls at a time.",
                "With concurrency=20 there the run would gain little: the input takes nearly as long.",
            ],
        ),
        (
            stream(10, GIVEN, part("fetch", 9.9, calls=20, at_a_time=10, option="concurrency")),
            [
                "The input bounds the run: it took 9.8 of 10.0 s (98%) to give its records.",
                "More concurrency or workers would not make it faster; an input that is read faster would.",
            ],
        ),
        (
            stream(10, part("text", 0.1), TAKER),
            [
                "The taker of the output bounds the run: it took 9.8 of 10.0 s (98%) for what it was given.",
                "More concurrency or workers would not make it faster; taking the output faster would.",
            ],
        ),
        (
            in_turn(10, part("limit", 9.9, throttle=9.8)),
            [
                "The rate limit of 'limit' bounds the run: it held records back for 9.8 of 10.0 s.",
                "Only a higher rate would make it faster.",
            ],
        ),
        (
            in_turn(9, computes("fetch", 8.8, retry=7.2)),
            [
                "'fetch' bounds the run: it spent 7.2 of 9.0 s on further attempts for records that had failed.",
                "Fewer failures, or shorter waits between attempts, would make it faster.",
            ],
        ),
        (in_turn(0.0092, part("text", 0.009)), ["The run took 9 ms: too short to say what bounds it."]),
        (in_turn(250, GIVEN), ["The run took 250 s, and no stage was at work in it."]),
        (
            in_turn(5, part("text", 2)),
            [
                "The run took 5.0 s, and its parts account for 2.0 of 5.0 s only.",
                "The rest went into hooks, event handlers, other work of the event loop, or the engine itself.",
            ],
        ),
    ],
)
def test_times_are_explained(times: RunTimes, lines: list[str]) -> None:
    assert explain(times).splitlines() == lines


def test_the_time_of_a_part_is_never_said_to_be_more_than_that_of_the_run() -> None:
    times = stream(120, part("load", 123))
    assert explain(times).splitlines()[0] == "'load' bounds the run: it was busy for 120 of 120 s (100%)."
    found = find_bottleneck(times)
    assert found is not None
    assert (found.busy_ms, found.share) == (123_000, 1.0)


def test_phases_follow_one_another() -> None:
    gather = (((GIVEN,), (waits("fetch", 4, 2),)), ((part("sort", 5),),))
    found = find_bottleneck(RunTimes(wall_ms=15_000, phases=gather))
    assert found is not None
    assert found.name == "the input"
    times = RunTimes(wall_ms=15_000, phases=(((waits("fetch", 9, 2),), (part("load", 4),)), ((part("sort", 5),),)))
    found = find_bottleneck(times)
    assert found is not None
    assert found.remedy is not None
    assert (found.name, found.remedy.estimated_ms) == ("fetch", 10_500)


def test_what_waits_while_the_thread_is_taken_is_not_blamed() -> None:
    times = stream(10, waits("fetch", 9.95, 1), computes("parse", 5), part("text", 4.6, computes=True))
    found = find_bottleneck(times)
    assert found is not None
    assert found.name == "parse"
    assert times.on_thread_ms == times.parts[1].on_thread_ms + times.parts[2].on_thread_ms == 9_600
    assert stream(10, computes("parse", 5), part("text", 4.6, computes=True)).estimated_ms == 9_600


def test_of_a_failed_run_it_is_said_where_and_when() -> None:
    times = in_turn(3, GIVEN, waits("fetch", 1.5, 10), part("load", 0))
    assert explain_failure(times, "load", "OSError: full", {"fetch": 1500, "load": 3}).splitlines() == [
        "The run failed in 'load' after 3.0 s: OSError: full",
        "Until then were busy: the input 9.8 s, 'fetch' 1.5 s, 'load' 3 ms.",
    ]
    assert explain_failure(RunTimes(wall_ms=1), None, "OSError", {}) == "The run failed after 1 ms: OSError"
