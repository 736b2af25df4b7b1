"""300,000 orders from CSV into SQLite and PostgreSQL: durably, plainly and by hand; and what a reject costs."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from benchmarks.by_hand.orders import Order, Row as OrderRow, is_paid, load_by_hand, to_order, write_orders
from benchmarks.command import run_script
from benchmarks.measure import Contestant, Figure, Settings, compare
from benchmarks.row import Row, Target
from mainstem import LoadReport, MapStage, Pipeline, ValidateRecordsStage
from mainstem.connect import CsvSource, TableSink
from tests.postgres_server import PostgresServer

ORDERS = 300_000
_runs = itertools.count()


def pipeline(file: Path, url: str, wanted: Callable[[OrderRow], bool | str] = is_paid) -> Any:
    return (
        Pipeline[None, LoadReport]("orders")
        .add_stage(CsvSource(file, record_type=OrderRow))
        .add_stage(ValidateRecordsStage(wanted, continue_on_error=True))
        .add_stage(MapStage(to_order))
        .add_stage(TableSink(url, "orders", mode="replace", record_type=Order))
    )


def load(file: Path, url: str, store: str | None = None) -> int:
    """Load the orders, durably if there is a store, and return how many there are in the table."""
    options: dict[str, Any] = {} if store is None else {"store": store, "run_id": str(next(_runs))}
    report = pipeline(file, url).run(None, **options).unwrap()
    assert report.records_loaded == rows_in(url)
    return rows_in(url)


def rows_in(url: str) -> int:
    if url.startswith("sqlite:///"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        try:
            return connection.execute("SELECT count(*) FROM orders").fetchone()[0]
        finally:
            connection.close()
    with psycopg.connect(url) as postgres:
        return postgres.execute("SELECT count(*) FROM orders").fetchall()[0][0]
