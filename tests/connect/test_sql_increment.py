"""``SqlSource(..., cursor=...)``: each run reads what is new, nothing is lost at the mark, and nothing comes twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.connect.reading import failure_of, read, read_chunks, records_of
from tests.connect.sql_databases import DATABASES, Database, Sqlite

from mainstem import ConnectError, LoadReport, Pipeline, PipelineContext
from mainstem.connect import SqlSource, TableSink, sql_increment
from mainstem.endpoints import Position

pytestmark = [pytest.mark.extras, pytest.mark.timeout(60)]


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    made: Database = DATABASES[request.param](tmp_path)
    made.execute(f"CREATE TABLE items (id BIGINT NOT NULL PRIMARY KEY, changed {made.moment}, n BIGINT)")
    yield made
    made.remove()


def put(database: Database, *rows: tuple[int, int]) -> None:
    """Put rows of an id and a minute, in which they were changed, in the table."""
    for id_, minute in rows:
        database.execute(
            f"DELETE FROM items WHERE id = {id_}",
            f"INSERT INTO items VALUES ({id_}, '2026-01-01 {minute // 60:02}:{minute % 60:02}:00', {minute})",
        )


def source(database: Database, cursor: str = "changed", **options: Any) -> SqlSource[dict[str, Any]]:
    return SqlSource(database.url, "items", cursor=cursor, key="id", **options)


class Runs:
    """Durable runs of one pipeline into a table of SQLite, each under a name of its own."""

    def __init__(self, folder: Path, of: SqlSource[dict[str, Any]]) -> None:
        self.store = f"sqlite:///{folder / 'store.db'}"
        self.target = Sqlite(folder / "target") if (folder / "target").mkdir() is None else None
        self.source = of
        self.count = 0

    def pipeline(self, fails_at: int | None = None) -> Any:
        def check(record: dict[str, Any]) -> dict[str, Any]:
            if record["id"] == fails_at:
                raise RuntimeError("the power fails")
            return {"run": self.count, "id": record["id"], "n": record["n"]}

        assert self.target is not None
        sink = TableSink[Any](self.target.url, "loaded")
        return Pipeline[None, LoadReport]("increments").add_stage(self.source).map(check).add_stage(sink)

    def run(self, *, fails_at: int | None = None, again: bool = False) -> Any:
        self.count += not again
        return self.pipeline(fails_at).run(store=self.store, run_id=f"run {self.count}", commit_every=2)

    def read_next(self) -> list[int]:
        """Run once more, and return the ids that it loaded, in order."""
        result = self.run()
        assert result.success, result.error
        assert self.target is not None
        if result.unwrap().records_loaded == 0:
            return []
        rows = self.target.execute(f"SELECT id FROM loaded WHERE run = {self.count} ORDER BY rowid")
        return [row[0] for row in rows]


@pytest.fixture
def runs(database: Database, tmp_path: Path) -> Runs:
    return Runs(tmp_path, source(database))


def test_each_run_reads_what_is_new_in_the_cursors_order(database: Database, runs: Runs) -> None:
    put(database, (1, 10), (2, 5), (3, 7))
    assert runs.read_next() == [2, 3, 1]
    assert runs.read_next() == []
    put(database, (4, 11), (2, 12))  # one is new, one was changed
    assert runs.read_next() == [4, 2]
    assert runs.read_next() == []
    assert runs.read_next() == []


def test_rows_that_come_with_the_value_of_the_mark_are_not_lost_and_not_doubled(database: Database, runs: Runs) -> None:
    put(database, (5, 10), (7, 10), (3, 9))
    assert runs.read_next() == [3, 5, 7]
    put(database, (1, 10), (6, 10), (9, 10))  # before, between and after those that were read
    assert runs.read_next() == [1, 6, 9]
    put(database, (2, 10))
    assert runs.read_next() == [2]
    put(database, (8, 10), (4, 11))
    assert runs.read_next() == [8, 4]
    assert runs.read_next() == []


@pytest.mark.parametrize("fails_at", [2, 3, 4, 6, 8])
def test_a_run_that_fails_is_resumed_where_it_was(database: Database, runs: Runs, fails_at: int) -> None:
    put(database, (1, 1), (9, 2))
    assert runs.read_next() == [1, 9]
    put(database, (2, 2), (3, 2), (4, 3), (5, 3), (6, 3), (7, 4), (8, 4))
    assert not runs.run(fails_at=fails_at).success
    assert runs.run(again=True).success
    assert runs.target is not None
    rows = runs.target.execute("SELECT id FROM loaded WHERE run = 2 ORDER BY rowid")
    assert [row[0] for row in rows] == [2, 3, 4, 5, 6, 7, 8]
    assert runs.read_next() == []


def test_a_run_that_failed_moves_no_mark(database: Database, runs: Runs) -> None:
    put(database, (1, 1), (2, 2), (3, 3), (4, 4), (5, 5))
    assert not runs.run(fails_at=5).success
    runs.count += 1
    assert runs.target is not None
    runs.target.execute("DROP TABLE loaded")
    assert runs.read_next() == [1, 2, 3, 4, 5]


def test_the_first_run_begins_at_initial(database: Database, tmp_path: Path) -> None:
    put(database, (1, 1), (2, 2), (3, 3))
    runs = Runs(tmp_path, source(database, "n", initial=2))
    assert runs.read_next() == [2, 3]
    put(database, (4, 1), (5, 9))
    assert runs.read_next() == [5]


def test_with_a_lag_what_lies_before_the_mark_comes_again(database: Database, tmp_path: Path) -> None:
    put(database, (1, 1), (2, 50), (3, 60))
    runs = Runs(tmp_path, source(database, lag=timedelta(minutes=15)))
    assert runs.read_next() == [1, 2, 3]
    put(database, (4, 46), (5, 44))
    assert runs.read_next() == [4, 2, 3]
    database.execute("DELETE FROM items WHERE n > 40")
    assert runs.read_next() == []
    put(database, (6, 46), (7, 44))  # the mark has not moved, for nothing was read
    assert runs.read_next() == [6]


def test_without_a_store_since_says_where_to_begin(database: Database) -> None:
    put(database, (1, 1), (2, 2), (3, 3))
    assert "since=" in str(failure_of(source(database)))
    assert [record["id"] for record in read(source(database, "n", since=2))] == [2, 3]
    moment = datetime(2026, 1, 1, 0, 3)
    since = str(moment) if isinstance(database, Sqlite) else moment
    assert [record["id"] for record in read(source(database, since=since))] == [3]


def test_sqlite_wants_a_time_as_its_column_has_it(tmp_path: Path) -> None:
    made: Any = SqlSource
    for options in ({"since": datetime(2026, 1, 1)}, {"initial": datetime(2026, 1, 1)}):
        with pytest.raises(ValueError, match="as the column has them"):
            made(f"sqlite:///{tmp_path}/x.db", "items", cursor="changed", key="id", **options)


def test_since_counts_more_than_what_was_read(database: Database, tmp_path: Path) -> None:
    put(database, (1, 1), (2, 2))
    assert Runs(tmp_path, source(database, "n", since=2)).read_next() == [2]


def test_a_cursor_that_is_null_is_an_error_and_passes_nothing_over(database: Database, runs: Runs) -> None:
    put(database, (1, 1), (2, 2))
    assert runs.read_next() == [1, 2]
    database.execute("INSERT INTO items VALUES (3, NULL, 3)")
    result = runs.run()
    assert isinstance(result.error, ConnectError)
    assert "'changed' is NULL" in str(result.error)


def test_another_cursor_does_not_begin_at_the_mark_of_the_one_before(database: Database, tmp_path: Path) -> None:
    put(database, (1, 1))
    runs = Runs(tmp_path, source(database))
    assert runs.read_next() == [1]
    runs.source = source(database, "n")
    result = runs.run()
    assert isinstance(result.error, ConnectError)
    assert "since=" in str(result.error)


def test_of_many_rows_with_one_value_the_last_is_remembered(
    database: Database, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_increment, "MOST_KEYS", 3)
    put(database, *((id_, 10) for id_ in range(10, 20)), (1, 9))
    assert runs.read_next() == [1, *range(10, 20)]
    put(database, (20, 10), (21, 10))
    assert runs.read_next() == [20, 21]
    put(database, (22, 11))
    assert runs.read_next() == [22]


def test_a_row_before_many_that_were_read_is_an_error_and_not_lost(
    database: Database, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_increment, "MOST_KEYS", 3)
    put(database, *((id_, 10) for id_ in range(10, 20)))
    assert runs.read_next() == list(range(10, 20))
    put(database, (5, 10))
    result = runs.run()
    assert isinstance(result.error, ConnectError)
    assert "since=" in str(result.error)
    assert "1 rows" in str(result.error)


def test_a_key_of_several_columns_is_told_apart(database: Database, tmp_path: Path) -> None:
    put(database, (1, 10), (2, 10))
    runs = Runs(tmp_path, SqlSource(database.url, "items", cursor="changed", key=("n", "id")))
    assert runs.read_next() == [1, 2]
    put(database, (3, 10), (4, 10))
    assert runs.read_next() == [3, 4]
    assert runs.read_next() == []


@pytest.mark.anyio
async def test_every_position_is_one_to_go_on_from(database: Database) -> None:
    put(database, (1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3))
    of = source(database)
    begin: Position | None = of.start_after(None)
    chunks = await read_chunks(of, start=begin, chunk_size=2)
    assert [record["id"] for record in records_of(chunks)] == [1, 2, 3, 4, 5, 6]
    for at, chunk in enumerate(chunks):
        rest = records_of(await read_chunks(of, start=chunk.position, chunk_size=3))
        assert [record["id"] for record in rest] == list(range(1, 7))[2 * at + 2 :]


@dataclass(frozen=True)
class EvenOnly:
    id: int
    n: int

    def __post_init__(self) -> None:
        if self.n % 2:
            raise ValueError("odd")


@pytest.mark.anyio
async def test_numbers_of_rejects_count_from_the_beginning_of_the_run(database: Database) -> None:
    put(database, (1, 1), (2, 2), (3, 3), (4, 4), (5, 5))
    query = "SELECT id, n FROM items"
    of = SqlSource(database.url, query, cursor="n", key="id", record_type=EvenOnly, continue_on_error=True)
    context = PipelineContext()
    chunks = await read_chunks(of, start=of.start_after(None), chunk_size=2, context=context)
    assert [entry.index for entry in context.errors] == [0, 2, 4]
    context = PipelineContext()
    await read_chunks(of, start=chunks[0].position, chunk_size=2, context=context)
    assert [entry.index for entry in context.errors] == [2, 4]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cursor": "at"}, "key="),
        ({"since": 1}, "cursor="),
        ({"initial": 1}, "cursor="),
        ({"lag": timedelta(1)}, "cursor="),
        ({"cursor": "at", "key": "id", "lag": timedelta(-1)}, "lag="),
        ({"cursor": "", "key": "id"}, "cursor"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SqlSource("sqlite:///x.db", "items", **options)


@settings(max_examples=25, deadline=None)
@given(
    batches=st.lists(
        st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), max_size=6, unique_by=lambda row: row[0]), max_size=5
    ),
    chunk_size=st.integers(1, 4),
)
def test_whatever_comes_at_or_after_the_mark_is_read_once(
    batches: Sequence[Sequence[tuple[int, int]]], chunk_size: int
) -> None:
    async def check(folder: Path) -> None:
        made = Sqlite(folder)
        made.execute("CREATE TABLE items (id BIGINT NOT NULL, changed TEXT, n BIGINT)")
        of, position, mark, known = source(made, "n"), None, 0, set[int]()
        for batch in batches:
            fresh = [(id_, mark + later) for id_, later in batch if id_ not in known]
            known |= {id_ for id_, _ in fresh}
            made.execute("SELECT 1", *(f"INSERT INTO items VALUES ({id_}, '', {value})" for id_, value in fresh))
            chunks = await read_chunks(of, start=of.start_after(position), chunk_size=chunk_size)
            assert sorted(record["id"] for record in records_of(chunks)) == sorted(id_ for id_, _ in fresh)
            position = chunks[-1].position if chunks else position
            mark = max([mark, *(value for _, value in fresh)])

    with TemporaryDirectory() as folder:
        anyio.run(check, Path(folder))
