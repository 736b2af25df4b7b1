"""Records that each wait 10 ms, 100 at a time, in order."""

from __future__ import annotations

import asyncio

from benchmarks.event_loop import answer_of
from benchmarks.measure import Contestant, Figure

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


WAITING = Figure(
    "async map that waits 10 ms, 100 at a time",
    5000,
    lambda count: list(range(count)),
    Contestant("raw asyncio workers", lambda numbers: answer_of(raw_asyncio(numbers)), clock="wall"),
)
