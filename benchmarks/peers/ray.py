"""Ray Data on two processors: ``map_batches`` with a function that calls the three functions for each row of a batch.

Ray is started beforehand, on this machine alone, and its files go when the benchmark ends. What is measured begins with
the list of dicts, as it does for the others.
"""

from __future__ import annotations

import atexit
import os
from importlib import import_module
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.by_hand.pricing import Record, add_price, is_wanted, take_price
from benchmarks.by_hand.records import RECORDS
from benchmarks.measure import Contestant

# Ray reads these when it is imported: a token that lasts as long as this process (it would write one into the home
# folder), and no report on its use. Its workers import this module as well, and have to keep the same token.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", token_hex(32))
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
ray: Any = import_module("ray")
data: Any = import_module("ray.data")


def prices(batch: dict[str, Any]) -> dict[str, list[int]]:
    priced = (add_price({"amount": amount}) for amount in batch["amount"].tolist())
    return {"price": [take_price(record) for record in priced if is_wanted(record)]}


def start(records: list[Record]) -> list[Record]:
    """Start Ray, until this process ends, and give the records as they are."""
    folder = TemporaryDirectory(prefix="ray-")
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
        _temp_dir=folder.name,
    )
    data.DataContext.get_current().enable_progress_bars = False
    atexit.register(stop, folder)
    return records


def stop(folder: TemporaryDirectory[str]) -> None:
    ray.shutdown()
    folder.cleanup()


def total(records: list[Record]) -> object:
    return data.from_items(records).map_batches(prices).sum("price")


ENTRIES = [
    (
        RECORDS,
        [
            Contestant(
                "Ray Data map_batches",
                total,
                prepare=start,
                package="ray",
                records=100_000,
                clock="wall",
            )
        ],
    )
]
