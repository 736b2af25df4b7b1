"""Ray Data on two processors: Polars in ``map_batches``, and one COPY of what comes out of it, without repeats.

Ray is started by the first round, on this machine alone, and its files go when the benchmark ends.
"""

from __future__ import annotations

import atexit
import io
import os
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any, cast
from uuid import uuid4

import polars as pl

from benchmarks.by_hand.flights import COLUMNS, KEY, reshaped

# Ray reads these when it is imported; its workers import this module as well, and have to keep the same token.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", token_hex(32))
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
ray: Any = import_module("ray")
data: Any = import_module("ray.data")
arrow_csv: Any = import_module("pyarrow.csv")
psycopg: Any = import_module("psycopg")
NAME, PACKAGE, TABLE = "Ray Data, COPY", "ray", "flights"


@cache
def start() -> None:
    """Start Ray, until this process ends."""
    folder = TemporaryDirectory(prefix="ray-")
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
        _temp_dir=folder.name,
        # The workers have to find this module.
        runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parents[2])}},
    )
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    atexit.register(stop, folder)


def stop(folder: TemporaryDirectory[str]) -> None:
    ray.shutdown()
    folder.cleanup()


def checked(table: Any, folder: Path) -> Any:
    """Return the rows of the flights that departed, and write the others to a file of their own."""
    frame = pl.DataFrame(table)
    frame = frame.with_columns(pl.col("time_hour").dt.cast_time_unit("us").dt.convert_time_zone("UTC"))
    departed = pl.col("dep_time").is_not_null()
    frame.filter(~departed).write_csv(folder / f"{uuid4()}.csv", include_header=False)
    return cast("Any", reshaped(frame.filter(departed))).to_arrow()  # pyarrow has no types


def load(flights: Path, database: str, folder: Path) -> int:
    start()
    options = arrow_csv.ConvertOptions(
        include_columns=list(COLUMNS),
        null_values=["", "NA"],
        column_types={"dep_delay": "float64", "air_time": "float64", "dep_time": "int64"},
    )
    lines = data.read_csv(str(flights), convert_options=options)
    rows = lines.map_batches(partial(checked, folder=folder), batch_format="pyarrow", batch_size=100_000)
    frames = [pl.DataFrame(table) for table in rows.iter_batches(batch_format="pyarrow", batch_size=None)]
    new = pl.concat(frames).unique(subset=KEY, keep="first", maintain_order=True)
    with psycopg.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE flights")
        with cursor.copy("COPY flights FROM STDIN (FORMAT csv)") as copy:
            for part in new.iter_slices(10_000):
                buffer = io.BytesIO()
                part.write_csv(buffer, include_header=False)
                copy.write(buffer.getvalue())
    return sum(part.read_text().count("\n") for part in folder.iterdir())
