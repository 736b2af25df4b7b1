"""What a run costs beside its records: a 3-stage pipeline on a list of one record, all events on."""

from __future__ import annotations

import asyncio
import statistics
from time import perf_counter

from mainstem import Event, EventBus, EventType, Pipeline

ROUNDS = 2000


def increment(number: int) -> int:
    return number + 1


def is_positive(number: int) -> bool:
    return number > 0


async def switch_cost() -> float:
    """Return the seconds that one ``asyncio.sleep(0)`` takes, which says how fast the machine is."""
    started = perf_counter()
    for _ in range(ROUNDS):
        await asyncio.sleep(0)
    return (perf_counter() - started) / ROUNDS


async def main() -> None:
    seen: list[Event] = []
    bus = EventBus()
    for event_type in EventType:
        bus.subscribe(event_type, seen.append)
    pipeline = Pipeline[list[int], list[int]]("one", event_bus=bus).map(increment).filter(is_positive).map(increment)
    runs: list[float] = []
    switches: list[float] = []
    for _ in range(5):
        switches.append(await switch_cost())
        started = perf_counter()
        for _ in range(ROUNDS):
            await pipeline.execute([1])
        runs.append((perf_counter() - started) / ROUNDS)
    if len(seen) != 2 * 5 * ROUNDS:
        raise SystemExit(f"{len(seen)} events came")
    run, switch = statistics.median(runs) * 1e6, statistics.median(switches) * 1e6
    print(f"asyncio.sleep(0)                  {switch:6.2f} µs")
    print(f"a 3-stage run of one record       {run:6.1f} µs, {run / switch:.0f} times that")


if __name__ == "__main__":
    asyncio.run(main())
