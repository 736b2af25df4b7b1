"""300,000 orders from CSV into a table: durably, plainly and by hand; and what a reject costs in the ledger."""

from __future__ import annotations

import itertools
import sqlite3
import statistics
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import psycopg
from tests.postgres_server import PostgresServer

from benchmarks.by_hand.orders import Order, is_paid, load_by_hand, to_order, write_orders
from benchmarks.by_hand.orders import Row as OrderRow
from benchmarks.command import run_script
from benchmarks.measure import Contestant, Figure, Settings, compare
from benchmarks.row import Row, Target
from mainstem import LoadReport, MapStage, Pipeline, ValidateRecordsStage
from mainstem.connect import CsvSource, TableSink

ORDERS = 300_000
REJECTS = 100_000
_runs = itertools.count()


def pipeline(file: Path, url: str, wanted: Callable[[OrderRow], bool | str] = is_paid) -> Any:
    return (
        Pipeline[None, LoadReport]("orders")
        .add_stage(CsvSource(file, record_type=OrderRow))
        .add_stage(ValidateRecordsStage(wanted, continue_on_error=True))
        .add_stage(MapStage(to_order))
        .add_stage(TableSink(url, "orders", mode="replace", record_type=Order))
    )


def load(url: str, store: Path | None, wanted: Callable[[OrderRow], bool | str] = is_paid) -> Callable[[Path], int]:
    """Return what loads a file of orders, durably if there is a store, and returns how many are in the table."""

    def run(file: Path) -> int:
        options: dict[str, Any] = {} if store is None else {"store": store, "run_id": str(next(_runs))}
        pipeline(file, url, wanted).run(None, **options).unwrap()
        return rows_in(url)

    return run


def rows_in(url: str) -> int:
    if url.startswith("sqlite:///"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        try:
            return int(connection.execute("SELECT count(*) FROM orders").fetchone()[0])
        finally:
            connection.close()
    with psycopg.connect(url) as postgres:
        return int(postgres.execute("SELECT count(*) FROM orders").fetchall()[0][0])


@contextmanager
def postgres() -> Generator[str]:
    """A server of its own, which waits for the disk as one in earnest does."""
    server = PostgresServer(fsync=True)
    try:
        yield server.new_database()
    finally:
        server.remove()


def into_sqlite(folder: Path, settings: Settings, orders: Callable[[int], Path]) -> list[Row]:
    url = f"sqlite:///{folder}/orders.db"
    plain = Contestant("mainstem run", load(url, None), package="mainstem", clock="wall")
    durable = Contestant(
        "mainstem run, durable",
        load(url, folder / "store.db"),
        package="mainstem",
        clock="wall",
        targets=(Target(1.25),),
    )
    return compare(Figure("orders into SQLite", ORDERS, orders, plain), [durable], settings, show_base=True)


def into_postgres(folder: Path, settings: Settings, orders: Callable[[int], Path]) -> list[Row]:
    with postgres() as url:
        load(url, None)(orders(10))  # which makes the table
        base = Contestant("csv, psycopg COPY", lambda file: load_by_hand(file, url), clock="wall")
        contestants = [
            Contestant("mainstem run", load(url, None), package="mainstem", clock="wall"),
            Contestant(
                "mainstem run, durable",
                load(url, folder / "store.db"),
                package="mainstem",
                clock="wall",
                targets=(Target(1.3),),
            ),
        ]
        return compare(Figure("orders into PostgreSQL", ORDERS, orders, base), contestants, settings, show_base=True)


def ledger(folder: Path, settings: Settings, orders: Callable[[int], Path]) -> list[Row]:
    """Measure how much longer a durable run takes for each record that is rejected than a plain one does."""
    count = settings.records(REJECTS)
    file, url = orders(count), f"sqlite:///{folder}/rejects.db"
    none_wanted = (
        load(url, None, lambda _: "not wanted"),
        load(url, folder / "rejects-store.db", lambda _: "not wanted"),
    )
    times: list[float] = []
    for _ in range(settings.rounds):
        plain, durable = (_seconds(run, file) for run in none_wanted)
        times.append((durable - plain) * 1e6 / count)
    return [
        Row(
            figure="a reject in the ledger",
            contestant="mainstem run, durable",
            version="",
            records=count,
            ratio=None,
            lowest=None,
            highest=None,
            clock="wall",
            amount=statistics.median(times),
            unit="µs a reject",
            targets=(Target(5.0, "amount"),),
        )
    ]


def _seconds(run: Callable[[Path], int], file: Path) -> float:
    started = perf_counter()
    run(file)
    return perf_counter() - started


def measure(settings: Settings) -> list[Row]:
    with TemporaryDirectory() as place:
        folder = Path(place)

        def orders(count: int) -> Path:
            file = folder / f"orders-{count}.csv"
            if not file.exists():
                write_orders(file, count)
            return file

        figures = (into_sqlite, into_postgres, ledger)
        return [row for figure in figures for row in figure(folder, settings, orders)]


if __name__ == "__main__":
    run_script(__doc__, measure)
