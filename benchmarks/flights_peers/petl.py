"""petl: its tables of rows, and psycopg's COPY for the end, for ``todb`` sends an INSERT for each row."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.by_hand.flight_rows import NAMES, copy_rows, to_row

etl: Any = import_module("petl")
psycopg: Any = import_module("psycopg")
NAME, PACKAGE, TABLE = "petl, psycopg COPY", "petl", "flights"


def has_departed(line: Mapping[str, str]) -> bool:
    return line["dep_time"] not in ("", "NA")


def load(flights: Path, database: str, folder: Path) -> int:
    read = etl.fromcsv(str(flights))
    departed = etl.select(read, has_departed)
    cancelled = etl.selectin(read, "dep_time", ("", "NA"))
    rejects = folder / "rejects.csv"
    etl.tocsv(cancelled, str(rejects))
    rows = etl.rowmap(departed, to_row, header=NAMES, failonerror=True)
    distinct = etl.distinct(rows, key=[*NAMES[:3], "scheduled"])
    with psycopg.connect(database) as connection:
        connection.execute("TRUNCATE flights")
        copy_rows(connection, etl.data(distinct))
    with rejects.open() as file:
        return sum(1 for _ in file) - 1
