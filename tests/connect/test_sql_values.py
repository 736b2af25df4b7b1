"""MariaDB and DuckDB: what a column takes comes back as it was, and what it would change is refused."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import aclosing
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import polars as pl
import pytest
from tests.connect.reading import load, load_with_errors, read, refusal_of
from tests.connect.sql_databases import Duckdb, Mariadb

from mainstem import ConnectError, LoadReport, Pipeline, PipelineContext
from mainstem.connect import SqlSource, TableSink
from mainstem.connect.duckdb_values import DuckdbValues
from mainstem.endpoints import Claim
from mainstem.errors import ConnectionLostError

pytestmark = [pytest.mark.extras, pytest.mark.timeout(60)]
UTC = timezone.utc
SOME = UUID("25e4c658-c5fb-455c-92df-436054df16c6")


@pytest.fixture
def mariadb(tmp_path: Path) -> Iterator[Mariadb]:
    made = Mariadb(tmp_path)
    yield made
    made.remove()


@pytest.fixture
def duck(tmp_path: Path) -> Duckdb:
    return Duckdb(tmp_path)


MARIADB: list[tuple[str, list[Any], list[Any]]] = [
    ("tinyint", [-128, 127, 0], [128, 1.0, "1", Decimal(1)]),
    ("tinyint unsigned", [0, 255], [-1, 256]),
    ("bigint", [-(2**63), 2**63 - 1], [2**63]),
    ("bigint unsigned", [2**64 - 1], [2**64]),
    ("double", [0.1, -1e308, 5e-324], [math.nan, math.inf, 2**53 + 1, True, "1"]),
    ("float", [0.5, 1.1, 123456.0], [0.123456789, 1e300]),
    ("decimal(10,2)", [Decimal("1.25"), Decimal("-99999999.99"), Decimal(0)], [Decimal("1.234"), 10**8, 0.5]),
    ("varchar(5)", ["", "a b  ", "é😀", "\0"], ["abcdef", "abcde ", 7, "\ud800", date(2020, 1, 1)]),
    ("char(3)", ["abc", "a"], ["a ", "abcd"]),
    ("tinytext", ["x" * 255], ["x" * 256, "é" * 128]),
    ("varchar(9) CHARACTER SET latin1", ["é"], ["😀", "ж"]),
    ("varbinary(3)", [b"", b"a\0 "], [b"abcd", "abc"]),
    ("binary(3)", [b"abc"], [b"ab", b"abcd"]),
    ("date", [date(1, 1, 1), date(9999, 12, 31)], [datetime(2020, 1, 1), "2020-01-01"]),
    ("time(6)", [time(23, 59, 59, 999999), time(0)], [time(1, tzinfo=UTC), timedelta(1)]),
    ("time", [time(1, 2, 3)], [time(1, 2, 3, 4)]),
    ("datetime(6)", [datetime(2020, 1, 1, 1, 2, 3, 4)], [datetime(2020, 1, 1, tzinfo=UTC)]),
    ("datetime(3)", [datetime(2020, 1, 1, 1, 2, 3, 4000)], [datetime(2020, 1, 1, 1, 2, 3, 4)]),
    (
        "timestamp(6)",
        [datetime(2020, 7, 1, 1, 2, 3, 4, tzinfo=UTC)],
        [datetime(2020, 1, 1), datetime(1969, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)],
    ),
    ("enum('a','b')", ["a"], ["c", "A", 1, ""]),
    ("set('a','b')", ["a,b"], ["b,a", "c"]),
    ("uuid", [str(SOME)], [str(SOME).upper(), "no"]),
    ("year", [2026], [26, "2026", 1]),
    ("inet6", ["::1"], ["0:0:0:0:0:0:0:1", "x"]),
    ("bit(4)", [b"\x05"], [5, b"\x15"]),
]
DUCKDB: list[tuple[str, list[Any], list[Any]]] = [
    ("BOOLEAN", [True, False], [1, "true"]),
    ("TINYINT", [-128, 127], [128, 1.0, "1"]),
    ("UBIGINT", [2**64 - 1, 0], [2**64, -1]),
    ("HUGEINT", [10**38 - 1, -(2**100)], [10**38]),
    ("DOUBLE", [0.1, math.inf], [2**53 + 1, True, "1"]),
    ("FLOAT", [0.5, 1.5], [0.1, 1e300]),
    ("DECIMAL(10,2)", [Decimal("1.25"), Decimal("-99999999.99")], [Decimal("1.234"), 10**8, 0.5, Decimal("NaN")]),
    ("VARCHAR", ["", "a b  ", "é😀", "a\0b"], [7, "\ud800", b"x"]),
    ("BLOB", [b"", b"a\0\xff"], ["abc"]),
    ("DATE", [date(1, 1, 1), date(9999, 12, 31)], [datetime(2020, 1, 1), "2020-01-01"]),
    ("TIME", [time(23, 59, 59, 999999)], [time(1, tzinfo=UTC)]),
    ("TIMESTAMP", [datetime(2020, 1, 1, 1, 2, 3, 4)], [datetime(2020, 1, 1, tzinfo=UTC), date(2020, 1, 1)]),
    ("TIMESTAMP_S", [datetime(2020, 1, 1, 1, 2, 3)], [datetime(2020, 1, 1, 1, 2, 3, 4)]),
    ("TIMESTAMP_MS", [datetime(2020, 1, 1, 1, 2, 3, 4000)], [datetime(2020, 1, 1, 1, 2, 3, 4)]),
    ("TIMESTAMP_NS", [datetime(2020, 1, 1)], [datetime(1600, 1, 1)]),
    ("TIMESTAMP WITH TIME ZONE", [datetime(2020, 7, 1, 1, 2, 3, 4, tzinfo=UTC)], [datetime(2020, 1, 1)]),
    ("INTERVAL", [timedelta(days=3, seconds=4, microseconds=5)], [5]),
    ("UUID", [SOME], [str(SOME)]),
    ("ENUM('a', 'b')", ["a"], ["c", 1]),
    ("INTEGER[]", [[1, 2], []], [["x"], 7]),
    ("STRUCT(a INTEGER, b VARCHAR)", [{"a": 1, "b": "x"}], [{"a": "no", "b": "x"}]),
    ("JSON", ['{"a": 1}'], ["{no", {"a": 1}]),
]


def check(database: Any, declared: str, taken: list[Any], refused: list[Any]) -> None:
    database.execute(f"CREATE TABLE held (id INT NOT NULL PRIMARY KEY, v {declared} NULL)")
    rows = [{"id": at, "v": value} for at, value in enumerate([*taken, None, *refused])]
    _, errors = load_with_errors(TableSink(database.url, "held", key="id", continue_on_error=True), rows)
    kept = read(SqlSource(database.url, "held", key="id"))
    assert kept == rows[: len(taken) + 1]
    assert [type(row["v"]) for row in kept] == [type(row["v"]) for row in rows[: len(taken) + 1]]
    assert [index for index, _, _ in errors] == list(range(len(taken) + 1, len(rows)))


@pytest.mark.parametrize(("declared", "taken", "refused"), MARIADB, ids=[each[0] for each in MARIADB])
def test_mariadb_gives_back_what_it_takes(
    mariadb: Mariadb, declared: str, taken: list[Any], refused: list[Any]
) -> None:
    check(mariadb, declared, taken, refused)


@pytest.mark.parametrize(("declared", "taken", "refused"), DUCKDB, ids=[each[0] for each in DUCKDB])
def test_duckdb_gives_back_what_it_takes(duck: Duckdb, declared: str, taken: list[Any], refused: list[Any]) -> None:
    check(duck, declared, taken, refused)


def test_none_is_not_turned_into_something(mariadb: Mariadb) -> None:
    mariadb.execute("CREATE TABLE t (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, at TIMESTAMP NOT NULL)")
    rows = [{"id": 0, "at": datetime(2020, 1, 1, tzinfo=UTC)}, {"id": 5, "at": None}, {"id": None, "at": None}]
    _, errors = load_with_errors(TableSink(mariadb.url, "t", continue_on_error=True), rows)
    assert [index for index, _, _ in errors] == [1, 2]
    assert read(SqlSource(mariadb.url, "t", key="id")) == rows[:1]  # the 0 is a 0


def test_a_table_without_transactions_is_refused(mariadb: Mariadb) -> None:
    mariadb.execute("CREATE TABLE t (id INT PRIMARY KEY) ENGINE=MyISAM")
    assert "InnoDB" in str(refusal_of(TableSink(mariadb.url, "t"), [{"id": 1}]).error)


def test_an_upsert_that_could_find_another_row_is_refused(mariadb: Mariadb) -> None:
    mariadb.execute("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(9) UNIQUE)")
    sink = TableSink[Any](mariadb.url, "t", key="id", mode="upsert")
    assert "unique index, 'name'" in str(refusal_of(sink, [{"id": 1, "name": "a"}]).error)


def test_what_a_trigger_refuses_is_one_record(mariadb: Mariadb) -> None:
    mariadb.execute(
        "CREATE TABLE t (id INT PRIMARY KEY)",
        "CREATE TRIGGER no BEFORE INSERT ON t FOR EACH ROW "
        "IF NEW.id = 3 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no threes'; END IF",
    )
    rows = [{"id": at} for at in range(6)]
    _, errors = load_with_errors(TableSink(mariadb.url, "t", continue_on_error=True), rows)
    assert [(index, "no threes" in text) for index, _, text in errors] == [(3, True)]


@pytest.mark.anyio
@pytest.mark.parametrize("step", ["write", "commit"])
async def test_a_lost_connection_is_no_records_fault(mariadb: Mariadb, step: str) -> None:
    mariadb.execute("CREATE TABLE t (id INT PRIMARY KEY)")
    sink = TableSink[Any](mariadb.url, "t", continue_on_error=True)
    claim = Claim("p/r", 1)
    await sink.claim(claim)
    batch = await sink.begin_batch(PipelineContext(), claim, 1)
    if step == "commit":
        await batch.write([{"id": 1}])
    mariadb.server.kill_connections()
    with pytest.raises(ConnectionLostError):
        await (batch.commit() if step == "commit" else batch.write([{"id": 1}]))
    await batch.abort()
    assert await sink.claim(claim) == 0
    again = await sink.begin_batch(PipelineContext(), claim, 1)
    await again.write([{"id": 1}])
    await again.commit()
    assert mariadb.execute("SELECT id FROM t") == [(1,)]


@pytest.mark.anyio
async def test_a_killed_reader_says_that_the_connection_was_lost(mariadb: Mariadb) -> None:
    mariadb.execute("CREATE TABLE t (id INT PRIMARY KEY, v TEXT)")
    mariadb.execute("INSERT INTO t SELECT seq, REPEAT('x', 5000) FROM seq_1_to_8000")
    async with aclosing(SqlSource(mariadb.url, "t", key="id").read(PipelineContext(), chunk_size=10)) as chunks:
        await anext(chunks)
        mariadb.server.kill_connections()
        with pytest.raises(ConnectionLostError):
            async for _ in chunks:
                pass


def test_a_frame_goes_into_duckdb_without_a_look_at_each_value(duck: Duckdb, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame(
        {
            "id": [1, 2, 3],
            "text": ["a", None, "c"],
            "ratio": [0.5, math.inf, None],
            "at": [datetime(2020, 1, 1, tzinfo=UTC), None, None],
            "day": [date(2020, 1, 1), None, None],
        },
        schema_overrides={"at": pl.Datetime("us", "UTC"), "id": pl.Int32},
    )
    pipeline: Any = Pipeline[Any, LoadReport]("f").add_stage(TableSink(duck.url, "t"))
    assert pipeline.run(frame).success

    def look(values_of: DuckdbValues, values: Any) -> Any:
        raise AssertionError(f"{values_of} looked at {values}")

    monkeypatch.setattr(DuckdbValues, "store_all", look)
    assert pipeline.run(frame).success
    assert read(SqlSource(duck.url, "SELECT * FROM t ORDER BY id")) == [
        row for row in frame.to_dicts() for _ in range(2)
    ]


def test_a_frame_with_values_that_do_not_fit_is_looked_at(duck: Duckdb) -> None:
    duck.execute('CREATE TABLE t (id TINYINT, "at" TIMESTAMP)')
    frame = pl.DataFrame({"id": [1, 300, 3], "at": [datetime(2020, 1, 1), None, None]})
    pipeline: Any = Pipeline[Any, LoadReport]("f").add_stage(TableSink(duck.url, "t", continue_on_error=True))
    result = pipeline.run(frame)
    assert [entry.index for entry in result.context.errors] == [1]
    assert duck.execute("SELECT id FROM t ORDER BY id") == [(1,), (3,)]


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.duckdb").write_text("nothing of the kind" * 1000)
    error = refusal_of(TableSink(f"duckdb:///{tmp_path}/x.duckdb", "t"), [{"id": 1}]).error
    assert isinstance(error, ConnectError)
    assert "x.duckdb" in str(error)


@pytest.mark.parametrize("url", ["duckdb://", "duckdb:///:memory:", "duckdb:///", "duckdb:///x?y=1"])
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(ConnectError, match="supported"):
        TableSink(url, "t")
    with pytest.raises(ConnectError, match="supported"):
        SqlSource(url, "t")


@pytest.mark.parametrize(
    "url",
    ["oracle+oracledb://me:secret@h/x", "mysql://me:secret@h/x", "nope://me:secret@h", "mssql+pyodbc://me:secret@h"],
)
def test_a_database_that_cannot_be_loaded_is_refused_at_once(url: str) -> None:
    with pytest.raises(ConnectError, match="supported") as caught:
        TableSink(url, "t")
    assert "secret" not in str(caught.value)


def test_a_key_of_duckdb_may_be_used_by_others_meanwhile(duck: Duckdb) -> None:
    load(TableSink(duck.url, "t", key="id"), [{"id": 1}])
    with duckdb.connect(str(duck.path)) as other:
        load(TableSink(duck.url, "t", key="id"), [{"id": 2}])
        assert other.execute("SELECT count(*) FROM t").fetchall() == [(2,)]
