"""``TableSink`` on PostgreSQL: no value is changed, and one bad record costs its neighbours nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import anyio
import psycopg
import pytest
from tests.connect.poison import POSITIONS, RECORDS, good

from mainstem import Pipeline
from mainstem.connect import TableSink
from mainstem.connect.postgres_load import PostgresLoad
from mainstem.connect.postgres_table import PostgresTable
from mainstem.connect.table_plan import TablePlan
from mainstem.errors import ConnectError, ConnectionLostError

pytestmark = pytest.mark.extras


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Everything:
    id: int
    text: str
    flag: bool
    ratio: float
    amount: Decimal
    content: bytes
    moment: datetime
    day: date
    at: time
    span: timedelta
    token: UUID
    colour: Colour
    extra: dict[str, Any]
    maybe: str | None


EVERYTHING = Everything(
    1,
    "é\n\t\\N",
    True,
    math.pi,
    Decimal("12345678901234567890.0123456789"),
    b"\0\xff",
    datetime(2026, 1, 2, 3, 4, 5, 6, timezone(timedelta(hours=2))),
    date(2026, 1, 2),
    time(1, 2, 3, 4),
    timedelta(days=3, microseconds=5),
    UUID(int=7),
    Colour.RED,
    {"a": [1, None, "x"]},
    None,
)


def load(sink: TableSink[Any], records: list[Any]) -> Any:
    return Pipeline[list[Any], Any]("load").add_stage(sink).run(records)


@pytest.fixture
def connection(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_url, autocommit=True) as opened:
        yield opened


def rows(connection: psycopg.Connection[Any], query: str = "SELECT * FROM t ORDER BY 1") -> list[Any]:
    return connection.execute(query).fetchall()  # type: ignore[call-overload, no-any-return]


def test_values_of_every_type_come_back_as_they_went_in(postgres_url: str, connection: psycopg.Connection[Any]) -> None:
    assert (
        load(TableSink(postgres_url, "t", key="id", record_type=Everything), [EVERYTHING]).unwrap().records_loaded == 1
    )
    expected = [Colour.RED.value if each is Colour.RED else each for each in vars(EVERYTHING).values()]
    ((*found,),) = rows(connection)
    assert found == expected


def test_a_table_is_made_from_the_first_records(postgres_url: str, connection: psycopg.Connection[Any]) -> None:
    load(TableSink(postgres_url, "t"), [{"n": 1, "x": None}, {"n": 2, "x": 1.5}]).unwrap()
    types = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 't' ORDER BY 1"
    assert rows(connection, types) == [("n", "bigint"), ("x", "double precision")]


def test_upsert_adds_and_updates_and_the_last_of_a_key_counts(
    postgres_url: str, connection: psycopg.Connection[Any]
) -> None:
    sink = TableSink[Any](postgres_url, "t", key="id", mode="upsert")
    load(sink, [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}]).unwrap()
    load(sink, [{"id": 2, "v": "c"}, {"id": 3, "v": "d"}, {"id": 2, "v": "e"}]).unwrap()
    assert rows(connection) == [(1, "a"), (2, "e"), (3, "d")]


def test_replace_empties_the_table_and_a_failed_load_leaves_it(
    postgres_url: str, connection: psycopg.Connection[Any]
) -> None:
    sink = TableSink[Any](postgres_url, "t", key="id", mode="replace")
    load(sink, [{"id": 1}, {"id": 2}]).unwrap()
    load(sink, [{"id": 3}]).unwrap()
    assert rows(connection) == [(3,)]
    assert not load(sink, [{"id": 4}, {"id": 4}]).success
    assert rows(connection) == [(3,)]


def test_replace_does_not_change_other_tables(postgres_url: str, connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TABLE t (id int PRIMARY KEY)")
    connection.execute("CREATE TABLE child (t int REFERENCES t ON DELETE CASCADE)")
    result = load(TableSink(postgres_url, "t", mode="replace"), [{"id": 1}])
    assert "ON DELETE CASCADE" in str(result.error)


COLUMNS = """
    CREATE TABLE t (
        id int PRIMARY KEY, small smallint, n numeric(6, 2), name varchar(5), f real, d double precision, b boolean,
        at timestamptz, local timestamp, j jsonb, code char(3), mood text CHECK (mood <> 'bad'), ref int REFERENCES r,
        must text NOT NULL DEFAULT 'x'
    )
