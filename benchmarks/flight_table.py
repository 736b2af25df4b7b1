"""The table of flights in PostgreSQL, as every contestant has to leave it, and ``psql``'s own way to fill it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.measure import Contestant

BESIDE_COPY = r"flights into PostgreSQL, beside \copy"
_CONTENTS = """
    SELECT count(*), sum(hashtextextended(concat_ws('|', carrier, flight, origin, destination, tail_number,
        extract(epoch FROM scheduled)::bigint, extract(epoch FROM departed)::bigint, delay_minutes::int), 0)),
        sum(round(miles_per_hour * 10))
    FROM {}
"""


def contents(url: str, table: str) -> tuple[Any, ...]:
    """Return the number of rows, a sum over their hashes in any order, and the sum of the speeds in tenths."""
    psycopg: Any = import_module("psycopg")  # for the type checkers, some environments have none
    with psycopg.connect(url) as connection:
        count, hashes, tenths = connection.execute(_CONTENTS.format(table)).fetchone()
        return count, int(hashes or 0), tenths


def by_psql(psql: Path, url: str, seen: Callable[[object], object]) -> Contestant:
    r"""Return the ``\copy`` of a file of just the clean rows: what the server takes for them, whoever sends them.

    Its input is a file of flights that has one with the clean rows beside it.
    """

    def run(file: Path) -> int:
        copy = f"\\copy flights from '{file.with_suffix('.clean')}' csv"
        subprocess.run(
            [psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", "TRUNCATE flights", "-c", copy, url], check=True
        )
        return 0

    return Contestant(r"psql \copy of the clean rows", run, clock="wall", seen=seen)
