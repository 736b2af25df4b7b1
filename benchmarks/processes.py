"""``workers=2``: a map of about a millisecond a record, and a cheap one, against one process."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.by_hand.pricing import Record, add_price, make_records
from benchmarks.by_hand.spinning import pool_map, price_in_one_process, spin, spin_in_one_process, turns_for
from benchmarks.command import run_script
from benchmarks.event_loop import answer_of
from benchmarks.measure import Contestant, Figure, Settings, compare
from benchmarks.row import Row, Target
from mainstem import MapStage, Pipeline

HEAVY = Pipeline[list[int], list[int]]("heavy").add_stage(MapStage(spin))
CHEAP = Pipeline[list[Record], list[Record]]("cheap").add_stage(MapStage(add_price))


def execute(pipeline: Any, workers: int | None, records: list[Any]) -> object:
    return answer_of(pipeline.execute(records, workers=workers)).unwrap()


def beside_one_process(
    name: str, count: int, make_input: Callable[[int], list[Any]], pipeline: object, at_most: float
) -> tuple[Figure, Contestant]:
    """Return the figure of a pipeline in one process, and the pipeline in two."""
    one = Contestant("mainstem, one process", partial(execute, pipeline, None), package="mainstem", clock="wall")
    two = Contestant(
        "mainstem, workers=2",
        partial(execute, pipeline, 2),
        package="mainstem",
        clock="wall",
        targets=(Target(round(at_most, 2)),),
    )
    return Figure(name, count, make_input, one), two


def measure(settings: Settings) -> list[Row]:
    turns = turns_for(0.001)
    heavy, two = beside_one_process("two processes, map of 1 ms", 8000, lambda count: [turns] * count, HEAVY, 1 / 1.8)
    rivals = [
        Contestant("list comprehension, one process", spin_in_one_process, clock="wall"),
        Contestant("multiprocessing.Pool(2).map", pool_map(spin, 25), clock="wall"),
    ]
    rows = compare(heavy, [two, *rivals], settings, show_base=True)
    cheap, two = beside_one_process("two processes, cheap map", 1_000_000, make_records, CHEAP, 1 / 0.9)
    rivals = [
        Contestant("list comprehension, one process", price_in_one_process, clock="wall"),
        Contestant("multiprocessing.Pool(2).map", pool_map(add_price, 1000), clock="wall"),
    ]
    return rows + compare(cheap, [two, *rivals], settings, show_base=True)


if __name__ == "__main__":
    run_script(__doc__, measure)
