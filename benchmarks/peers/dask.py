"""dask.bag, on the thread that calls it and on processes, which is its default."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

from benchmarks.by_hand.pricing import Record, add_price, is_wanted, take_price
from benchmarks.by_hand.records import RECORDS
from benchmarks.measure import Contestant

bag: Any = import_module("dask.bag")


def total(scheduler: str, records: list[Record]) -> object:
    made = bag.from_sequence(records, partition_size=10_000).map(add_price).filter(is_wanted).map(take_price)
    return made.sum().compute(scheduler=scheduler, num_workers=2)


ENTRIES = [
    (
        RECORDS,
        [
            Contestant("dask.bag, synchronous", partial(total, "synchronous"), package="dask", records=100_000),
            Contestant(
                "dask.bag, 2 processes", partial(total, "processes"), package="dask", records=100_000, clock="wall"
            ),
        ],
    )
]
