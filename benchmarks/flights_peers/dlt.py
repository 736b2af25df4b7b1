"""dlt as its users make it quick: Polars reshapes, dlt gets Arrow tables and loads them as CSV by COPY."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl

from benchmarks.by_hand.flights import COLUMNS, KEY, reshaped

# It reads this when it is imported: no report on its use.
os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
dlt: Any = import_module("dlt")
psycopg: Any = import_module("psycopg")
DATASET = "dlt_arrow"
NAME, PACKAGE, TABLE = "dlt, Arrow tables as CSV", "dlt", f"{DATASET}.flights"
_FLOATS = {"dep_delay": pl.Float64, "air_time": pl.Float64}


def load(flights: Path, database: str, folder: Path) -> int:
    frame = pl.read_csv(flights, columns=COLUMNS, null_values=["NA"], schema_overrides=_FLOATS)
    frame = frame.with_columns(pl.col("time_hour").str.to_datetime(time_zone="UTC", time_unit="us"))
    departed = pl.col("dep_time").is_not_null()

    def rows() -> Iterator[Any]:
        loaded = reshaped(frame.filter(departed)).unique(subset=KEY, keep="first", maintain_order=True)
        for part in loaded.iter_slices(100_000):
            yield part.to_arrow()

    def rejects() -> Iterator[Any]:
        yield frame.filter(~departed).to_arrow()

    resources = [
        dlt.resource(make, name=name, write_disposition="replace")
        for name, make in (("flights", rows), ("rejects", rejects))
    ]
    return load_resources(resources, database, DATASET, folder)


def load_resources(resources: list[Any], database: str, dataset: str, folder: Path) -> int:
    """Load the resources with a pipeline of its own, and return how many rejects are in the database."""
    # dlt insists on a password, which the server does not ask for.
    credentials = database if urlsplit(database).password else database.replace("@", ":none@", 1)
    pipeline = dlt.pipeline(
        "flights",
        destination=dlt.destinations.postgres(credentials),
        dataset_name=dataset,
        pipelines_dir=str(folder),
    )
    pipeline.run(resources, loader_file_format="csv").raise_on_failed_jobs()
    with psycopg.connect(database) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {dataset}.rejects").fetchone()[0])
