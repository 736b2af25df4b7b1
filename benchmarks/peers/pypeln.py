"""pypeln: stages joined with ``|``, as plain iterators or on asyncio tasks."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.by_hand.never_waiting import CONCURRENCY as CALLS_AT_A_TIME
from benchmarks.by_hand.never_waiting import NEVER_WAITING, increment
from benchmarks.by_hand.pricing import Record, add_price, is_wanted, take_price
from benchmarks.by_hand.records import RECORDS
from benchmarks.by_hand.waiting import CONCURRENCY, WAITING, fetch
from benchmarks.measure import Contestant

sync: Any = import_module("pypeln").sync
task: Any = import_module("pypeln").task


def total(records: list[Record]) -> object:
    return sum(records | sync.map(add_price) | sync.filter(is_wanted) | sync.map(take_price))


def fetch_all(numbers: list[int]) -> object:
    return list(numbers | task.map(fetch, workers=CONCURRENCY) | task.ordered)


def increment_all(numbers: list[int]) -> object:
    return list(numbers | task.map(increment, workers=CALLS_AT_A_TIME) | task.ordered)


ENTRIES = [
    (RECORDS, [Contestant("pypeln", total, package="pypeln", records=100_000)]),
    (WAITING, [Contestant("pypeln", fetch_all, package="pypeln", clock="wall")]),
    (
        NEVER_WAITING,
        [Contestant(f"pypeln, {CALLS_AT_A_TIME} at a time", increment_all, package="pypeln", records=10_000)],
    ),
]
