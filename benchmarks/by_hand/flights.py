"""The flights of ten years from CSV into a table, checked, reshaped, without repeats: by hand, in columns and rows."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl

COLUMNS = (
    "carrier",
    "flight",
    "origin",
    "dest",
    "tailnum",
    "distance",
    "time_hour",
    "minute",
    "dep_time",
    "dep_delay",
    "air_time",
)
KEY = ["carrier", "flight", "origin", "scheduled"]
TABLE = (
    "carrier text, flight bigint, origin text, destination text, tail_number text, scheduled timestamptz, "
    "departed timestamptz, delay_minutes double precision, miles_per_hour double precision"
)
_FLOATS = {"dep_delay": pl.Float64, "air_time": pl.Float64}


def write_flights(flights: Path, target: Path, rows: int) -> None:
    """Write so many rows of the flights of 2013, and of as many years after it as it takes, with other years."""
    with flights.open() as source, target.open("w") as file:
        header, *lines = source
        file.write(header)
        for at in range(rows):
            years, line = divmod(at, len(lines))
            file.write(lines[line].replace("2013-", f"{2013 + years}-"))


def reshaped(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the columns of the table, for flights that departed."""
    scheduled = pl.col("time_hour") + pl.duration(minutes="minute")
    delay = pl.col("dep_delay").fill_null(0.0)
    return frame.select(
        "carrier",
        "flight",
        "origin",
        pl.col("dest").alias("destination"),
        pl.col("tailnum").alias("tail_number"),
        scheduled.alias("scheduled"),
        (scheduled + pl.duration(minutes=delay)).alias("departed"),
        delay.alias("delay_minutes"),
        (pl.col("distance") / (pl.col("air_time") / 60)).round(1).alias("miles_per_hour"),
    )


def columns_by_hand(file: Path, load: Callable[[pl.DataFrame], None]) -> int:
    """Read, check and reshape with Polars, keep what is rejected in a file, and load; return how many rows."""
    frame = pl.read_csv(file, columns=COLUMNS, null_values=["NA"], schema_overrides=_FLOATS)
    frame = frame.with_columns(pl.col("time_hour").str.to_datetime(time_zone="UTC", time_unit="us"))
    frame.filter(pl.col("dep_time").is_null()).write_csv(file.with_suffix(".rejects"))
    loaded = reshaped(frame.filter(pl.col("dep_time").is_not_null())).unique(
        subset=KEY, keep="first", maintain_order=True
    )
    load(loaded)
    return loaded.height


def by_adbc(url: str) -> Callable[[pl.DataFrame], None]:
    def load(frame: pl.DataFrame) -> None:
        dbapi: Any = import_module("adbc_driver_postgresql.dbapi")  # which has no types
        with dbapi.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute("TRUNCATE flights")
            for part in frame.iter_slices(10_000):
                cursor.adbc_ingest("flights", part.to_arrow(), mode="append")
            connection.commit()

    return load


def by_sqlite(path: Path) -> Callable[[pl.DataFrame], None]:
    def load(frame: pl.DataFrame) -> None:
        times = pl.col("scheduled", "departed").dt.to_string("iso:strict")
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DELETE FROM flights")
            rows = frame.with_columns(times).iter_rows()
            connection.executemany("INSERT INTO flights VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    return load


def rows_by_hand(file: Path) -> Iterator[tuple[Any, ...]]:
    """Read, check and reshape row by row; what is rejected goes into a file."""
    seen: set[Any] = set()
    with file.open(newline="") as opened, file.with_suffix(".rejects").open("w") as rejects:
        for number, line in enumerate(csv.DictReader(opened)):
            try:
                departure = line["dep_time"]
                if departure in ("", "NA"):
                    raise ValueError("no departure time")
                int(departure)
                scheduled = datetime.fromisoformat(line["time_hour"]).astimezone(timezone.utc)
                scheduled += timedelta(minutes=int(line["minute"]))
                delay = float(line["dep_delay"]) if line["dep_delay"] not in ("", "NA") else 0.0
                air_time = float(line["air_time"]) if line["air_time"] not in ("", "NA") else None
                row = (
                    line["carrier"],
                    int(line["flight"]),
                    line["origin"],
                    line["dest"],
                    line["tailnum"],
                    scheduled,
                    scheduled + timedelta(minutes=delay),
                    delay,
                    round(int(line["distance"]) / (air_time / 60), 1) if air_time else None,
                )
            except ValueError as error:
                rejects.write(json.dumps([number, str(error), line]) + "\n")
                continue
            key = row[0], row[1], row[2], row[5]
            if key not in seen:
                seen.add(key)
                yield row


def rows_into_postgres(url: str) -> Callable[[Path], int]:
    def load(file: Path) -> int:
        import psycopg

        types = ["text", "int8", "text", "text", "text", "timestamptz", "timestamptz", "float8", "float8"]
        count = 0
        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute("TRUNCATE flights")
            with cursor.copy("COPY flights FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(types)
                for row in rows_by_hand(file):
                    copy.write_row(row)
                    count += 1
        return count

    return load


def rows_into_sqlite(path: Path) -> Callable[[Path], int]:
    def load(file: Path) -> int:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DELETE FROM flights")
            rows = ((*row[:5], row[5].isoformat(), row[6].isoformat(), *row[7:]) for row in rows_by_hand(file))
            connection.executemany("INSERT INTO flights VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            return int(connection.execute("SELECT count(*) FROM flights").fetchone()[0])

    return load
