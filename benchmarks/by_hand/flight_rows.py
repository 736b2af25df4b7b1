"""The flights row by row, for peers that have no columns: what one of them does with a line of the file.

It needs the standard library alone, for each peer runs in an environment of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, TypeAlias

FlightRow: TypeAlias = tuple[str, int, str, str, str, datetime, datetime, float, "float | None"]
NAMES = (
    "carrier",
    "flight",
    "origin",
    "destination",
    "tail_number",
    "scheduled",
    "departed",
    "delay_minutes",
    "miles_per_hour",
)
TYPES = ("text", "int8", "text", "text", "text", "timestamptz", "timestamptz", "float8", "float8")
_UNKNOWN = ("", "NA")


def to_row(line: Mapping[str, str]) -> FlightRow:
    """Return the row of a flight that departed.

    Raises:
        ValueError: If it did not, or a field is no number or time.
    """
    if line["dep_time"] in _UNKNOWN:
        raise ValueError("no departure time")
    int(line["dep_time"])
    scheduled = datetime.fromisoformat(line["time_hour"]).astimezone(timezone.utc)
    scheduled += timedelta(minutes=int(line["minute"]))
    delay = float(line["dep_delay"]) if line["dep_delay"] not in _UNKNOWN else 0.0
    air_time = float(line["air_time"]) if line["air_time"] not in _UNKNOWN else None
    return (
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


def key_of(row: FlightRow) -> tuple[Any, ...]:
    """Return what names a flight, and is in the table once."""
    return row[0], row[1], row[2], row[5]


def copy_rows(connection: Any, rows: Any) -> int:
    """Append rows to the table ``flights`` by binary COPY, and return how many."""
    count = 0
    with connection.cursor().copy("COPY flights FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(TYPES)
        for row in rows:
            copy.write_row(row)
            count += 1
    return count
