"""``TableSink``."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, LiteralString, NewType, NoReturn, NotRequired, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.connect.poison import RefusingClass
from tests.connect.reading import load, load_with_errors, refusal_of

from mainstem import ConnectError, LoadReport, MapStage, PipelineContext, StageTypeError, ValidationError
from mainstem.connect import TableSink


class Database:
    """A database to look into from beside the sinks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"

    def run(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)

    def rows(self, query: str, parameters: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(query, tuple(parameters)).fetchall()

    def columns(self, table: str) -> list[tuple[Any, ...]]:
        return self.rows('SELECT name, type, "notnull", pk FROM pragma_table_info(?)', [table])


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "shop.db")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


Cents = NewType("Cents", int)


@dataclass
class Item:
    id: int
    name: str
    price: Decimal
    weight: float | None
    sold: date | None
    at: datetime
    new: bool
    picture: bytes
    colour: Colour
    code: UUID
    size: Literal["s", "l"]
    cents: Annotated[Cents | None, "in Euro"]
    either: int | str
    anything: Any


ITEM_COLUMNS = [
    ("id", "INTEGER", 1, 1),
    ("name", "TEXT", 1, 0),
    ("price", "TEXT", 1, 0),
    ("weight", "REAL", 0, 0),
    ("sold", "TEXT", 0, 0),
    ("at", "TEXT", 1, 0),
    ("new", "BOOLEAN", 1, 0),
    ("picture", "BLOB", 1, 0),
    ("colour", "TEXT", 1, 0),
    ("code", "TEXT", 1, 0),
    ("size", "TEXT", 1, 0),
    ("cents", "INTEGER", 0, 0),
    ("either", "", 1, 0),
    ("anything", "", 0, 0),
]


def item(number: int) -> Item:
    return Item(
        id=number,
        name="nail",
        price=Decimal("0.10"),
        weight=None,
        sold=date(2024, 5, 1),
        at=datetime.fromisoformat("2024-05-01T12:00:00+02:00"),
        new=True,
        picture=b"\x00",
        colour=Colour.RED,
        code=UUID(int=5),
        size="s",
        cents=Cents(10),
        either="7",
        anything=7,
    )


# Making the table


def test_a_table_is_made_from_the_annotations_of_the_records(database: Database) -> None:
    load(TableSink(database.url, "items", key="id"), [item(1), item(2)])
    assert database.columns("items") == ITEM_COLUMNS
    code = "00000000-0000-0000-0000-000000000005"
    at = "2024-05-01T12:00:00+02:00"
    expected = ("nail", "0.10", None, "2024-05-01", at, 1, b"\x00", "red", code, "s", 10, "7", 7)
    assert database.rows("SELECT * FROM items") == [(1, *expected), (2, *expected)]


def test_a_table_is_made_from_a_record_type_before_any_record_comes(database: Database) -> None:
    load(TableSink(database.url, "items", key="id", record_type=Item), [])
    assert database.columns("items") == ITEM_COLUMNS


class ItemDict(TypedDict):
    id: int
    note: NotRequired[str | None]


class ItemStruct(msgspec.Struct):
    id: int
    note: str | None = None


class ItemModel(pydantic.BaseModel):
    id: int
    note: str | None = None


@pytest.mark.parametrize("kind", [ItemDict, ItemStruct, ItemModel])
def test_every_kind_of_record_type_makes_a_table(database: Database, kind: Any) -> None:
    load(TableSink(database.url, "items", record_type=kind), [kind(id=1, note=None), kind(id=2, note="x")])
    assert database.columns("items") == [("id", "INTEGER", 1, 0), ("note", "TEXT", 0, 0)]
    assert database.rows("SELECT * FROM items") == [(1, None), (2, "x")]


