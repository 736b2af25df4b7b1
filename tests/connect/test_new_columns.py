"""``TableSink(..., on_new_column=...)``: records with keys that the table has no columns for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.connect.reading import load, load_with_errors, refusal_of
from tests.connect.sql_databases import DATABASES, Database

from mainstem import LoadReport, Pipeline
from mainstem.connect import TableSink
from mainstem.context import PipelineContext
from mainstem.endpoints import Claim

pytestmark = [pytest.mark.extras, pytest.mark.timeout(60)]


@pytest.fixture(params=["sqlite", "postgres", "duckdb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    made: Database = DATABASES[request.param](tmp_path)
    yield made
    made.remove()


@pytest.fixture(params=DATABASES)
def any_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    made: Database = DATABASES[request.param](tmp_path)
    yield made
    made.remove()


def sink(database: Database, **options: Any) -> TableSink[Any]:
    return TableSink(database.url, "people", key="id", **options)


def people(database: Database, columns: str) -> list[tuple[Any, ...]]:
    return database.execute(f"SELECT {columns} FROM people ORDER BY id")


ROWS: list[dict[str, Any]] = [
    {"id": 1, "name": "Ada"},
    {"id": 2, "name": "Bob", "age": None},
    {"id": 3, "name": "Cid", "age": 7},
    {"id": 4, "age": 8, "name": "Dee", "city": "Rome"},
    {"id": 5, "name": "Eve"},
]


def test_a_column_is_added_and_the_load_goes_on(database: Database) -> None:
    load(sink(database), ROWS[:1])
    load(sink(database, on_new_column="add"), ROWS[1:])
    assert people(database, "id, name, age, city") == [
        (1, "Ada", None, None),
        (2, "Bob", None, None),
        (3, "Cid", 7, None),
        (4, "Dee", 8, "Rome"),
        (5, "Eve", None, None),
    ]


def test_a_table_that_is_made_takes_later_columns_too(database: Database) -> None:
    load(sink(database, on_new_column="add"), ROWS)
    assert people(database, "name, age, city")[3] == ("Dee", 8, "Rome")


def test_a_load_that_fails_adds_nothing(database: Database) -> None:
    load(sink(database), ROWS[:1])
    refusal_of(sink(database, on_new_column="add"), [*ROWS[1:], 7])
    assert people(database, "*") == [(1, "Ada")]


def test_upsert_leaves_what_a_record_lacks_and_the_last_counts(database: Database) -> None:
    load(sink(database, on_new_column="add"), ROWS)
    changed = [{"id": 3, "name": "C1", "age": 1}, {"id": 3, "name": "C2"}, {"id": 3, "name": "C3", "mail": "c@d"}]
    load(sink(database, mode="upsert", on_new_column="add"), changed)
    assert people(database, "id, name, age, mail")[2] == (3, "C3", 1, "c@d")


def test_reject_is_the_default_and_refuses_one_record(any_database: Database) -> None:
    load(sink(any_database), [{"id": 1, "name": "Ada"}])
    _, errors = load_with_errors(sink(any_database, continue_on_error=True), [ROWS[4], ROWS[3], {"id": 6, "name": "F"}])
    assert [(index, "'city'" in text) for index, _, text in errors] == [(1, True)]
    assert [row[0] for row in people(any_database, "id")] == [1, 5, 6]


def test_fail_fails_even_where_others_are_rejected(any_database: Database) -> None:
    load(sink(any_database), [{"id": 1, "name": "Ada"}])
    rows = [ROWS[4], {"id": None, "name": "x"}, ROWS[3], {"id": 6, "name": "F"}]
    failed: Any = refusal_of(sink(any_database, on_new_column="fail", continue_on_error=True), rows)
    assert "'city'" in str(failed.error)
    assert [entry.index for entry in failed.context.errors] == [1, 2]
    assert [row[0] for row in people(any_database, "id")] == [1]


def test_the_first_record_may_be_the_one_with_the_new_column(any_database: Database) -> None:
    load(sink(any_database), [{"id": 1, "name": "Ada"}])
    failed = refusal_of(sink(any_database, on_new_column="fail", continue_on_error=True), [ROWS[3]])
    assert "'city'" in str(failed.error) or "'age'" in str(failed.error)


def test_what_cannot_be_a_column_is_a_reject(database: Database) -> None:
    load(sink(database), ROWS[:1])
    rows = [{"id": 2, "name": "B", "": 1}, {"id": 3, "name": "C", "NAME": "again"}, {"id": 4, "name": "D", "s": {1}}]
    _, errors = load_with_errors(sink(database, on_new_column="add", continue_on_error=True), [*rows, ROWS[4]])
    refused = [index for index, _, _ in errors]
    assert refused == [0, 1, 2]
    assert [row[0] for row in people(database, "id")] == [1, 5]


def test_a_frame_adds_its_columns(database: Database) -> None:
    load(sink(database), ROWS[:1])
    frame = pl.DataFrame({"id": [7, 8], "name": ["G", "H"], "age": [1, None], "score": [1.5, 2.5]})
    pipeline: Any = Pipeline[Any, LoadReport]("frames").add_stage(sink(database, on_new_column="add"))
    result = pipeline.run(frame)
    assert result.success, result.error
    assert people(database, "id, name, age, score")[1:] == [(7, "G", 1, 1.5), (8, "H", None, 2.5)]


@dataclass(frozen=True)
class Person:
    id: int
    name: str
    age: int


def test_the_annotation_says_what_column_is_added(database: Database) -> None:
    load(sink(database), ROWS[:1])
    load(sink(database, on_new_column="add"), [Person(2, "Bob", 3)])
    assert people(database, "age") == [(None,), (3,)]


@pytest.mark.anyio
async def test_the_columns_of_a_run_are_known_when_it_is_resumed(database: Database) -> None:
    to = sink(database, on_new_column="add")
    claim = Claim("p/r", 1)
    await to.claim(claim)
    for sequence, rows, commits in (
        (1, ROWS[:1], True),
        (2, ROWS[3:4], False),
        (2, ROWS[2:4], True),
        (3, ROWS[4:], True),
    ):
        batch = await to.begin_batch(PipelineContext(), claim, sequence)
        await batch.write(rows)
        await (batch.commit() if commits else batch.abort())
    assert [row[0] for row in people(database, "id")] == [1, 3, 4, 5]
    ((columns,),) = database.execute("SELECT columns FROM mainstem_progress")
    assert columns == '["id", "name", "age", "city"]'


def test_mariadb_says_why_it_does_not_add(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="commit"):
        TableSink("mariadb+pymysql://root@127.0.0.1/x", "t", on_new_column="add")


def test_a_wrong_choice_is_refused() -> None:
    made: Any = TableSink
    with pytest.raises(ValueError, match="on_new_column"):
        made("sqlite:///x.db", "t", on_new_column="maybe")
