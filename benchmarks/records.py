"""1,000,000 dicts through map, filter, map and sum, against the same functions in a hand-written loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.by_hand.pricing import Record, add_price, is_wanted, take_price
from benchmarks.by_hand.records import RECORDS, comprehensions, generators
from benchmarks.command import run_script
from benchmarks.event_loop import answer_of
from benchmarks.measure import Contestant, Settings, compare
from benchmarks.row import Row, Target
from mainstem import AggregateStage, FilterStage, MapStage, Pipeline, Sum

TOTAL = Sum[int]()


def execute(*, continue_on_error: bool = False, total: Any = TOTAL) -> Callable[[list[Record]], int]:
    made = (
        Pipeline[list[Record], int]("records")
        .add_stage(MapStage(add_price, continue_on_error=continue_on_error))
        .add_stage(FilterStage(is_wanted, continue_on_error=continue_on_error))
        .add_stage(MapStage(take_price, continue_on_error=continue_on_error))
        .add_stage(AggregateStage[list[int], int](total))
    )
    return lambda records: answer_of(made.execute(records)).unwrap()


def execute_lambdas() -> Callable[[list[Record]], int]:
    """Functions that may, for all one knows, return awaitables: the types of their answers are looked at."""
    made = (
        Pipeline[list[Record], int]("lambdas")
        .map(lambda record: {**record, "price": record["amount"] * 3})
        .filter(lambda record: record["amount"] % 4 != 0)
        .map(lambda record: record["price"])
        .aggregate(lambda prices: sum(prices))
    )
    return lambda records: answer_of(made.execute(records)).unwrap()


def stream() -> Callable[[list[Record]], int]:
    made = (
        Pipeline[list[Record], list[int]]("stream")
        .add_stage(MapStage(add_price))
        .add_stage(FilterStage(is_wanted))
        .add_stage(MapStage(take_price))
    )

    async def total(records: list[Record]) -> int:
        so_far = 0
        async with made.stream(records) as chunks:
            async for chunk in chunks:
                so_far += sum(chunk)
        return so_far

    return lambda records: answer_of(total(records))


def measure(settings: Settings) -> list[Row]:
    target = (Target(1.15),)
    fail_fast = Contestant("mainstem execute", execute(), package="mainstem", targets=target)
    going_on = Contestant(
        "mainstem execute, continue_on_error", execute(continue_on_error=True), package="mainstem", targets=target
    )
    contestants = [
        fail_fast,
        going_on,
        Contestant("mainstem stream", stream(), package="mainstem", targets=target),
        Contestant("mainstem execute, sum of a list", execute(total=sum), package="mainstem"),
        Contestant("mainstem execute, lambdas", execute_lambdas(), package="mainstem"),
        Contestant("list comprehensions", comprehensions),
        Contestant("generators", generators),
    ]
    rows = compare(RECORDS, contestants, settings, show_base=True)
    beside_fail_fast = replace(RECORDS, name="records, beside execute", base=fail_fast)
    return rows + compare(beside_fail_fast, [replace(going_on, targets=(Target(1.02),))], settings)


if __name__ == "__main__":
    run_script(__doc__, measure)
