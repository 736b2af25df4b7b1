"""The flights of ten years (3.4 million rows) from CSV into PostgreSQL and SQLite, as frames and as records."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import psycopg

from benchmarks.by_hand import flights as by_hand
from benchmarks.command import run_script
from benchmarks.durable import postgres
from benchmarks.measure import Contestant, Figure, Settings, compare
from benchmarks.row import Row as ResultRow
from benchmarks.row import Target
from mainstem import LoadReport, Pipeline
from mainstem.connect import CsvSource, TableSink
from mainstem.frames import FrameDedupeStage, FrameStage, FrameValidateStage

ROWS = 3_367_760
_example: Any = import_module("examples.flights_import")


def frame_pipeline(database: str, file: Path) -> Pipeline[None, LoadReport, LoadReport]:
    departed = {"no departure time": pl.col("dep_time").is_not_null()}
    return (
        Pipeline[None, LoadReport]("flights")
        .add_stage(CsvSource(file, record_type=_example.Row, null_values=("", "NA"), as_frames=True))
        .add_stage(FrameValidateStage(departed, continue_on_error=True))
        .add_stage(FrameStage(by_hand.reshaped))
        .add_stage(FrameDedupeStage(by_hand.KEY))
        .add_stage(TableSink(database, "flights", mode="replace"))
    )


def loaded_by(make: Callable[[str, Path], Any], database: str) -> Callable[[Path], int]:
    def run(file: Path) -> int:
        report: LoadReport = make(database, file).run().unwrap()
        return report.records_loaded

    return run


def copied(url: str) -> Contestant:
    """``COPY`` of a file that holds just the clean rows: what the server itself takes for them."""

    def prepare(file: Path) -> tuple[Path, int]:
        clean = file.with_suffix(".clean")
        count = by_hand.columns_by_hand(file, lambda frame: frame.write_csv(clean, include_header=False))
        return clean, count

    def run(prepared: tuple[Path, int]) -> int:
        clean, count = prepared
        with psycopg.connect(url) as connection, connection.cursor() as cursor, clean.open("rb") as file:
            cursor.execute("TRUNCATE flights")
            with cursor.copy("COPY flights FROM STDIN (FORMAT csv)") as copy:
                while block := file.read(1 << 17):
                    copy.write(block)
        return count

    return Contestant("COPY of the clean rows", run, prepare=prepare, clock="wall")


def into_postgres(settings: Settings, flights: Callable[[int], Path]) -> list[ResultRow]:
    with postgres() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE TABLE flights ({by_hand.TABLE})")
        frames = Contestant(
            "mainstem, frames", loaded_by(frame_pipeline, url), package="mainstem", clock="wall", targets=(Target(1.1),)
        )
        by_columns = Contestant(
            "Polars, ADBC", lambda file: by_hand.columns_by_hand(file, by_hand.by_adbc(url)), clock="wall"
        )
        figure = Figure("flights into PostgreSQL, columns", ROWS, flights, by_columns)
        rows = compare(figure, [frames, copied(url)], settings, show_base=True)
        records = Contestant(
            "mainstem, records", loaded_by(_records, url), package="mainstem", clock="wall", targets=(Target(1.3),)
        )
        by_rows = Contestant("csv, psycopg COPY", by_hand.rows_into_postgres(url), clock="wall")
        figure = Figure("flights into PostgreSQL, rows", ROWS, flights, by_rows)
        return rows + compare(figure, [records], settings, show_base=True)


def into_sqlite(folder: Path, settings: Settings, flights: Callable[[int], Path]) -> list[ResultRow]:
    path = folder / "flights.db"
    types = (
        "TEXT, flight INTEGER, origin TEXT, destination TEXT, tail_number TEXT, scheduled TIMESTAMP, departed TIMESTAMP"
    )
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE flights (carrier {types}, delay_minutes REAL, miles_per_hour REAL)")
    url = f"sqlite:///{path}"
    frames = Contestant(
        "mainstem, frames", loaded_by(frame_pipeline, url), package="mainstem", clock="wall", targets=(Target(1.2),)
    )
    by_columns = Contestant(
        "Polars, sqlite3", lambda file: by_hand.columns_by_hand(file, by_hand.by_sqlite(path)), clock="wall"
    )
    rows = compare(
        Figure("flights into SQLite, columns", ROWS, flights, by_columns), [frames], settings, show_base=True
    )
    records = Contestant(
        "mainstem, records", loaded_by(_records, url), package="mainstem", clock="wall", targets=(Target(1.3),)
    )
    by_rows = Contestant("csv, sqlite3", by_hand.rows_into_sqlite(path), clock="wall")
    return rows + compare(
        Figure("flights into SQLite, rows", ROWS, flights, by_rows), [records], settings, show_base=True
    )


def _records(database: str, file: Path) -> Any:
    return _example.pipeline(database, file)


def measure(settings: Settings) -> list[ResultRow]:
    with TemporaryDirectory() as place:
        folder = Path(place)

        def flights(count: int) -> Path:
            file = folder / f"flights-{count}.csv"
            if not file.exists():
                by_hand.write_flights(_example.flights_csv(), file, count)
            return file

        return [*into_postgres(settings, flights), *into_sqlite(folder, settings, flights)]


if __name__ == "__main__":
    run_script(__doc__, measure)
