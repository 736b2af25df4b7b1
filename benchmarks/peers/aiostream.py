"""aiostream: operators on async iterators."""

from __future__ import annotations

from importlib import import_module
from operator import add
from typing import Any

from benchmarks.by_hand.never_waiting import CONCURRENCY as CALLS_AT_A_TIME
from benchmarks.by_hand.never_waiting import NEVER_WAITING, increment
from benchmarks.by_hand.pricing import Record, add_price, is_wanted, take_price
from benchmarks.by_hand.records import RECORDS
from benchmarks.by_hand.waiting import CONCURRENCY, WAITING, fetch
from benchmarks.event_loop import answer_of
from benchmarks.measure import Contestant

pipe: Any = import_module("aiostream.pipe")
stream: Any = import_module("aiostream.stream")


async def total(records: list[Record]) -> object:
    source = stream.iterate(records)
    return await (source | pipe.map(add_price) | pipe.filter(is_wanted) | pipe.map(take_price) | pipe.reduce(add, 0))


async def fetch_all(numbers: list[int]) -> object:
    return await stream.list(stream.iterate(numbers) | pipe.map(fetch, ordered=True, task_limit=CONCURRENCY))


async def increment_all(numbers: list[int], at_a_time: int) -> object:
    return await stream.list(stream.iterate(numbers) | pipe.map(increment, ordered=True, task_limit=at_a_time))


ENTRIES = [
    (
        RECORDS,
        [Contestant("aiostream", lambda records: answer_of(total(records)), package="aiostream", records=100_000)],
    ),
    (
        WAITING,
        [Contestant("aiostream", lambda numbers: answer_of(fetch_all(numbers)), package="aiostream", clock="wall")],
    ),
    (
        NEVER_WAITING,
        [
            Contestant(
                "aiostream, 1 at a time",
                lambda numbers: answer_of(increment_all(numbers, 1)),
                package="aiostream",
                records=10_000,
            ),
            Contestant(
                f"aiostream, {CALLS_AT_A_TIME} at a time",
                lambda numbers: answer_of(increment_all(numbers, CALLS_AT_A_TIME)),
                package="aiostream",
                records=10_000,
            ),
        ],
    ),
]
