"""Frames into PostgreSQL: encoded column by column, and the rows that the table does not take are rejected alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstem import LoadReport, Pipeline
from mainstem.connect import TableSink, postgres_load
from mainstem.connect.postgres_frames import encoded

pytestmark = pytest.mark.extras

SCHEMA: dict[str, Any] = {
    "n": pl.Int64,
    "small": pl.Int64,
    "text": pl.String,
    "share": pl.Float64,
    "yes": pl.Boolean,
    "day": pl.Date,
    "at": pl.Datetime("us", "UTC"),
    "naive": pl.Datetime("us"),
    "raw": pl.Binary,
}
TABLE = """CREATE TABLE t (n int8, small int2, text text, share float8, yes bool, day date, at timestamptz,
    naive timestamp, raw bytea)"""


@pytest.fixture
def connection(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_url, autocommit=True, options="-c timezone=UTC") as opened:
        yield opened


def load(url: str, frame: pl.DataFrame, **options: Any) -> Any:
    sink: Any = TableSink(url, "t", continue_on_error=True, **options.pop("sink", {}))
    return Pipeline[Any, LoadReport]("load").add_stage(sink).run(frame, **options)


VALUES = st.fixed_dictionaries(
    {
        "n": st.none() | st.integers(-(2**63), 2**63 - 1),
        "small": st.none() | st.integers(-(2**15), 2**15 - 1),
        "text": st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
        "share": st.none() | st.floats(allow_nan=False),
        "yes": st.none() | st.booleans(),
        "day": st.none() | st.dates(),
        "at": st.none() | st.datetimes(timezones=st.just(timezone.utc), min_value=datetime(1, 1, 2)),
        "naive": st.none() | st.datetimes(),
        "raw": st.none() | st.binary(),
    }
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(VALUES, min_size=1, max_size=8))
def test_what_is_loaded_comes_back_as_it_was(
    postgres_url: str, connection: psycopg.Connection[Any], rows: list[dict[str, Any]]
) -> None:
    connection.execute("DROP TABLE IF EXISTS t")
    connection.execute(TABLE)
    load(postgres_url, pl.DataFrame(rows, schema=SCHEMA)).unwrap()
    names = ", ".join(SCHEMA)
    assert connection.execute(f"SELECT {names} FROM t").fetchall() == [
        tuple(row[name] for name in SCHEMA) for row in rows
    ]  # type: ignore[arg-type]


def test_frames_are_encoded_and_not_taken_apart(
    postgres_url: str, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bool] = []

    def noted(frame: pl.DataFrame, columns: Any) -> list[bytes] | None:
        blocks = encoded(frame, columns)
        calls.append(blocks is not None)
        return blocks

    monkeypatch.setattr(postgres_load, "encoded", noted)
    connection.execute("CREATE TABLE t (n int8, text text)")
    assert load(postgres_url, pl.DataFrame({"text": ["a"], "n": [1]})).data.records_loaded == 1
    assert calls == [True]
    assert connection.execute("SELECT n, text FROM t").fetchall() == [(1, "a")]


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        ("v text", "a", "a\0b"),
        ("v varchar(3)", "abc", "abcd"),
        ("v int2", 1, 40_000),
        ("v int8 NOT NULL", 1, None),
        ("v int8 CHECK (v < 5)", 1, 7),
        ("v date CHECK (v > '2026-01-01')", date(2026, 2, 1), date(2020, 1, 1)),
        ("v numeric(4, 2)", 1.5, float("nan")),
        ("v timestamptz(0)", datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2026, 1, 1, 0, 0, 0, 5, timezone.utc)),
        ("v interval", timedelta(1), None),
    ],
)
def test_a_row_that_the_table_does_not_take_is_rejected_alone(
    postgres_url: str, connection: psycopg.Connection[Any], column: str, good: Any, bad: Any
) -> None:
    connection.execute(f"CREATE TABLE t (id int8, {column})")  # type: ignore[arg-type]
    refused = "interval" not in column
    frame = pl.DataFrame({"id": range(7), "v": [good, good, good, bad, good, good, bad]}, strict=False)
    result = load(postgres_url, frame)
    assert [entry.index for entry in result.context.errors] == ([3, 6] if refused else [])
    assert all(entry.record["id"] == entry.index for entry in result.context.errors)
    loaded = [row[0] for row in connection.execute("SELECT id FROM t ORDER BY 1").fetchall()]
    assert loaded == ([0, 1, 2, 4, 5] if refused else list(range(7)))


def test_a_table_is_made_for_a_frame(postgres_url: str, connection: psycopg.Connection[Any]) -> None:
    load(postgres_url, pl.DataFrame({"id": [1, 2], "text": ["a", None]}), sink={"key": "id"}).unwrap()
    assert connection.execute("SELECT id, text FROM t ORDER BY id").fetchall() == [(1, "a"), (2, None)]


def test_frames_are_merged_by_key(postgres_url: str, connection: psycopg.Connection[Any]) -> None:
    options: dict[str, Any] = {"sink": {"key": "id", "mode": "upsert"}}
    for texts in (["a", "b"], ["B", "c"]):
        frame = pl.DataFrame({"id": [1, 2] if texts[0] == "a" else [2, 3], "text": texts})
        load(postgres_url, frame, sink=dict(options["sink"])).unwrap()
    assert connection.execute("SELECT id, text FROM t ORDER BY id").fetchall() == [(1, "a"), (2, "B"), (3, "c")]


def test_a_durable_run_of_frames_loads_each_row_once(
    postgres_url: str, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    connection.execute("CREATE TABLE t (n int8)")
    frame = pl.DataFrame({"n": range(200_000)})
    result = load(postgres_url, frame, store=tmp_path / "store.db", run_id="a")
    assert result.data.guarantee.value == "exactly-once"
    assert str(result.accounting) == "200,000 in = 200,000 loaded"
    assert connection.execute("SELECT count(*), count(DISTINCT n) FROM t").fetchone() == (200_000, 200_000)
