"""Polars: expressions on a frame made beforehand, the bound that no function called for each record can reach."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.by_hand.records import RECORDS
from benchmarks.measure import Contestant

polars: Any = import_module("polars")


def total(frame: Any) -> object:
    amount = polars.col("amount")
    return frame.lazy().with_columns(price=amount * 3).filter(amount % 4 != 0).select("price").sum().collect().item()


ENTRIES = [
    (
        RECORDS,
        [Contestant("polars, expressions on a frame", total, prepare=polars.DataFrame, package="polars", clock="wall")],
    )
]
