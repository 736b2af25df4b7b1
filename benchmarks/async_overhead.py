"""1,000,000 calls of an async function that never waits: what the machinery round each call costs."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.by_hand.never_waiting import CONCURRENCY, NEVER_WAITING, increment
from benchmarks.command import run_script
from benchmarks.event_loop import answer_of
from benchmarks.measure import Contestant, Settings, compare
from benchmarks.row import Row, Target
from mainstem import MapStage, Pipeline


def execute(concurrency: int) -> Callable[[list[int]], list[int]]:
    made = Pipeline[list[int], list[int]]("increment").add_stage(MapStage(increment, concurrency=concurrency))
    return lambda numbers: answer_of(made.execute(numbers)).unwrap()


def measure(settings: Settings) -> list[Row]:
    contestants = [
        Contestant(
            f"mainstem execute, {concurrency} at a time",
            execute(concurrency),
            package="mainstem",
            targets=(Target(0.9, of="amount"),),
        )
        for concurrency in (1, CONCURRENCY)
    ]
    return compare(NEVER_WAITING, contestants, settings, show_base=True)


if __name__ == "__main__":
    run_script(__doc__, measure)
