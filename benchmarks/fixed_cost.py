"""What a run costs beside its records: a 3-stage pipeline on a list of one record, all events on."""

from __future__ import annotations

import asyncio

from benchmarks.command import run_script
from benchmarks.event_loop import answer_of
from benchmarks.measure import Contestant, Figure, Settings, compare
from benchmarks.row import Row, Target
from mainstem import Event, EventBus, EventType, Pipeline

RUNS = 2000


def increment(number: int) -> int:
    return number + 1


def is_positive(number: int) -> bool:
    return number > 0


async def sleep(times: int) -> int:
    for _ in range(times):
        await asyncio.sleep(0)
    return times


async def execute(times: int) -> int:
    """Run the pipeline so many times, and return how many runs went as they should, with both their events."""
    seen: list[Event] = []
    bus = EventBus()
    for event_type in EventType:
        bus.subscribe(event_type, seen.append)
    pipeline = Pipeline[list[int], list[int]]("one", event_bus=bus).map(increment).filter(is_positive).map(increment)
    right = 0
    for _ in range(times):
        right += (await pipeline.execute([1])).data == [3]
    return min(right, len(seen) // 2)


def measure(settings: Settings) -> list[Row]:
    base = Contestant("asyncio.sleep(0)", lambda times: answer_of(sleep(times)))
    figure = Figure("3-stage run of one record", RUNS, lambda count: count, base, unit="µs a run")
    run = Contestant(
        "mainstem execute",
        lambda times: answer_of(execute(times)),
        package="mainstem",
        targets=(Target(50, of="amount"),),
    )
    return compare(figure, [run], settings, show_base=True)


if __name__ == "__main__":
    run_script(__doc__, measure)
