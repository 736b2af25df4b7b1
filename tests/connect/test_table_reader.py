"""What looks at a table can't change it, and sees the keys that a load would run into."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.connect.sql_databases import Database, Postgres, Sqlite

from mainstem.connect.postgres_table import PostgresTable
from mainstem.connect.sqlite_table import SqliteTable
from mainstem.connect.table_plan import TablePlan
from mainstem.connect.table_reader import TableReader

pytestmark = [pytest.mark.extras, pytest.mark.timeout(60)]


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    made: Database = {"sqlite": Sqlite, "postgres": Postgres}[request.param](tmp_path)
    yield made
    made.remove()


def reader_of(database: Database, table: str = "people") -> TableReader[Any]:
    plan = TablePlan(table, (), "insert", None, False)
    target: Any = (PostgresTable if isinstance(database, Postgres) else SqliteTable)(database.url, plan)
    reader: TableReader[Any] = target._open_reader()
    return reader


@pytest.mark.parametrize(
    "statement", ["INSERT INTO people VALUES (2)", "DELETE FROM people", "CREATE TABLE more (id INTEGER)"]
)
def test_it_cannot_write(database: Database, statement: str) -> None:
    database.execute("CREATE TABLE people (id INTEGER)", "INSERT INTO people VALUES (1)")
    reader = reader_of(database)
    with pytest.raises(Exception, match=r"readonly|read-only"):
        reader.connection.execute(statement)
    reader.close()
    assert database.execute("SELECT * FROM people") == [(1,)]


def test_unique_keys_are_those_that_any_two_rows_may_share(database: Database) -> None:
    database.execute(
        'CREATE TABLE "my ""people" (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, c INTEGER UNIQUE, d INTEGER)',
        'CREATE UNIQUE INDEX ab ON "my ""people" (b, a)',
        'CREATE UNIQUE INDEX part ON "my ""people" (d) WHERE d > 0',
        'CREATE UNIQUE INDEX computed ON "my ""people" (abs(d))',
        'CREATE INDEX plain ON "my ""people" (d)',
    )
    reader = reader_of(database, 'my "people')
    keys = reader.unique_keys()
    reader.close()
    assert keys[0] == ("id",)
    assert sorted(keys[1:]) == [("b", "a"), ("c",)]


def test_what_is_not_tried_is_named(database: Database) -> None:
    database.execute(
        "CREATE TABLE cities (id INTEGER PRIMARY KEY)",
        "CREATE TABLE people (id INTEGER, city INTEGER REFERENCES cities (id), CHECK (id > 0))",
    )
    if isinstance(database, Postgres):
        database.execute(
            "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "CREATE TRIGGER t BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION nothing()",
        )
        expected = ["1 CHECK constraints", "1 foreign keys", "1 triggers"]
    else:
        database.execute("CREATE TRIGGER t AFTER INSERT ON people BEGIN SELECT 1; END")
        expected = ["CHECK constraints", "1 foreign keys", "1 triggers"]
    reader = reader_of(database)
    assert reader.not_tried() == expected
    reader.close()
