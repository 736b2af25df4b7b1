"""What a preview says is what a load then does: to the table, and to each record that it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.connect.sql_databases import Database, Postgres, Sqlite

from mainstem import Pipeline
from mainstem.connect import TableSink
from mainstem.plan import Preview, preview

pytestmark = [pytest.mark.extras, pytest.mark.timeout(180)]

KEYS = st.integers(1, 4)
ROWS = st.fixed_dictionaries(
    {"id": KEYS | st.none() | st.just("x"), "name": st.sampled_from(["Ada", "Bob", None, 3])},
    optional={
        "age": st.integers(0, 3) | st.none() | st.just(float("nan")),
        "city": st.sampled_from(["Rome", None]),
    },
)
THERE = st.dictionaries(KEYS, st.tuples(st.sampled_from(["Ada", "Bob"]), st.integers(0, 3) | st.none()), max_size=4)
MADE = {
    "sqlite": "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INTEGER UNIQUE)",
    "postgres": "CREATE TABLE people (id bigint PRIMARY KEY, name text NOT NULL, age bigint UNIQUE)",
}


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    made: Database = {"sqlite": Sqlite, "postgres": Postgres}[request.param](tmp_path)
    yield made
    made.remove()


def fill(database: Database, there: dict[int, tuple[str, int | None]] | None) -> None:
    """Make the table anew, with these rows; none if ``there`` is ``None``."""
    database.execute("DROP TABLE IF EXISTS people")
    if there is None:
        return
    database.execute(MADE["postgres" if isinstance(database, Postgres) else "sqlite"])
    ages: set[int | None] = set()
    for key, (name, age) in there.items():
        free = None if age in ages else age
        ages.add(age)
        database.execute(f"INSERT INTO people VALUES ({key}, '{name}', {'NULL' if free is None else free})")


def content(database: Database) -> list[tuple[Any, ...]] | None:
    try:
        rows = database.execute("SELECT * FROM people")
    except Exception:
        return None
    return sorted(rows, key=repr)


def columns(database: Database) -> list[str]:
    if isinstance(database, Postgres):
        return [
            name
            for (name,) in database.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = 'people' ORDER BY column_name"
            )
        ]
    return sorted(name for (name,) in database.execute("SELECT name FROM pragma_table_info('people')"))


def previewed(pipeline: Pipeline[Any, Any, Any], records: list[Any]) -> Preview:
    async def run() -> Preview:
        return await preview(pipeline, records)

    return anyio.run(run)


@given(
    records=st.lists(ROWS, min_size=1, max_size=8),
    there=THERE | st.none(),
    mode=st.sampled_from(["insert", "upsert", "replace"]),
    on_new_column=st.sampled_from(["reject", "add", "fail"]),
    go_on=st.booleans(),
)
@example(  # the value that is another row's keeps the row from being updated
    records=[{"id": 1, "name": "Ada", "age": 2}, {"id": 3, "name": "Ada", "age": 2}],
    there={1: ("Ada", 1), 2: ("Bob", 2)},
    mode="upsert",
    on_new_column="reject",
    go_on=True,
)
@example(  # of two that are refused, the first is the one that ends the run, whoever refuses it
    records=[{"id": 1, "name": "Ada"}, {"id": None, "name": "Ada"}],
    there={1: ("Bob", None)},
    mode="insert",
    on_new_column="reject",
    go_on=False,
)
@example(
    records=[{"id": 1, "name": None}, {"id": None, "name": "Ada"}],
    there={},
    mode="insert",
    on_new_column="reject",
    go_on=False,
)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    database=None,
)
@pytest.mark.slow
def test_what_a_preview_says_is_what_a_load_does(
    database: Database,
    records: list[dict[str, Any]],
    there: dict[int, tuple[str, int | None]] | None,
    mode: Any,
    on_new_column: Any,
    go_on: bool,
) -> None:
    fill(database, there)
    before = content(database)
    sink = TableSink(database.url, "people", key="id", mode=mode, on_new_column=on_new_column, continue_on_error=go_on)
    pipeline: Any = Pipeline("people").add_stage(sink)
    found = previewed(pipeline, records)
    assert content(database) == before, "a preview writes nothing"
    result = pipeline.run(records)
    assert found.result.success == result.success, (found.result.error, result.error)
    assert [each.index for each in found.context.errors] == [each.index for each in result.context.errors]
    if not result.success:
        assert type(found.result.error) is type(result.error)
        return
    changes = found.sinks[0].changes
    assert changes is not None
    after = content(database)
    assert after is not None
    kept = 0 if mode == "replace" else len(before or ())
    assert changes.deletes == (len(before or ()) if mode == "replace" else 0)
    assert len(after) == kept + changes.inserts
    assert changes.inserts + changes.updates + changes.unchanged == result.unwrap().records_loaded
    if mode == "upsert" and not changes.updates:
        assert {row[0] for row in after} >= {row[0] for row in before or ()}
        width = len(before[0]) if before else 0
        assert {row[:width] for row in after} >= set(before or ())
    added = [each for each in changes.statements if each.startswith("ALTER TABLE")]
    if there is not None:
        assert len(columns(database)) == 3 + len(added)
