"""dlt with a row at a time: dicts, 1,000 to a batch, which dlt looks at one by one and loads as CSV by COPY."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.by_hand.flight_rows import NAMES, key_of, to_row
from benchmarks.flights_peers.dlt import dlt, load_resources

# Its tables are its own: dlt adds columns to the ones that it makes for Arrow tables.
DATASET = "dlt_rows"
NAME, PACKAGE, TABLE = "dlt, dicts as CSV", "dlt", f"{DATASET}.flights"


def load(flights: Path, database: str, folder: Path) -> int:
    def batches() -> Iterator[Any]:
        seen: set[Any] = set()
        with flights.open(newline="") as file:
            lines = csv.DictReader(file)
            while batch := list(islice(lines, 1000)):
                rejects: list[Any] = []
                yield list(new_rows(batch, seen, rejects))
                if rejects:
                    yield dlt.mark.with_table_name(rejects, "rejects")

    resource = dlt.resource(batches, name="flights", write_disposition="replace")
    return load_resources([resource], database, DATASET, folder)


def new_rows(lines: list[dict[str, str]], seen: set[Any], rejects: list[Any]) -> Iterator[dict[str, Any]]:
    """Return the rows that are new, and add the rejected lines to ``rejects``."""
    for line in lines:
        try:
            row = to_row(line)
        except ValueError as error:
            rejects.append({**line, "error": str(error)})
            continue
        key = key_of(row)
        if key not in seen:
            seen.add(key)
            yield dict(zip(NAMES, row, strict=True))
