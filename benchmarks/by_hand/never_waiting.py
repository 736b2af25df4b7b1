"""An async function that never waits: what is left is what calling it costs."""

from __future__ import annotations

from benchmarks.event_loop import answer_of
from benchmarks.measure import Contestant, Figure

CONCURRENCY = 100


async def increment(number: int) -> int:
    return number + 1


async def awaits(numbers: list[int]) -> list[int]:
    return [await increment(number) for number in numbers]


NEVER_WAITING = Figure(
    "async map that never waits",
    1_000_000,
    lambda count: list(range(count)),
    Contestant("one await after another", lambda numbers: answer_of(awaits(numbers))),
)
