"""petl: lazy tables. Its rows are tuples with names, so its ``addfield`` takes the place of the first function."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.by_hand.pricing import Record, is_wanted, take_price
from benchmarks.by_hand.records import RECORDS
from benchmarks.measure import Contestant

petl: Any = import_module("petl")


def triple(row: Any) -> Any:
    return row["amount"] * 3


def total(records: list[Record]) -> object:
    priced = petl.addfield(petl.fromdicts(records, header=["amount"]), "price", triple)
    return sum(take_price(row) for row in petl.records(petl.select(priced, is_wanted)))


ENTRIES = [(RECORDS, [Contestant("petl", total, package="petl", records=100_000)])]
