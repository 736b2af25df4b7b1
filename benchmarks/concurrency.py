"""5,000 records that each wait 10 ms, 100 at a time, against raw asyncio with a bounded pool of workers."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from time import perf_counter

from mainstem import MapStage, Pipeline

RECORDS = 5000
CONCURRENCY = 100


async def fetch(number: int) -> int:
    await asyncio.sleep(0.01)
    return number + 1


async def raw_asyncio(numbers: list[int]) -> list[int]:
    answers = [0] * len(numbers)
    remaining = iter(enumerate(numbers))

    async def work() -> None:
        for position, number in remaining:
            answers[position] = await fetch(number)

    async with asyncio.TaskGroup() as workers:
        for _ in range(CONCURRENCY):
            workers.create_task(work())
    return answers


pipeline = Pipeline[list[int], list[int]]("fetch").add_stage(MapStage(fetch, concurrency=CONCURRENCY))


async def with_mainstem(numbers: list[int]) -> list[int]:
    return (await pipeline.execute(numbers)).unwrap()


async def main() -> None:
    numbers = list(range(RECORDS))
    contestants: dict[str, Callable[[list[int]], Awaitable[list[int]]]] = {
        "raw asyncio": raw_asyncio,
        "pipeline": with_mainstem,
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(5):
        for name, run in contestants.items():
            started = perf_counter()
            answers = await run(numbers)
            times[name].append(perf_counter() - started)
            if answers != [number + 1 for number in numbers]:
                raise SystemExit(f"{name} gave a wrong answer")
    base = times["raw asyncio"]
    print(f"{RECORDS:,} records of 10 ms, {CONCURRENCY} at a time, median of 5 rounds; 1.00 is raw asyncio")
    for name, each in times.items():
        print(f"{name:12} {statistics.median(one / raw for one, raw in zip(each, base, strict=True)):5.2f}")


if __name__ == "__main__":
    asyncio.run(main())
