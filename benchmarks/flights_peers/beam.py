"""Apache Beam on its direct runner: the repeats go by key, and each bundle of rows is one COPY."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.by_hand.flight_rows import FlightRow, copy_rows, key_of, to_row

beam: Any = import_module("apache_beam")
psycopg: Any = import_module("psycopg")
NAME, PACKAGE, TABLE = "Beam, direct runner, COPY of bundles", "apache-beam", "flights"


class Checked(beam.DoFn):  # type: ignore[misc]
    def __init__(self, names: list[str]) -> None:
        self._names = names

    def process(self, line: str) -> Iterator[Any]:
        (values,) = csv.reader([line])
        fields = dict(zip(self._names, values, strict=True))
        try:
            row = to_row(fields)
        except ValueError as error:
            yield beam.pvalue.TaggedOutput("rejects", json.dumps([str(error), fields]))
        else:
            carrier, number, origin, scheduled = key_of(row)
            yield (carrier, number, origin, scheduled.isoformat()), row  # Beam compares keys by their coded bytes


class Copied(beam.DoFn):  # type: ignore[misc]
    def __init__(self, database: str) -> None:
        self._database = database

    def process(self, rows: list[FlightRow]) -> None:
        with psycopg.connect(self._database) as connection:
            copy_rows(connection, rows)


def first(_: object, rows: Iterable[FlightRow]) -> FlightRow:
    """Return one of the rows of a key."""
    return next(iter(rows))


def load(flights: Path, database: str, folder: Path) -> int:
    with psycopg.connect(database) as connection:
        connection.execute("TRUNCATE flights")
    with flights.open(newline="") as file:
        names = next(csv.reader(file))
    with beam.Pipeline(runner="DirectRunner") as pipeline:
        lines = pipeline | beam.io.ReadFromText(str(flights), skip_header_lines=1)
        rows = lines | beam.ParDo(Checked(names)).with_outputs("rejects", main="rows")
        _ = rows.rejects | beam.io.WriteToText(str(folder / "rejects"), shard_name_template="")
        _ = (
            rows.rows
            | beam.GroupByKey()
            | beam.MapTuple(first)
            | beam.BatchElements(min_batch_size=10_000, max_batch_size=10_000)
            | beam.ParDo(Copied(database))
        )
    with (folder / "rejects").open() as file:
        return sum(1 for _ in file)
