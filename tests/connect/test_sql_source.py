"""``SqlSource``."""

from __future__ import annotations

import sqlite3
from contextlib import aclosing, closing
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.connect.reading import errors_in, failure_of, read, read_chunks, read_with_errors, records_of

from mainstem import ConnectError, MapStage, PipelineContext, StageTypeError, ValidationError
from mainstem.connect import SqlSource


@dataclass
class Item:
    id: int
    name: str
    price: Decimal
    sold: date | None
    at: datetime
    new: bool
    picture: bytes


@pytest.fixture
def url(tmp_path: Path) -> str:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("CREATE TABLE items (id INTEGER, name, price TEXT, sold, at, new BOOLEAN, picture BLOB)")
        connection.executemany(
            "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (1, "nail", "0.10", None, "2024-05-01T12:00:00.000001+02:00", 1, b"\x00\xff"),
                (2, "saw", "12.00", "2024-05-02", "2024-05-01T12:00:00", 0, b""),
                (3, "axe", "x", "2024-05-02", "2024-05-01T12:00:00", 0, b""),
            ],
        )
        connection.commit()
    return f"sqlite:///{tmp_path / 'shop.db'}"


def test_rows_are_dicts(url: str) -> None:
    assert read(SqlSource(url, "SELECT id, name FROM items WHERE id < 3 ORDER BY id DESC")) == [
        {"id": 2, "name": "saw"},
        {"id": 1, "name": "nail"},
    ]


def test_rows_are_parsed_into_a_record_type(url: str) -> None:
    source = SqlSource(url, "SELECT * FROM items ORDER BY id", record_type=Item, continue_on_error=True)
    found, errors = read_with_errors(source)
    assert found == [
        Item(
            1,
            "nail",
            Decimal("0.10"),
            None,
            datetime.fromisoformat("2024-05-01T12:00:00.000001+02:00"),
            True,
            b"\x00\xff",
        ),
        Item(2, "saw", Decimal("12.00"), date(2024, 5, 2), datetime(2024, 5, 1, 12), False, b""),
    ]
    assert [(index, record["price"]) for index, record, _ in errors] == [(2, "x")]
    assert f"{url}, row 2: not a Item: " in errors[0][2]
    assert isinstance(failure_of(SqlSource(url, "SELECT * FROM items", record_type=Item)), ValidationError)


@pytest.mark.parametrize(
    ("query", "parameters"),
    [("SELECT name FROM items WHERE id = ?", [2]), ("SELECT name FROM items WHERE id = :id", {"id": 2})],
)
def test_parameters_are_bound(url: str, query: str, parameters: Any) -> None:
    assert read(SqlSource(url, query, parameters=parameters)) == [{"name": "saw"}]


def test_a_parameter_is_never_part_of_the_statement(url: str) -> None:
    query = "SELECT name FROM items WHERE name = ?"
    assert read(SqlSource(url, query, parameters=["' OR 1=1; DROP TABLE items --"])) == []


@pytest.mark.parametrize(
    ("query", "parameters", "problem"),
    [
        ("SELECT * FROM absent", (), "no such table: absent"),
        ("SELEC 1", (), "syntax error"),
        ("SELECT ?", (), "bindings"),
        ("SELECT 1", (1,), "bindings"),
        ("SELECT 1; SELECT 2", (), "one statement at a time"),
        ("SELECT id, id FROM items", (), "names column 'id' more than once: rename one with AS"),
        ("", (), "gives no rows: write a SELECT"),
        ("DELETE FROM items", (), "readonly"),
        ("DELETE FROM items RETURNING id", (), "readonly"),
        ("CREATE TABLE t (a)", (), "readonly"),
        ("PRAGMA user_version = 5", (), ""),
        ("SELECT CASE id WHEN 2 THEN abs(-9223372036854775808) END AS a FROM items", (), "integer overflow"),
    ],
)
def test_a_wrong_query_is_an_error_that_names_the_database_and_changes_nothing(
    url: str, query: str, parameters: Any, problem: str
) -> None:
    error = failure_of(SqlSource(url, query, parameters=parameters))
    assert isinstance(error, ConnectError)
    assert str(error).startswith(f"{url}: ")
    assert problem in str(error)
    assert len(read(SqlSource(url, "SELECT id FROM items"))) == 3
    assert read(SqlSource(url, "PRAGMA user_version")) == [{"user_version": 0}]


