"""The flights from CSV into PostgreSQL by hand with DuckDB: one query, and COPY of what it gives.

DuckDB's own way into PostgreSQL is an extension that no package has, so its answer goes out as Arrow, by ADBC.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

_READ = """
    CREATE TABLE lines AS SELECT carrier, flight, origin, dest, tailnum, distance, time_hour, minute, dep_time,
        dep_delay, air_time
    FROM read_csv($flights, nullstr = 'NA', types = {
        'time_hour': 'TIMESTAMPTZ', 'dep_delay': 'DOUBLE', 'air_time': 'DOUBLE', 'dep_time': 'BIGINT'})
"""
_RESHAPE = """
    SELECT carrier, flight, origin, dest AS destination, tailnum AS tail_number,
        time_hour + to_minutes(minute) AS scheduled,
        time_hour + to_minutes(minute) + to_seconds(60 * coalesce(dep_delay, 0)) AS departed,
        coalesce(dep_delay, 0) AS delay_minutes,
        round_even(distance / (air_time / 60), 1) AS miles_per_hour
    FROM lines WHERE dep_time IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY carrier, flight, origin, scheduled) = 1
"""


def by_duckdb(file: Path, url: str) -> int:
    """Load the file, keep what is rejected in another, and return how many rows are in the table."""
    duckdb: Any = import_module("duckdb")
    dbapi: Any = import_module("adbc_driver_postgresql.dbapi")  # which has no types
    rejects = str(file.with_suffix(".rejects")).replace("'", "''")
    with duckdb.connect() as engine, dbapi.connect(url) as connection, connection.cursor() as cursor:
        engine.execute("SET TimeZone = 'UTC'")
        engine.execute(_READ, {"flights": str(file)})
        engine.execute(f"COPY (FROM lines WHERE dep_time IS NULL) TO '{rejects}' (HEADER)")
        cursor.execute("TRUNCATE flights")
        count = cursor.adbc_ingest("flights", engine.sql(_RESHAPE).to_arrow_reader(10_000), mode="append")
        connection.commit()
        return int(count)
