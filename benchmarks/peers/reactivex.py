"""ReactiveX: operators on observables, one call chain a record."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.by_hand.pricing import Record, add_price, is_wanted, take_price
from benchmarks.by_hand.records import RECORDS
from benchmarks.measure import Contestant

reactivex: Any = import_module("reactivex")
operators: Any = import_module("reactivex.operators")


def total(records: list[Record]) -> object:
    return (
        reactivex.from_iterable(records)
        .pipe(operators.map(add_price), operators.filter(is_wanted), operators.map(take_price), operators.sum())
        .run()
    )


ENTRIES = [(RECORDS, [Contestant("reactivex", total, package="reactivex", records=100_000)])]
