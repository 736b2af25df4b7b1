"""Frames into SQLite: the table holds what it would hold if the rows had come as records."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstem import LoadReport, Pipeline
from mainstem.connect import TableSink

pytestmark = pytest.mark.extras

SCHEMA: dict[str, Any] = {
    "n": pl.Int64,
    "text": pl.String,
    "share": pl.Float64,
    "yes": pl.Boolean,
    "day": pl.Date,
    "at": pl.Datetime("us", "UTC"),
    "there": pl.Datetime("us", "Europe/Paris"),
    "naive": pl.Datetime("us"),
    "time": pl.Time,
}
TABLE = """CREATE TABLE t (n INTEGER, text TEXT, share REAL, yes BOOLEAN, day DATE, at TIMESTAMP, there TIMESTAMP,
    naive TIMESTAMP, time TIME)"""
VALUES = st.fixed_dictionaries(
    {
        "n": st.none() | st.integers(-(2**63), 2**63 - 1),
        "text": st.none() | st.text(st.characters(exclude_categories=["Cs"])),
        "share": st.none() | st.floats(),
        "yes": st.none() | st.booleans(),
        "day": st.none() | st.dates(),
        "at": st.none() | st.datetimes(timezones=st.just(timezone.utc)),
        "there": st.none() | st.datetimes(datetime(1900, 1, 2), datetime(2100, 1, 1), timezones=st.just(timezone.utc)),
        "naive": st.none() | st.datetimes(),
        "time": st.none() | st.times(),
    }
)


def load(path: Path, data: Any) -> tuple[list[Any], list[Any]]:
    """Load records or a frame into a table; return what is in it, and what was rejected."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE IF EXISTS t")
        connection.execute(TABLE)
    sink: Any = TableSink(f"sqlite:///{path}", "t", continue_on_error=True)
    result = Pipeline[Any, LoadReport]("load").add_stage(sink).run(data)
    result.unwrap()
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(f"SELECT {', '.join(SCHEMA)} FROM t ORDER BY rowid").fetchall()
    return rows, [(entry.index, str(entry.error)) for entry in result.context.errors]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(VALUES, min_size=1, max_size=8))
def test_the_table_holds_what_it_holds_of_records(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    frame = pl.DataFrame(rows, schema=SCHEMA)
    assert load(tmp_path / "t.db", frame) == load(tmp_path / "t.db", frame.to_dicts())


def test_a_row_that_the_table_does_not_take_is_rejected_alone(tmp_path: Path) -> None:
    frame = pl.DataFrame({"n": range(2000), "text": ["a\0b" if n % 700 == 3 else "x" for n in range(2000)]})
    rows, rejects = load(tmp_path / "t.db", frame)
    assert [index for index, _ in rejects] == [3, 703, 1403]
    assert [row[0] for row in rows] == [n for n in range(2000) if n % 700 != 3]


def test_a_frame_with_other_columns_is_rejected_row_by_row(tmp_path: Path) -> None:
    rows, rejects = load(tmp_path / "t.db", pl.DataFrame({"n": [1, 2], "other": [1, 2]}))
    assert rows == []
    assert [index for index, _ in rejects] == [0, 1]
    assert "has no column 'other'" in rejects[0][1]
