"""streamable: a fluent interface to iterators, sync and async."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.by_hand.never_waiting import CONCURRENCY as CALLS_AT_A_TIME
from benchmarks.by_hand.never_waiting import NEVER_WAITING, increment
from benchmarks.by_hand.pricing import Record, add_price, is_wanted, take_price
from benchmarks.by_hand.records import RECORDS
from benchmarks.by_hand.waiting import CONCURRENCY, WAITING, fetch
from benchmarks.event_loop import answer_of
from benchmarks.measure import Contestant

stream: Any = import_module("streamable").stream


def total(records: list[Record]) -> object:
    return sum(stream(records).map(add_price).filter(is_wanted).map(take_price))


async def fetch_all(numbers: list[int]) -> object:
    return [number async for number in stream(numbers).map(fetch, concurrency=CONCURRENCY)]


async def increment_all(numbers: list[int], at_a_time: int) -> object:
    return [number async for number in stream(numbers).map(increment, concurrency=at_a_time)]


ENTRIES = [
    (RECORDS, [Contestant("streamable", total, package="streamable")]),
    (
        WAITING,
        [Contestant("streamable", lambda numbers: answer_of(fetch_all(numbers)), package="streamable", clock="wall")],
    ),
    (
        NEVER_WAITING,
        [
            Contestant(
                "streamable, 1 at a time",
                lambda numbers: answer_of(increment_all(numbers, 1)),
                package="streamable",
            ),
            Contestant(
                f"streamable, {CALLS_AT_A_TIME} at a time",
                lambda numbers: answer_of(increment_all(numbers, CALLS_AT_A_TIME)),
                package="streamable",
                records=100_000,
            ),
        ],
    ),
]
