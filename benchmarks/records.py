"""1,000,000 dicts through map, filter, map and sum, against the same functions in a hand-written loop.

All contestants compute on one thread, so processor time is measured: other programs on the machine do not blur it.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
from collections.abc import Callable
from time import process_time
from typing import Any, TypeAlias

from mainstem import AggregateStage, FilterStage, MapStage, Pipeline

Record: TypeAlias = dict[str, int]


def add_price(record: Record) -> Record:
    return {**record, "price": record["amount"] * 3}


def is_wanted(record: Record) -> bool:
    return record["amount"] % 4 != 0


def take_price(record: Record) -> int:
    return record["price"]


def loop(records: list[Record]) -> int:
    total = 0
    for record in records:
        priced = add_price(record)
        if is_wanted(priced):
            total += take_price(priced)
    return total


def comprehensions(records: list[Record]) -> int:
    priced = [add_price(record) for record in records]
    wanted = [record for record in priced if is_wanted(record)]
    return sum([take_price(record) for record in wanted])


def unannotated_pipeline() -> Callable[[list[Record]], int]:
    """Functions that may, for all one knows, return awaitables: the types of their answers are looked at."""
    made = (
        Pipeline[list[Record], int]("records")
        .map(lambda record: {**record, "price": record["amount"] * 3})
        .filter(lambda record: record["amount"] % 4 != 0)
        .map(lambda record: record["price"])
        .aggregate(lambda prices: sum(prices))
    )
    return lambda records: asyncio.run(made.execute(records)).unwrap()


def pipeline(*, continue_on_error: bool) -> Callable[[list[Record]], int]:
    made = (
        Pipeline[list[Record], int]("records")
        .add_stage(MapStage(add_price, continue_on_error=continue_on_error))
        .add_stage(FilterStage(is_wanted, continue_on_error=continue_on_error))
        .add_stage(MapStage(take_price, continue_on_error=continue_on_error))
        .add_stage(AggregateStage[list[int], int](sum))
    )
    return lambda records: asyncio.run(made.execute(records)).unwrap()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    records = [{"amount": number} for number in range(count)]
    contestants: dict[str, Callable[[list[Record]], Any]] = {
        "hand-written loop": loop,
        "list comprehensions": comprehensions,
        "pipeline": pipeline(continue_on_error=False),
        "pipeline, continue_on_error": pipeline(continue_on_error=True),
        "pipeline of lambdas": unannotated_pipeline(),
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    answers: set[int] = set()
    for _ in range(5):
        for name, run in contestants.items():
            gc.collect()
            started = process_time()
            answers.add(run(records))
            times[name].append(process_time() - started)
    if len(answers) != 1:
        raise SystemExit(f"the contestants disagree: {answers}")
    base = statistics.median(times["hand-written loop"])
    print(f"{count:,} records, median of 5 rounds; 1.00 is the hand-written loop, {base * 1e9 / count:.0f} ns a record")
    for name, each in times.items():
        ratio = statistics.median(one / loop for one, loop in zip(each, times["hand-written loop"], strict=True))
        print(f"{name:30} {ratio:5.2f}")


if __name__ == "__main__":
    main()