"""


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("id", 2**31, "32 bits"),
        ("id", "1", "holds integers"),
        ("id", True, "holds integers"),
        ("id", None, "NOT NULL"),
        ("small", 40000, "16 bits"),
        ("n", math.nan, "no number"),
        ("n", Decimal("NaN"), "no number"),
        ("n", Decimal("1.234"), "after the point"),
        ("n", 12345, "before the point"),
        ("name", "toolong", "5"),
        ("name", "a\0b", "NUL"),
        ("name", "\ud800", "surrogate"),
        ("name", 5, "holds texts"),
        ("f", 0.1, "32 bits"),
        ("d", 2**60 + 1, "another number"),
        ("b", 1, "bool"),
        ("at", datetime(2026, 1, 1), "no time zone"),
        ("local", datetime(2026, 1, 1, tzinfo=timezone.utc), "time zone"),
        ("j", {"x": "a\0"}, "NUL"),
        ("j", {"x": math.nan}, "JSON"),
        ("j", {1: 2}, "another value"),
        ("mood", "bad", "check constraint"),
        ("ref", 99, "foreign key"),
        ("must", None, "NOT NULL"),
    ],
)
@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_record_that_the_table_does_not_take_is_rejected_alone(
    postgres_url: str, connection: psycopg.Connection[Any], field: str, value: Any, reason: str, at: int
) -> None:
    connection.execute("CREATE TABLE r (id int PRIMARY KEY)")
    connection.execute(COLUMNS)
    records: list[Any] = [
        {"id": number, field: None} if field not in ("id", "must") else {"id": number} for number in range(5)
    ]
    if field == "must":
        records = [{"id": number, "must": "y"} for number in range(5)]
    records[at] = {**records[at], field: value}
    result = load(TableSink(postgres_url, "t", continue_on_error=True), records)
    assert [each.index for each in result.context.errors] == [at]
    assert reason in str(result.context.errors[0].error)
    assert rows(connection, "SELECT id FROM t ORDER BY 1") == [(number,) for number in range(5) if number != at]
    failed = load(TableSink(postgres_url, "t", mode="replace"), records)
    assert reason in str(failed.error)
    assert len(rows(connection)) == 4


@pytest.mark.parametrize("guilty", [1, 7, 200])
def test_guilty_records_are_found_by_halves(
    postgres_url: str, connection: psycopg.Connection[Any], guilty: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.execute("CREATE TABLE t (id int CHECK (id >= 0))")
    tried = 0
    attempt = PostgresLoad._try

    def count(self: PostgresLoad, some: Any) -> Any:
        nonlocal tried
        tried += 1
        return attempt(self, some)

    monkeypatch.setattr(PostgresLoad, "_try", count)
    bad = {number * 5 for number in range(guilty)}
    records = [{"id": -1 if number in bad else number} for number in range(1000)]
    result = load(TableSink(postgres_url, "t", continue_on_error=True), records)
    assert {each.index for each in result.context.errors} == bad
    assert len(rows(connection)) == 1000 - guilty
    assert tried <= 2 * guilty * (math.log2(1000) + 2)
    tried = 0
    assert not load(TableSink(postgres_url, "t"), records).success
    assert tried <= 2 * (math.log2(1000) + 2)


def test_a_key_that_comes_twice_rejects_the_second(postgres_url: str, connection: psycopg.Connection[Any]) -> None:
    records = [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}, {"id": 1, "v": "c"}]
    result = load(TableSink(postgres_url, "t", key="id", continue_on_error=True), records)
    assert [each.index for each in result.context.errors] == [2]
    assert "already exists" in str(result.context.errors[0].error)
    assert rows(connection) == [(1, "a"), (2, "b")]


def test_a_deferred_constraint_is_checked_in_time(postgres_url: str, connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TABLE t (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    result = load(TableSink(postgres_url, "t", continue_on_error=True), [{"id": 1}, {"id": 1}, {"id": 2}])
    assert [each.index for each in result.context.errors] == [1]
    assert rows(connection) == [(1,), (2,)]


def test_types_that_only_the_database_knows_go_as_text(postgres_url: str, connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TYPE mood AS ENUM ('happy', 'sad')")
    connection.execute("CREATE TABLE t (id int, ip inet, mood mood, tags text[])")
    records = [
        {"id": 1, "ip": "10.0.0.1", "mood": "happy", "tags": ["a", "b,c"]},
        {"id": 2, "ip": "nonsense", "mood": "sad", "tags": []},
        {"id": 3, "ip": None, "mood": "angry", "tags": None},
    ]
    result = load(TableSink(postgres_url, "t", continue_on_error=True), records)
    assert [each.index for each in result.context.errors] == [1, 2]
    assert rows(connection, "SELECT id, ip::text, mood::text, tags FROM t") == [
        (1, "10.0.0.1/32", "happy", ["a", "b,c"])
    ]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("ip", object(), "cannot adapt type 'object'"),
        ("ip", {"a": 1}, "cannot adapt type 'dict'"),
        ("ip", [1, "a"], "mixed types"),
        ("ips", [object()], "cannot adapt type 'object'"),
    ],
)
def test_a_value_that_cannot_be_sent_is_rejected_alone(
    postgres_url: str, connection: psycopg.Connection[Any], column: str, value: Any, reason: str
) -> None:
    connection.execute("CREATE TABLE t (id int, ip inet, ips inet[])")
    records = [{"id": number, column: value if number == 1 else None} for number in range(3)]
    result = load(TableSink(postgres_url, "t", continue_on_error=True), records)
    assert result.success, result.error
    assert [each.index for each in result.context.errors] == [1]
    assert reason in str(result.context.errors[0].error)
    assert rows(connection, "SELECT id FROM t ORDER BY 1") == [(0,), (2,)]


def test_what_is_refused_together_and_not_alone_is_loaded(
    postgres_url: str, connection: psycopg.Connection[Any]
) -> None:
    connection.execute("CREATE TABLE t (id int)")
    connection.execute(
        "CREATE FUNCTION few() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF (SELECT count(*) FROM added) > 3 THEN RAISE 'too many at once'; END IF; RETURN NULL; END $$"
    )
    connection.execute(
        "CREATE TRIGGER few AFTER INSERT ON t REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION few()"
    )
    result = load(TableSink(postgres_url, "t"), [{"id": number} for number in range(10)])
    assert result.success, result.error
    assert rows(connection) == [(number,) for number in range(10)]


def test_a_statement_that_is_always_refused_is_no_reason_to_go_round(
    postgres_url: str, connection: psycopg.Connection[Any]
) -> None:
    connection.execute("CREATE TABLE t (id int)")
    connection.execute(
        "CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'closed today'; END $$"
    )
    connection.execute("CREATE TRIGGER never BEFORE INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION never()")
    for records, reason in (([{"id": 1}] * 3, "closed today"), ([{"id": "x"}], "the column holds integers")):
        result = load(TableSink(postgres_url, "t", continue_on_error=True), records)
        assert result.success, result.error
        assert [reason in str(each.error) for each in result.context.errors] == [True] * len(records)


def test_the_first_of_several_guilty_records_fails_the_load(
    postgres_url: str, connection: psycopg.Connection[Any]
) -> None:
    connection.execute("CREATE TABLE t (id int CHECK (id >= 0))")
    records: list[Any] = [{"id": number} for number in range(2000)]
    records[700], records[701], records[1500] = {"id": -1}, {"id": -2}, {"id": "no number"}
    result = load(TableSink(postgres_url, "t"), records)
    assert [each.index for each in result.context.errors] == [700]
    assert "check constraint" in str(result.error)
    assert rows(connection) == []


def test_each_record_is_loaded_once_or_rejected_once_wherever_it_is_refused(
    postgres_url: str, connection: psycopg.Connection[Any]
) -> None:
    connection.execute("CREATE TABLE t (id int CHECK (id >= 0))")
    bad: dict[int, Any] = {
        3: {"id": "no number"},
        499: {"id": -1},
        500: {"other": 1},
        1200: {"id": -1},
        1999: {"id": 2**40},
    }
    records = [bad.get(number, {"id": number}) for number in range(2000)]
    result = load(TableSink(postgres_url, "t", continue_on_error=True), records)
    assert [each.index for each in result.context.errors] == sorted(bad)
    assert rows(connection) == [(number,) for number in range(2000) if number not in bad]


@pytest.mark.parametrize("position", POSITIONS)
def test_poison_is_rejected_alone_or_stored_and_its_neighbours_are_loaded(
    postgres_url: str, connection: psycopg.Connection[Any], position: str
) -> None:
    for number, poison in enumerate(RECORDS):
        table = f"t{number}"
        connection.execute(f"CREATE TABLE {table} (id int8, text text)")
        where = [at + 1 for at in POSITIONS[position]]  # after the first record, by which the columns are settled
        total = 9
        records = [poison.make(at) if at in where else good(at) for at in range(total)]
        result = load(TableSink(postgres_url, table, continue_on_error=True), records)
        assert result.success, (poison.name, result.error)
        rejected = {each.index for each in result.context.errors}
        assert rejected <= set(where), poison.name
        loaded = rows(connection, f"SELECT id, text FROM {table} WHERE text LIKE 'text %' ORDER BY 1")
        assert {(at, f"text {at}") for at in range(total) if at not in where} <= set(loaded), poison.name
        assert rows(connection, f"SELECT count(*) FROM {table}") == [(total - len(rejected),)], poison.name


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (lambda url: url.replace("postgres@", "nobody@"), ConnectError, "nobody"),
        (lambda url: f"{url}x", ConnectError, "there is no such database"),
        (lambda url: "postgresql://postgres@127.0.0.1:1/x", ConnectionLostError, "127.0.0.1"),
    ],
)
def test_a_database_that_is_not_there_is_an_error_at_once(
    postgres_url: str, change: Any, kind: type[Exception], words: str
) -> None:
    error = load(TableSink(change(postgres_url), "t"), [{"id": 1}]).error
    assert isinstance(error, kind)
    assert words in str(error)


@pytest.mark.parametrize(("default", "wanted"), [("off", "on"), ("remote_apply", "remote_apply")])
def test_what_is_committed_is_on_the_disk_whatever_the_default_is(
    postgres_url: str, connection: psycopg.Connection[Any], default: str, wanted: str
) -> None:
    name = postgres_url.rpartition("/")[2]
    connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = {default}")  # type: ignore[call-overload]
    table = PostgresTable(postgres_url, TablePlan("t", (), "insert", None, continue_on_error=False))
    begun = anyio.run(table.begin, None)
    assert begun.connection.execute("SHOW synchronous_commit").fetchall() == [(wanted,)]
    assert begun.connection.execute("SHOW lock_timeout").fetchall() == [("30s",)]
    begun.abort()


@pytest.mark.parametrize("name", ["", "a\0", "x" * 64, "é" * 32, "\ud800"])
def test_names_that_postgresql_would_change_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="the name of a table"):
        TableSink("postgresql://x/y", name)


@pytest.mark.parametrize("name", ['"; DROP TABLE r; --', "a.b", "Ä Ö", "x" * 63, "select", "%s %(a)s", "$1"])
def test_any_other_name_is_just_a_name(postgres_url: str, connection: psycopg.Connection[Any], name: str) -> None:
    connection.execute("CREATE TABLE r (id int)")
    load(TableSink(postgres_url, name), [{name: 1}]).unwrap()
    names = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
    assert {row[0] for row in rows(connection, names)} == {name, "r"}
