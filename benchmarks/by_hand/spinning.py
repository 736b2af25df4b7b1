"""Work that keeps a processor busy for about a millisecond a record, and work that hardly does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from time import perf_counter
from typing import TypeVar

from benchmarks.by_hand.pricing import Record, add_price

T = TypeVar("T")
U = TypeVar("U")


def spin(turns: int) -> int:
    total = 0
    for turn in range(turns):
        total = (total * 31 + turn) % 1_000_003
    return total


def turns_for(seconds: float) -> int:
    """Return how many turns take about so long here, by the quickest of a few tries."""
    turns = 20_000
    times: list[float] = []
    for _ in range(5):
        started = perf_counter()
        spin(turns)
        times.append(perf_counter() - started)
    return max(1, round(turns * seconds / min(times)))


def spin_in_one_process(records: list[int]) -> list[int]:
    return [spin(record) for record in records]


def price_in_one_process(records: list[Record]) -> list[Record]:
    return [add_price(record) for record in records]


def pool_map(function: Callable[[T], U], chunk_size: int) -> Callable[[list[T]], list[U]]:
    """Return a function that maps records in two processes, started for it, ``chunk_size`` at a time."""
    return partial(_in_two_processes, function, chunk_size)


def _in_two_processes(function: Callable[[T], U], chunk_size: int, records: list[T]) -> list[U]:
    with get_context("spawn").Pool(2) as pool:
        return pool.map(function, records, chunk_size)