def test_a_table_is_made_from_the_values_of_the_first_records(database: Database) -> None:
    rows = [
        {"id": 1, "a": None, "b": 1, "c": 1, "d": True, "e": None, "f": Colour.RED, "g": True, "h": Decimal(1)},
        {"id": 2, "a": "x", "b": 1.5, "c": "x", "d": False, "e": None, "f": Colour.BLUE, "g": 7, "h": None},
    ]
    load(TableSink(database.url, "t", key=["id"]), rows)
    assert database.columns("t") == [
        ("id", "INTEGER", 1, 1),
        ("a", "TEXT", 0, 0),
        ("b", "REAL", 0, 0),
        ("c", "", 0, 0),
        ("d", "BOOLEAN", 0, 0),
        ("e", "", 0, 0),
        ("f", "TEXT", 0, 0),
        ("g", "INTEGER", 0, 0),
        ("h", "TEXT", 0, 0),
    ]
    assert database.rows("SELECT * FROM t") == [
        (1, None, 1.0, 1, 1, None, "red", 1, "1"),
        (2, "x", 1.5, "x", 0, None, "blue", 7, None),
    ]


def test_a_key_may_be_several_columns(database: Database) -> None:
    rows = [{"a": 1, "b": "x", "c": 1}, {"a": 1, "b": "y", "c": 2}]
    load(TableSink(database.url, "t", key=["b", "a"]), rows)
    assert database.columns("t") == [("a", "INTEGER", 1, 2), ("b", "TEXT", 1, 1), ("c", "INTEGER", 0, 0)]
    _, errors = load_with_errors(TableSink(database.url, "t", key=["b", "a"], continue_on_error=True), rows)
    assert len(errors) == 2


@dataclass
class Basket:
    id: int
    items: list[int]


@dataclass
class Vague:
    id: int
    items: "list[Unknown]"  # type: ignore[name-defined] # noqa: F821, UP037 # pyright: ignore


def test_a_field_that_cannot_be_stored_is_refused_at_construction(database: Database) -> None:
    with pytest.raises(TypeError, match="field 'items' has the type list, which SQLite cannot hold unchanged"):
        TableSink(database.url, "t", record_type=Basket)
    error = refusal_of(TableSink(database.url, "t"), [Basket(1, [])]).error
    assert isinstance(error, ConnectError)
    assert "field 'items' has the type list" in str(error)


@dataclass
class Literally:
    text: LiteralString


@dataclass
class Never:
    thing: NoReturn


def test_annotations_that_are_no_classes(database: Database) -> None:
    load(TableSink(database.url, "t", record_type=Literally), [Literally("x")])
    assert database.columns("t") == [("text", "TEXT", 1, 0)]
    with pytest.raises(TypeError, match="field 'thing' has an annotation that is no type"):
        TableSink(database.url, "t", record_type=Never)


def test_an_annotation_that_cannot_be_resolved_takes_anything(database: Database) -> None:
    load(TableSink(database.url, "t", record_type=Vague), [Vague(1, "x")])  # type: ignore[arg-type]
    assert database.columns("t") == [("id", "", 0, 0), ("items", "", 0, 0)]


def test_a_table_that_cannot_be_made_is_an_error(database: Database) -> None:
    for table, rows in {
        "sqlite_x": [{"a": 1}],
        "t": [{"a": 1, "A": 2}],
        "u": [{f"c{n}": n for n in range(3000)}],
    }.items():
        error = refusal_of(TableSink(database.url, table), rows).error
        assert isinstance(error, ConnectError)
        assert str(error).startswith(database.url)
    assert database.rows("SELECT name FROM sqlite_master") == []


# Names


hostile = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20) | st.sampled_from(
    [
        '"',
        '""',
        "'; DROP TABLE t; --",
        'a"b',
        "`",
        "[x]",
        "select",
        "ü\u2028",
        " ",
        "\n",
        "t; --",
        "main.t",
        "$1",
        "?",
        ":a",
    ]
)


