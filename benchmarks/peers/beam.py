"""Apache Beam on its direct runner."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.by_hand.pricing import Record, add_price, is_wanted, take_price
from benchmarks.by_hand.records import RECORDS
from benchmarks.measure import Contestant

beam: Any = import_module("apache_beam")
TOTALS: list[int] = []
"""Where the answer comes: a function of a module is handed on by its name, and the runner stays in this process."""


def keep(total: int) -> None:
    TOTALS.append(total)


def total(records: list[Record]) -> object:
    TOTALS.clear()
    with beam.Pipeline(runner="DirectRunner") as pipeline:
        _ = (
            pipeline
            | beam.Create(records)
            | beam.Map(add_price)
            | beam.Filter(is_wanted)
            | beam.Map(take_price)
            | beam.CombineGlobally(sum)
            | "keep" >> beam.Map(keep)
        )
    (found,) = TOTALS
    return found


ENTRIES = [(RECORDS, [Contestant("Beam, direct runner", total, package="apache-beam", records=100_000, clock="wall")])]
