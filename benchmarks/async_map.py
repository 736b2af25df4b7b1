"""5,000 records that each wait 10 ms, 100 at a time, against raw asyncio with a bounded pool of workers."""

from __future__ import annotations

from benchmarks.by_hand.waiting import CONCURRENCY, WAITING, fetch
from benchmarks.command import run_script
from benchmarks.event_loop import answer_of
from benchmarks.measure import Contestant, Settings, compare
from benchmarks.row import Row, Target
from mainstem import MapStage, Pipeline

pipeline = Pipeline[list[int], list[int]]("fetch").add_stage(MapStage(fetch, concurrency=CONCURRENCY))


def execute(numbers: list[int]) -> list[int]:
    return answer_of(pipeline.execute(numbers)).unwrap()


async def gather_stream(numbers: list[int]) -> list[int]:
    answers: list[int] = []
    async with pipeline.stream(numbers) as chunks:
        async for chunk in chunks:
            answers += chunk
    return answers


def stream(numbers: list[int]) -> list[int]:
    return answer_of(gather_stream(numbers))


def measure(settings: Settings) -> list[Row]:
    contestants = [
        Contestant("mainstem execute", execute, package="mainstem", clock="wall", targets=(Target(1.05),)),
        Contestant("mainstem stream", stream, package="mainstem", clock="wall", targets=(Target(1.05),)),
    ]
    return compare(WAITING, contestants, settings, show_base=True)


if __name__ == "__main__":
    run_script(__doc__, measure)