@settings(deadline=None)  # files and databases take what time they take
@given(table=hostile.filter(lambda name: not name.lower().startswith("sqlite_")), column=hostile)
def test_any_name_is_that_name_and_nothing_else_happens(
    tmp_path_factory: pytest.TempPathFactory, table: str, column: str
) -> None:
    database = Database(tmp_path_factory.mktemp("names") / "shop.db")
    database.run("CREATE TABLE _before (a)", "INSERT INTO _before VALUES (1)")
    if table.lower() == "_before":
        return
    load(TableSink(database.url, table, key=column), [{column: 1}])
    load(TableSink(database.url, table, key=column, mode="upsert"), [{column: 1}, {column: 2}])
    load(TableSink(database.url, table, mode="replace"), [{column: 2}, {column: 3}])
    found = database.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid")
    assert found == [("_before",), (table,)]
    assert [name for name, *_ in database.columns(table)] == [column]
    quoted = table.replace('"', '""')
    assert database.rows(f'SELECT * FROM "{quoted}"') == [(2,), (3,)]
    assert database.rows("SELECT * FROM _before") == [(1,)]


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", 5, None])
def test_what_can_be_no_name_is_refused(database: Database, name: Any) -> None:
    with pytest.raises(ValueError, match="the name of a table"):
        TableSink(database.url, name)
    if name is not None:
        with pytest.raises(ValueError, match="the name of a key column"):
            TableSink(database.url, "t", key=[name])


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800"])
def test_a_field_that_can_be_no_column_is_refused(database: Database, name: str) -> None:
    record_type: Any = TypedDict("record_type", {name: int})  # type: ignore[misc]  # pyright: ignore
    for url in (database.url, "postgresql://x/y"):
        with pytest.raises(ValueError, match="the name of a column"):
            TableSink(url, "t", record_type=record_type)


def test_a_column_is_made_of_values_that_refuse_to_be_looked_at(database: Database) -> None:
    records = [{"id": 1, "text": RefusingClass()}, {"id": 2, "text": "two"}]
    _, errors = load_with_errors(TableSink(database.url, "t", continue_on_error=True), records)
    assert [index for index, _, _ in errors] == [0]
    assert database.columns("t") == [("id", "INTEGER", 0, 0), ("text", "TEXT", 0, 0)]


def test_a_column_that_can_have_no_name_is_rejected(database: Database) -> None:
    for name in ("", "a\0b", "\ud800"):
        assert isinstance(refusal_of(TableSink(database.url, "t"), [{name: 1}]).error, ValidationError)


# Modes


def test_insert_adds_and_refuses_a_key_that_is_there(database: Database) -> None:
    load(TableSink(database.url, "t", key="id"), [{"id": 1, "a": "x"}])
    load(TableSink(database.url, "t", key="id"), [{"id": 2, "a": "y"}])
    rows = [{"id": number, "a": "new"} for number in range(6)]
    error = refusal_of(TableSink(database.url, "t"), rows).error
    assert "table 't' does not take the record: UNIQUE constraint failed: t.id" in str(error)
    assert database.rows("SELECT * FROM t") == [(1, "x"), (2, "y")]
    report, errors = load_with_errors(TableSink(database.url, "t", continue_on_error=True), rows)
    assert [(index, record) for index, record, _ in errors] == [(1, rows[1]), (2, rows[2])]
    assert report.records_loaded == 4
    assert database.rows("SELECT * FROM t ORDER BY id") == [
        (0, "new"),
        (1, "x"),
        (2, "y"),
        (3, "new"),
        (4, "new"),
        (5, "new"),
    ]


def test_upsert_updates_by_key_and_the_last_wins(database: Database) -> None:
    load(TableSink(database.url, "t", key="id"), [{"id": 1, "a": "x"}, {"id": 2, "a": "y"}])
    load(
        TableSink(database.url, "t", key="id", mode="upsert"),
        [{"a": "1", "id": 2}, {"a": "2", "id": 3}, {"a": "3", "id": 3}],
    )
    assert database.rows("SELECT * FROM t") == [(1, "x"), (2, "1"), (3, "3")]


def test_upsert_leaves_columns_alone_that_the_records_lack(database: Database) -> None:
    database.run("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b DEFAULT 'none')", "INSERT INTO t VALUES (1, 'x', 'y')")
    load(TableSink(database.url, "t", key="id", mode="upsert"), [{"id": 1, "a": 5}, {"id": 2, "a": 6}])
    assert database.rows("SELECT * FROM t") == [(1, 5, "y"), (2, 6, "none")]


