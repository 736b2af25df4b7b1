"""``PostgresSource`` reads rows in order, in bounded memory, and from any position on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from mainstem import Pipeline, PipelineContext
from mainstem.connect import CsvSink, PostgresSource, TableSink
from mainstem.errors import ConnectError, ConnectionLostError, ValidationError

pytestmark = pytest.mark.extras


@dataclass(frozen=True)
class Person:
    id: int
    name: str


@pytest.fixture
def people(postgres_url: str) -> str:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE people (id bigint PRIMARY KEY, name text, born timestamptz, worth numeric)")
        connection.execute(
            "INSERT INTO people SELECT n, 'person ' || n, '2000-01-01Z'::timestamptz + n * interval '1 day', n / 4.0 "
            "FROM generate_series(1, 2500) AS n"
        )
    return postgres_url


async def chunks_of(source: PostgresSource[Any], **options: Any) -> list[Any]:
    return [chunk async for chunk in source.read(PipelineContext(), **options)]


def run(source: PostgresSource[Any]) -> Any:
    return Pipeline[None, list[Any]]("read").add_stage(source).run()


def test_rows_are_dicts_of_python_values(people: str) -> None:
    rows = run(PostgresSource(people, "SELECT * FROM people ORDER BY id")).unwrap()
    assert len(rows) == 2500
    assert rows[0] == {
        "id": 1,
        "name": "person 1",
        "born": datetime(2000, 1, 2, tzinfo=timezone.utc),
        "worth": Decimal("0.25"),
    }


def test_rows_become_records_and_those_that_do_not_fit_are_rejected(people: str) -> None:
    query = "SELECT id, CASE WHEN id <> 3 THEN name END AS name FROM people WHERE id < %s ORDER BY id"
    source = PostgresSource(people, query, parameters=[6], record_type=Person, continue_on_error=True)
    result = run(source)
    assert [each.id for each in result.unwrap()] == [1, 2, 4, 5]
    assert [(each.index, each.record) for each in result.context.errors] == [(2, {"id": 3, "name": None})]
    assert "row 2" in str(result.context.errors[0].error)
    assert source.read_again({"id": "3", "name": "mended"}) == Person(3, "mended")
    with pytest.raises(ValidationError):
        source.read_again({"id": 3})


@pytest.mark.parametrize("key", [None, "id", ("born", "id")])
@pytest.mark.parametrize("parameters", [[10], {"least": 10}])
@pytest.mark.anyio
async def test_reading_goes_on_at_every_position(people: str, key: Any, parameters: Any) -> None:
    mark = "%s" if isinstance(parameters, list) else "%(least)s"
    query = f"SELECT * FROM people WHERE id >= {mark} ORDER BY born, id"
    source = PostgresSource(people, query, parameters=parameters, key=key)
    whole = await chunks_of(source, chunk_size=700)
    records = [record for chunk in whole for record in chunk.records]
    assert [len(chunk.records) for chunk in whole] == [700, 700, 700, 391]
    read = 0
    for chunk in whole:
        read += len(chunk.records)
        rest = await chunks_of(source, start=chunk.position, chunk_size=500)
        assert [record for each in rest for record in each.records] == records[read:]


@pytest.mark.parametrize("parameters", [[], [1]])
@pytest.mark.anyio
async def test_a_percent_sign_in_query_and_key_is_just_a_character(people: str, parameters: list[int]) -> None:
    query = "SELECT id AS \"%\" FROM people WHERE name LIKE 'person %'"
    if parameters:
        query = query.replace("%", "%%") + " AND id >= %s"
    source = PostgresSource(people, query, parameters=parameters, key="%")
    first, second, *_ = await chunks_of(source, chunk_size=1000)
    again, *_ = await chunks_of(source, start=first.position, chunk_size=1000)
    assert [each["%"] for each in again.records] == [each["%"] for each in second.records] == list(range(1001, 2001))


@pytest.mark.parametrize(
    ("query", "key", "problem"),
    [
        ("SELECT id, NULL::int AS k FROM people", "k", "NULL in its key"),
        ("SELECT id, id / 2 AS k FROM people", "k", "share a key"),
        ("SELECT id FROM people", "name", "column query.name does not exist"),
        ("SELECT id, id FROM people", None, "more than once"),
        ("SELECT * FROM nobody", None, "nobody"),
        ("SELECT 1 / (id - 3) FROM people ORDER BY id", None, "division by zero"),
        ("SELEKT", None, "syntax"),
        ("DELETE FROM people RETURNING *", None, "syntax error"),
    ],
)
def test_what_cannot_be_read_is_a_clear_error(people: str, query: str, key: Any, problem: str) -> None:
    result = run(PostgresSource(people, query, key=key))
    assert isinstance(result.error, ConnectError)
    assert problem in str(result.error)
    assert "postgresql://" in str(result.error)


def test_passwords_are_not_shown(postgres_url: str) -> None:
    secret = postgres_url.replace("postgres@", "postgres:hunter2@")
    result = run(PostgresSource(secret, "SELECT * FROM nobody"))
    assert "hunter2" not in str(result.error)
    assert "<secret>" in str(result.error)


def test_a_server_that_is_not_there_is_noticed_at_once() -> None:
    started = time.monotonic()
    result = run(PostgresSource("postgresql://postgres@127.0.0.1:1/x", "SELECT 1"))
    assert isinstance(result.error, ConnectionLostError)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("position", [{}, {"row": -1}, {"row": 3}, {"row": 3, "key": "[1]"}, {"row": 3, "key": "x"}])
@pytest.mark.anyio
async def test_what_is_no_position_is_refused(people: str, position: Any) -> None:
    source = PostgresSource(people, "SELECT * FROM people", key="id")
    with pytest.raises(Exception, match=r"position|cannot be read"):
        await chunks_of(source, start=position)


@pytest.mark.parametrize(
    "make",
    [
        lambda: PostgresSource("sqlite:///x", "SELECT 1"),
        lambda: PostgresSource("postgresql://x/y", "SELECT 1", key=("a", "a")),
        lambda: PostgresSource("postgresql://x/y", "SELECT 1", key="x" * 64),
        lambda: PostgresSource("postgresql://x/y", "SELECT 1", record_type=int),  # type: ignore[type-var]
    ],
)
def test_wrong_options_are_errors_when_it_is_made(make: Any) -> None:
    with pytest.raises((ConnectError, ValueError, TypeError)):
        make()


def test_a_durable_export_goes_on_after_its_last_batch(people: str, tmp_path: Path) -> None:
    broken = True

    def watch(row: dict[str, Any]) -> dict[str, Any]:
        if broken and row["id"] == 1700:
            raise RuntimeError("stopped")
        return {"id": str(row["id"])}

    def export() -> Any:
        source = PostgresSource(people, "SELECT id FROM people", key="id")
        return Pipeline[None, Any]("export").add_stage(source).map(watch).add_stage(CsvSink(tmp_path / "out.csv"))

    store = tmp_path / "store.db"
    assert not export().run(store=store, run_id="a", commit_every=500).success
    broken = False
    assert export().run(store=store, run_id="a", commit_every=500).data.records_loaded == 2500
    assert (tmp_path / "out.csv").read_text().split() == ["id", *map(str, range(1, 2501))]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_going_on_after_ten_million_rows_begins_within_two_seconds(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE big AS SELECT n AS id FROM generate_series(1, 10000010) AS n")
        connection.execute("ALTER TABLE big ADD PRIMARY KEY (id)")
    source = PostgresSource(postgres_url, "SELECT id FROM big", key="id")
    position = {"row": 10_000_000, "key": '{"~t":[10000000]}'}

    async def rest() -> Any:
        return await chunks_of(source, start=position)

    import anyio

    started = time.monotonic()
    chunks = anyio.run(rest)
    assert time.monotonic() - started < 2
    assert [record["id"] for chunk in chunks for record in chunk.records] == list(range(10_000_001, 10_000_011))


def test_rows_go_from_table_to_table_unchanged(people: str) -> None:
    source = PostgresSource(people, "SELECT * FROM people", key="id")
    copy = Pipeline[None, Any]("copy").add_stage(source).add_stage(TableSink(people, "copied", key="id"))
    assert copy.run().unwrap().records_loaded == 2500
    with psycopg.connect(people) as connection:
        same = "SELECT count(*) FROM people NATURAL JOIN copied"
        assert connection.execute(same).fetchall() == [(2500,)]
