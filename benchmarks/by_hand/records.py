"""Dicts through a map that makes a new dict, a filter, a map and a sum."""

from __future__ import annotations

from benchmarks.by_hand.pricing import Record, add_price, is_wanted, make_records, take_price
from benchmarks.measure import Contestant, Figure


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


def generators(records: list[Record]) -> int:
    priced = (add_price(record) for record in records)
    wanted = (record for record in priced if is_wanted(record))
    return sum(take_price(record) for record in wanted)


RECORDS = Figure("records", 1_000_000, make_records, Contestant("hand-written loop", loop))