def test_upsert_of_records_that_are_all_key(database: Database) -> None:
    for _ in range(2):
        load(TableSink(database.url, "t", key=("a", "b"), mode="upsert"), [{"a": 1, "b": 2}])
    assert database.rows("SELECT * FROM t") == [(1, 2)]


def test_upsert_needs_a_key_that_the_table_has(database: Database) -> None:
    with pytest.raises(ValueError, match="mode 'upsert' goes by a key"):
        TableSink(database.url, "t", mode="upsert")
    database.run("CREATE TABLE t (id INTEGER, a)")
    error = refusal_of(TableSink(database.url, "t", key="id", mode="upsert"), [{"id": 1, "a": 1}]).error
    assert isinstance(error, ConnectError)
    assert "ON CONFLICT clause does not match any PRIMARY KEY or UNIQUE constraint" in str(error)


def test_upsert_still_rejects_what_another_constraint_refuses(database: Database) -> None:
    database.run("CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE)", "INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    sink = TableSink(database.url, "t", key="id", mode="upsert", continue_on_error=True)
    _, errors = load_with_errors(sink, [{"id": 1, "a": "y"}, {"id": 2, "a": "z"}, {"id": 1, "a": "y"}])
    assert [index for index, _, _ in errors] == [0]
    assert database.rows("SELECT * FROM t") == [(1, "y"), (2, "z")]


def test_replace_replaces_the_content_or_leaves_it(database: Database) -> None:
    load(TableSink(database.url, "t", key="id", mode="replace"), [{"id": 1, "a": "x"}, {"id": 2, "a": "y"}])
    assert refusal_of(TableSink(database.url, "t", mode="replace"), [{"id": 3, "a": "z"}, {"id": 3, "a": "z"}]).error
    assert database.rows("SELECT * FROM t") == [(1, "x"), (2, "y")]
    load(TableSink(database.url, "t", mode="replace"), [{"id": 2, "a": "z"}])
    assert database.rows("SELECT * FROM t") == [(2, "z")]
    load(TableSink(database.url, "t", mode="replace"), [])
    assert database.rows("SELECT * FROM t") == []


def test_replace_keeps_what_other_tables_refer_to(database: Database) -> None:
    database.run(
        "CREATE TABLE t (id INTEGER PRIMARY KEY)",
        "CREATE TABLE child (t INTEGER REFERENCES t)",
        "INSERT INTO t VALUES (1), (2)",
        "INSERT INTO child VALUES (1)",
    )
    load(TableSink(database.url, "t", mode="replace"), [{"id": 1}, {"id": 5}])
    assert database.rows("SELECT * FROM t") == [(1,), (5,)]
    error = refusal_of(TableSink(database.url, "t", mode="replace"), [{"id": 5}]).error
    assert isinstance(error, ConnectError)
    assert "FOREIGN KEY constraint failed" in str(error)
    assert database.rows("SELECT * FROM t") == [(1,), (5,)]


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "SET DEFAULT"])
def test_replace_is_refused_where_it_would_change_other_tables(database: Database, action: str) -> None:
    database.run(
        "CREATE TABLE t (id INTEGER PRIMARY KEY)",
        f"CREATE TABLE child (t INTEGER REFERENCES T ON DELETE {action})",
        "INSERT INTO t VALUES (1)",
        "INSERT INTO child VALUES (1)",
    )
    error = refusal_of(TableSink(database.url, "t", mode="replace"), [{"id": 1}]).error
    assert f"would change 'child', which refers to it with ON DELETE {action}" in str(error)
    assert database.rows("SELECT * FROM child") == [(1,)]


@pytest.mark.parametrize("mode", ["append", "", None])
def test_an_unknown_mode_is_refused(database: Database, mode: Any) -> None:
    with pytest.raises(ValueError, match="mode must be 'insert', 'upsert' or 'replace'"):
        TableSink(database.url, "t", mode=mode)


