"""A pipeline with something of everything, into each kind of target."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from mainstem import DedupeStage, LoadReport, MapStage, Pipeline, ValidateRecordsStage
from mainstem.connect import CsvSink, CsvSource, JsonLinesSink, TableSink

RECORDS = 1000


@dataclass(frozen=True, slots=True)
class Row:
    number: int
    city: str


@cache
def numbers_csv(records: int = RECORDS) -> Path:
    """A file of so many lines, some of which cannot be read."""
    path = Path(gettempdir(), f"mainstem-crash-{records}.csv")
    lines = (f"{'x' if number % 97 == 5 else number},city {number % 7}" for number in range(records))
    content = "number,city\n" + "\n".join(lines) + "\n"
    if not path.exists() or path.read_text() != content:
        path.write_text(content)
    return path


def is_wanted(row: Row) -> bool | str:
    return row.number % 31 != 3 or "unlucky"


def to_record(row: Row) -> dict[str, Any]:
    # The table refuses NUL: a reject of the sink.
    return {"id": row.number % 900, "city": row.city + ("\0" if row.number % 83 == 7 else "")}


def identity(record: dict[str, Any]) -> int:
    return int(record["id"])


def numbers(sink: Any) -> Pipeline[None, LoadReport, LoadReport]:
    return (
        Pipeline[None, LoadReport]("numbers")
        .add_stage(CsvSource(numbers_csv(), record_type=Row, continue_on_error=True))
        .add_stage(ValidateRecordsStage(is_wanted, continue_on_error=True))
        .add_stage(MapStage(to_record))
        .add_stage(DedupeStage(identity))
        .add_stage(sink)
    )


def to_sqlite(folder: Path) -> Pipeline[Any, Any, Any]:
    return numbers(TableSink(f"sqlite:///{folder}/target.db", "numbers", continue_on_error=True))


def from_sqlite(folder: Path) -> Iterable[Any]:
    connection = sqlite3.connect(folder / "target.db")
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return connection.execute("SELECT id, city FROM numbers").fetchall()
    finally:
        connection.close()


def url_of(folder: Path) -> str:
    return (folder / "url").read_text()


def to_postgres(folder: Path) -> Pipeline[Any, Any, Any]:
    return numbers(TableSink(url_of(folder), "numbers", continue_on_error=True))


def from_postgres(folder: Path) -> Iterable[Any]:
    import psycopg

    with psycopg.connect(url_of(folder)) as connection:
        return connection.execute("SELECT id, city FROM numbers").fetchall()


def to_csv(folder: Path) -> Pipeline[Any, Any, Any]:
    return numbers(CsvSink(folder / "out.csv", continue_on_error=True))


def from_csv(folder: Path) -> Iterable[Any]:
    with (folder / "out.csv").open(newline="") as file:
        return list(csv.reader(file))


def to_json_lines(folder: Path) -> Pipeline[Any, Any, Any]:
    return numbers(JsonLinesSink(folder / "out.jsonl", continue_on_error=True))


def from_json_lines(folder: Path) -> Iterable[Any]:
    return (folder / "out.jsonl").read_text().splitlines()