@pytest.fixture
def damaged_url(tmp_path: Path) -> str:
    with closing(sqlite3.connect(tmp_path / "damaged.db")) as connection:
        connection.execute("CREATE TABLE t (a, b)")
        for number in range(8):
            text = "x'ff61'" if number in (0, 3, 4, 7) else "x'61'"
            connection.execute(f"INSERT INTO t VALUES ({number}, CAST({text} AS TEXT))")
        connection.commit()
    return f"sqlite:///{tmp_path / 'damaged.db'}"


@pytest.mark.anyio
@pytest.mark.parametrize("chunk_size", [1, 2, 3, 100])
async def test_text_that_is_not_utf_8_is_rejected_with_its_bytes(damaged_url: str, chunk_size: int) -> None:
    source = SqlSource(damaged_url, "SELECT a, b, 'ok' AS c FROM t", continue_on_error=True)
    context = PipelineContext()
    chunks = await read_chunks(source, chunk_size=chunk_size, context=context)
    assert [record["a"] for record in records_of(chunks)] == [1, 2, 5, 6]
    assert [(index, record) for index, record, _ in errors_in(context)] == [
        (at, {"a": at, "b": b"\xffa", "c": "ok"}) for at in (0, 3, 4, 7)
    ]
    for chunk in chunks:
        rest = await read_chunks(source, start=chunk.position)
        assert [record["a"] for record in records_of(rest)] == [
            at for at in (1, 2, 5, 6) if at >= chunk.position["row"]
        ]


@pytest.mark.anyio
@pytest.mark.parametrize("chunk_size", [1, 2, 3, 100])
async def test_damaged_rows_and_rows_that_do_not_parse_keep_their_numbers(damaged_url: str, chunk_size: int) -> None:
    @dataclass
    class Row:
        a: int
        b: str

    query = "SELECT CASE a WHEN 5 THEN 'x' ELSE a END AS a, b FROM t"
    source, context = SqlSource(damaged_url, query, record_type=Row, continue_on_error=True), PipelineContext()
    chunks = await read_chunks(source, chunk_size=chunk_size, context=context)
    assert [row.a for row in records_of(chunks)] == [1, 2, 6]
    errors = errors_in(context)
    assert [index for index, _, _ in errors] == [0, 3, 4, 5, 7]
    for index, _, text in errors:
        assert f"{damaged_url}, row {index}: " in text


@pytest.mark.anyio
async def test_it_sees_the_database_as_it_was_at_the_beginning(url: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as other:
        other.execute("PRAGMA journal_mode = WAL")
        async with aclosing(SqlSource(url, "SELECT id FROM items").read(PipelineContext(), chunk_size=1)) as chunks:
            assert (await anext(chunks)).records == [{"id": 1}]
            other.execute("DELETE FROM items")
            other.commit()
            assert [record["id"] async for chunk in chunks for record in chunk.records] == [2, 3]


@pytest.mark.anyio
async def test_a_journal_that_a_crash_left_behind_is_rolled_back(tmp_path: Path) -> None:
    """A read-only connection could not; the copy is what a killed process leaves on the disk."""
    path, copy = tmp_path / "shop.db", tmp_path / "copy.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("INSERT INTO t VALUES (1)")
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 5000,)] * 50)
        copy.write_bytes(path.read_bytes())
        (tmp_path / "copy.db-journal").write_bytes((tmp_path / "shop.db-journal").read_bytes())
        connection.execute("ROLLBACK")
    assert records_of(await read_chunks(SqlSource(f"sqlite:///{copy}", "SELECT a FROM t"))) == [{"a": 1}]


def test_a_database_in_memory_computes(tmp_path: Path) -> None:
    for url in ("sqlite://", "sqlite:///:memory:"):
        assert read(SqlSource(url, "SELECT 1 + 1 AS two")) == [{"two": 2}]


def test_the_record_type_is_known_when_stages_join() -> None:
    def length(text: str) -> int:
        return len(text)

    with pytest.raises(StageTypeError, match="Item"):
        SqlSource("sqlite://", "SELECT 1", record_type=Item) >> MapStage(length)
    with pytest.raises(StageTypeError, match="dict"):
        SqlSource("sqlite://", "SELECT 1") >> MapStage(length)
    with pytest.raises(TypeError, match="record_type of SqlSource"):
        SqlSource("sqlite://", "SELECT 1", record_type=list)


def test_its_name_can_be_given() -> None:
    assert SqlSource("sqlite://", "SELECT 1", name="items").name == "items"