def test_a_key_that_is_none_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="is no field of Item"):
        TableSink(database.url, "t", key="absent", record_type=Item)
    with pytest.raises(ValueError, match="names a column twice"):
        TableSink(database.url, "t", key=["id", "id"])
    with pytest.raises(TypeError, match="record_type of TableSink"):
        TableSink(database.url, "t", record_type=int)
    assert "needs column 'id', which the records lack" in str(
        refusal_of(TableSink(database.url, "t", key="id"), [{"a": 1}]).error
    )


def test_a_database_in_memory_is_refused() -> None:
    for url in ("sqlite://", "sqlite:///:memory:"):
        with pytest.raises(ConnectError, match="gone when the load ends"):
            TableSink(url, "t")


# A table that is there


def test_an_unknown_key_names_it_and_the_columns(database: Database) -> None:
    database.run("CREATE TABLE t (id INTEGER, a TEXT)")
    rows = [{"id": 1, "b": "x"}, {"id": 2, "a": "y"}, {"id": 3}, {"id": 4, "a": "z", "c": 1}]
    error = refusal_of(TableSink(database.url, "t"), rows).error
    assert str(error) == "table 't' has no column 'b', which the records have; its columns are 'id', 'a'"
    _, errors = load_with_errors(TableSink(database.url, "t", continue_on_error=True), rows)
    assert [index for index, _, _ in errors] == [0, 2, 3]
    assert "lacks 'a'" in errors[1][2]
    assert "has 'c', which table 't' has not" in errors[2][2]
    assert database.rows("SELECT * FROM t") == [(2, "y")]


def test_a_record_type_that_does_not_fit_is_refused_before_any_record(database: Database) -> None:
    database.run("CREATE TABLE t (id INTEGER)")
    error = refusal_of(TableSink(database.url, "t", record_type=ItemStruct), []).error
    assert isinstance(error, ConnectError)
    assert "table 't' has no column 'note'" in str(error)


def test_a_column_that_is_needed_is_named(database: Database) -> None:
    database.run("CREATE TABLE t (id INTEGER PRIMARY KEY, a NOT NULL, b NOT NULL DEFAULT 1, c)")
    error = refusal_of(TableSink(database.url, "t"), [{"c": 1}]).error
    assert "table 't' needs column 'a', which the records lack; its columns are 'id', 'a', 'b', 'c'" in str(error)
    load(TableSink(database.url, "t"), [{"a": 1}])
    assert database.rows("SELECT * FROM t") == [(1, 1, 1, None)]


def test_a_record_without_fields_is_rejected(database: Database) -> None:
    assert "no fields" in str(refusal_of(TableSink(database.url, "t"), [{}]).error)


def test_generated_columns_are_not_written(database: Database) -> None:
    database.run("CREATE TABLE t (a INTEGER, double INTEGER AS (2 * a), triple INTEGER AS (3 * a) STORED)")
    load(TableSink(database.url, "t"), [{"a": 2}])
    assert database.rows("SELECT * FROM t") == [(2, 4, 6)]
    assert "no column 'double'" in str(refusal_of(TableSink(database.url, "t"), [{"a": 2, "double": 5}]).error)


def test_a_view_is_no_table(database: Database) -> None:
    database.run("CREATE TABLE t (a)", "CREATE VIEW v AS SELECT a FROM t")
    error = refusal_of(TableSink(database.url, "v"), [{"a": 1}]).error
    assert isinstance(error, ConnectError)
    assert "'v' is a view" in str(error)


def test_a_table_is_found_as_sqlite_finds_it(database: Database) -> None:
    database.run("CREATE TABLE Items (a)")
    load(TableSink(database.url, "items"), [{"a": 1}])
    assert database.rows("SELECT * FROM Items") == [(1,)]


def test_a_missing_key_column_is_named(database: Database) -> None:
    database.run("CREATE TABLE t (a)")
    error = refusal_of(TableSink(database.url, "t", key="id"), [{"a": 1}]).error
    assert isinstance(error, ConnectError)
    assert "table 't' has no column 'id', which is to be its key; its columns are 'a'" in str(error)


# What the table refuses


@pytest.mark.parametrize(
    "constraint",
    [
        "CHECK (a <> 'bad')",
        "REFERENCES good (a)",
        "UNIQUE",
        "UNIQUE ON CONFLICT IGNORE",
        "UNIQUE ON CONFLICT REPLACE",
        "UNIQUE ON CONFLICT FAIL",
        "UNIQUE ON CONFLICT ROLLBACK",
    ],
)
@pytest.mark.parametrize("bad", [[0], [250], [499], [0, 1, 2, 250, 498, 499], [*range(0, 500, 3)]])
def test_rows_that_a_constraint_refuses_are_found_and_their_neighbours_stored(
    database: Database, constraint: str, bad: list[int]
) -> None:
    database.run(
        "CREATE TABLE good (a PRIMARY KEY)",
        f"CREATE TABLE t (n INTEGER, a TEXT {constraint})",
        "INSERT INTO t VALUES (-1, 'was there')" if "REFERENCES" not in constraint else "SELECT 1",
    )
    database.run(*(f"INSERT INTO good VALUES ('good{number}')" for number in range(500)))
    taken = "was there" if "UNIQUE" in constraint else "bad"
    rows = [{"n": n, "a": taken if n in bad else f"good{n}"} for n in range(500)]
    _, errors = load_with_errors(TableSink(database.url, "t", continue_on_error=True), rows)
    assert [index for index, _, _ in errors] == bad
    stored = [n for (n,) in database.rows("SELECT n FROM t WHERE n >= 0 ORDER BY n")]
    assert stored == [n for n in range(500) if n not in bad]
    if "REFERENCES" not in constraint:
        assert database.rows("SELECT a FROM t WHERE n = -1") == [("was there",)]


def test_every_row_is_tried_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    statements: list[str] = []
    connect = sqlite3.connect

    def connect_and_watch(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.set_trace_callback(statements.append)
        return connection

    load(TableSink(database.url, "t", key="id"), [{"id": 0}])
    monkeypatch.setattr(sqlite3, "connect", connect_and_watch)
    rows = [{"id": 0 if number % 10 == 0 else number} for number in range(1000)]
    load_with_errors(TableSink(database.url, "t", continue_on_error=True), rows)
    assert len([statement for statement in statements if statement.startswith("INSERT")]) == 1000
    assert len(statements) < 1020


def test_deferred_constraints_fail_the_load_at_its_end(database: Database) -> None:
    database.run(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "CREATE TABLE t (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
    )
    error = refusal_of(TableSink(database.url, "t", continue_on_error=True), [{"id": 1}]).error
    assert isinstance(error, ConnectError)
    assert "FOREIGN KEY constraint failed" in str(error)
    assert database.rows("SELECT * FROM t") == []


def test_what_a_trigger_does_with_a_row(database: Database) -> None:
    database.run(
        "CREATE TABLE log (n)",
        "CREATE TABLE t (a)",
        "CREATE TRIGGER noted AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.a); END",
        "CREATE TRIGGER ignored BEFORE INSERT ON T WHEN new.a = 1 BEGIN SELECT RAISE(IGNORE); END",
        "CREATE TRIGGER refused BEFORE INSERT ON t WHEN new.a = 2 BEGIN SELECT RAISE(ABORT, 'no twos'); END",
        "CREATE TRIGGER ended BEFORE INSERT ON t WHEN new.a = 9 BEGIN SELECT RAISE(ROLLBACK, 'no nines'); END",
    )
    rows = [{"a": number} for number in range(5)]
    _, errors = load_with_errors(TableSink(database.url, "t", continue_on_error=True), rows)
    assert [index for index, _, _ in errors] == [1, 2]
    assert "a trigger passed over the row" in errors[0][2]
    assert "no twos" in errors[1][2]
    assert database.rows("SELECT * FROM t") == database.rows("SELECT * FROM log") == [(0,), (3,), (4,)]
    result: Any = refusal_of(TableSink(database.url, "t"), rows)
    assert [entry.index for entry in result.context.errors] == [1]
    error = refusal_of(TableSink(database.url, "t", continue_on_error=True), [{"a": 5}, {"a": 9}, {"a": 6}]).error
    assert isinstance(error, ConnectError)
    assert "no nines, and a trigger ended the transaction: nothing is stored" in str(error)
    assert database.rows("SELECT count(*) FROM t") == [(3,)]


def test_a_strict_table_keeps_its_types(database: Database) -> None:
    database.run("CREATE TABLE t (n INTEGER, a BLOB) STRICT")
    rows = [{"n": 1, "a": b"x"}, {"n": 2, "a": "text"}, {"n": 3, "a": b"y"}]
    _, errors = load_with_errors(TableSink(database.url, "t", continue_on_error=True), rows)
    assert [index for index, _, _ in errors] == [1]
    assert "cannot store TEXT value in BLOB column" in errors[0][2]


def test_without_rowid_tables_are_written(database: Database) -> None:
    database.run("CREATE TABLE t (id TEXT PRIMARY KEY, a) WITHOUT ROWID")
    load(TableSink(database.url, "t", key="id", mode="upsert"), [{"id": "x", "a": 1}, {"id": "x", "a": 2}])
    assert database.rows("SELECT * FROM t") == [("x", 2)]


@pytest.mark.parametrize(
    ("url_table", "rows", "at"),
    [("t", [{"a": 1}, {"a": 1, "b": 2}, {"a": float("nan")}, {"a": 4}], [1, 2]), ("t", [{"a": [1]}, {"a": 1}], [0])],
)
def test_rejects_of_every_sort_come_in_order(
    database: Database, url_table: str, rows: list[Any], at: list[int]
) -> None:
    _, errors = load_with_errors(TableSink(database.url, url_table, continue_on_error=True), rows)
    assert [index for index, _, _ in errors] == at


def test_all_sorts_of_rejects_at_once(database: Database) -> None:
    database.run("CREATE TABLE t (a INTEGER UNIQUE, b TEXT)")
    rows: list[Any] = []
    bad = {
        3: 5,
        7: {"a": 7},
        11: {"a": 11, "b": 1},
        13: {"a": 2**63, "b": ""},
        17: {"a": 1, "b": ""},
        19: {"a": 19, "b": "\ud800"},
    }
    for number in range(1200):
        rows.append(bad.get(number % 600, {"a": number, "b": "x"}) if number % 600 in bad else {"a": number, "b": "x"})
    _, errors = load_with_errors(TableSink(database.url, "t", continue_on_error=True), rows)
    assert [index for index, _, _ in errors] == [*bad, *(600 + number for number in bad)]
    assert [record for _, record, _ in errors] == [*bad.values(), *bad.values()]
    assert database.rows("SELECT count(*) FROM t") == [(1200 - 12,)]


# In pipelines


def test_its_report_and_name(database: Database) -> None:
    sink = TableSink(database.url, "items", name="load items")
    assert load(sink, [{"a": 1}]).target == sink.target == f"{database.url}, table items"
    assert sink.name == "load items"


def test_the_record_type_is_known_when_stages_join(database: Database) -> None:
    def to_text(number: int) -> str:
        return str(number)

    with pytest.raises(StageTypeError, match=r"Iterable\[.*Item\]"):
        MapStage(to_text) >> TableSink(database.url, "t", record_type=Item)
    assert TableSink(database.url, "t", record_type=Item).output_hint(Any) is LoadReport


@pytest.mark.anyio
async def test_a_failed_rollback_does_not_hide_the_cause(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = TableSink(database.url, "t")
    begin = sink.begin

    async def begin_badly(context: PipelineContext) -> Any:
        transaction = await begin(context)
        abort = transaction.abort

        async def abort_badly() -> None:
            await abort()
            raise OSError("disk gone")

        monkeypatch.setattr(transaction, "abort", abort_badly)
        return transaction

    monkeypatch.setattr(sink, "begin", begin_badly)
    with pytest.raises(ValidationError, match="does not take") as caught:
        await sink.process([{"a": float("nan")}], PipelineContext())
    assert caught.value.__notes__ == ["and to undo the load failed: OSError: disk gone"]
