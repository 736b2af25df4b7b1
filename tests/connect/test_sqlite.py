"""SQLite databases: URLs, errors, locks."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest
from tests.connect.reading import failure_of, load, read, refusal_of

from mainstem import ConnectError, PipelineContext
from mainstem.connect import SqlSource, TableSink, sqlite
from mainstem.connect.sqlite import database_path


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///shop.db", "shop.db"),
        ("sqlite:////var/shop.db", "/var/shop.db"),
        ("sqlite:///C:\\shop.db", "C:\\shop.db"),
        ("sqlite:///a b%20c#d.db", "a b%20c#d.db"),
        ("sqlite:///:memory:", None),
        ("sqlite://", None),
        ("sqlite:///", None),
    ],
)
def test_urls_are_as_sqlalchemy_writes_them(url: str, path: str | None) -> None:
    assert database_path(url) == (None if path is None else Path(path))


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("shop.db", "a path alone is not one"),
        ("", "a path alone"),
        ("sqlite:shop.db", "a path alone"),
        ("sqlite://shop.db", "three slashes"),
        ("sqlite:///shop.db?mode=ro", "options after '?'"),
        ("sqlite:///a\0b", "NUL"),
        ("nope://user:secret@host/db", "nope"),
        ("mysql://user:secret@host/db", "its driver is not installed (MySQLdb)"),
    ],
)
def test_other_urls_are_refused_with_what_is_supported(url: str, problem: str) -> None:
    for make in (lambda: TableSink(url, "t"), lambda: SqlSource(url, "SELECT 1")):
        with pytest.raises(ConnectError) as caught:
            make()
        assert problem in str(caught.value)
        assert "secret" not in str(caught.value)


def test_tables_of_a_database_that_is_read_only_are_refused_with_what_is_supported() -> None:
    with pytest.raises(ConnectError, match=r"supported are sqlite:///file\.db, postgresql://, mysql") as caught:
        TableSink("postgresql+psycopg://user:secret@host/db", "t")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["it's 100% ü#?&=;.db".replace("?", ""), " ", "a%00b"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    load(TableSink(f"sqlite:///{tmp_path / name}", "t"), [{"a": 1}])
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert read(SqlSource(f"sqlite:///{tmp_path / name}", "SELECT a FROM t")) == [{"a": 1}]


def test_relative_paths_are_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    load(TableSink("sqlite:///shop.db", "t"), [{"a": 1}])
    assert (tmp_path / "shop.db").exists()


def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes " * 100)
    for error in (
        refusal_of(TableSink(f"sqlite:///{path}", "t"), [{"a": 1}]).error,
        failure_of(SqlSource(f"sqlite:///{path}", "SELECT 1 FROM t")),
    ):
        assert isinstance(error, ConnectError)
        assert f"{path}: file is not a database: the file is not a SQLite database; check the path" in str(error)
    assert path.read_text() == "these are notes " * 100


def test_a_lock_that_is_not_given_back_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "LOCK_TIMEOUT", 0.05)
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE t (a)")
        other.execute("BEGIN EXCLUSIVE")
        for error in (
            refusal_of(TableSink(f"sqlite:///{path}", "t"), [{"a": 1}]).error,
            failure_of(SqlSource(f"sqlite:///{path}", "SELECT a FROM t")),
        ):
            assert isinstance(error, ConnectError)
            assert f"{path}: database is locked: another connection has held a lock" in str(error)


def test_a_reader_that_does_not_end_fails_the_commit_and_nothing_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "LOCK_TIMEOUT", 0.05)
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE t (a)")
        other.executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])
        cursor = other.execute("SELECT a FROM t")
        assert next(cursor) == (1,)
        error = refusal_of(TableSink(f"sqlite:///{path}", "t"), [{"a": 3}]).error
        assert "locked" in str(error)
        assert list(cursor) == [(2,)]
        cursor.close()
        assert other.execute("SELECT count(*) FROM t").fetchone() == (2,)


@pytest.mark.anyio
async def test_it_waits_for_a_lock_and_lets_others_run(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE t (a)")
        other.execute("BEGIN IMMEDIATE")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(TableSink(f"sqlite:///{path}", "t").process, [{"a": 1}], PipelineContext())
            await anyio.sleep(0.02)
            other.execute("COMMIT")
        assert other.execute("SELECT a FROM t").fetchall() == [(1,)]


@pytest.mark.anyio
async def test_a_commit_waits_for_readers_to_end(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE t (a)")
        other.executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])
        cursor = other.execute("SELECT a FROM t")
        assert next(cursor) == (1,)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(TableSink(f"sqlite:///{path}", "t").process, [{"a": 3}], PipelineContext())
            await anyio.sleep(0.1)
            cursor.close()
        assert other.execute("SELECT count(*) FROM t").fetchone() == (3,)


class CountedConnection(sqlite3.Connection):
    """A connection that tells what is still open, and how sure its commits are."""

    still_open = 0
    synchronous: ClassVar[list[int]] = []

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.execute("PRAGMA synchronous = OFF")
        type(self).still_open += 1

    def close(self) -> None:
        self.synchronous.append(self.execute("PRAGMA synchronous").fetchone()[0])
        super().close()
        type(self).still_open -= 1


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[CountedConnection]:
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *given, **options: connect(*given, factory=CountedConnection, **options)
    )
    monkeypatch.setattr(CountedConnection, "still_open", 0)
    monkeypatch.setattr(CountedConnection, "synchronous", [])
    return CountedConnection


def test_every_connection_is_closed_and_every_commit_is_sure(tmp_path: Path, counted: type[CountedConnection]) -> None:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    load(TableSink(url, "t"), [{"a": 1}])
    kept = [refusal_of(TableSink(url, "t"), [{"b": 1}]), refusal_of(TableSink(url, "t", key="k"), [{"a": 1}])]
    assert counted.synchronous == [3, 3, 3]  # EXTRA
    read(SqlSource(url, "SELECT a FROM t"))
    kept_error = failure_of(SqlSource(url, "SELECT b FROM t"))
    assert counted.still_open == 0
    assert kept_error
    assert all(result.error for result in kept)


@pytest.mark.anyio
async def test_waiting_for_a_lock_can_be_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE t (a)")
        other.execute("BEGIN IMMEDIATE")
        counted_connect = partial(sqlite3.connect, factory=CountedConnection)
        monkeypatch.setattr(sqlite3, "connect", counted_connect)
        monkeypatch.setattr(CountedConnection, "still_open", 0)
        with anyio.fail_after(10), anyio.move_on_after(0.02) as scope:
            await TableSink(f"sqlite:///{path}", "t").process([{"a": 1}], PipelineContext())
        assert scope.cancelled_caught
        assert CountedConnection.still_open == 0


class SmallDatabase(sqlite3.Connection):
    """A connection to a database that is full after a few pages."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.execute("PRAGMA max_page_count = 20")


def test_a_full_database_is_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "shop.db"
    load(TableSink(f"sqlite:///{path}", "t"), [{"a": "x"}])
    connect = sqlite3.connect

    def connect_small(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return connect(*arguments, factory=SmallDatabase, **options)

    monkeypatch.setattr(sqlite3, "connect", connect_small)
    result = refusal_of(TableSink(f"sqlite:///{path}", "t"), [{"a": "x" * 10_000}] * 100)
    assert "database or disk is full: there is no room left" in str(result.error)
    assert getattr(result.error, "__notes__", []) == [note for note in result.error.__notes__ if "undo" not in note]
    monkeypatch.undo()
    assert read(SqlSource(f"sqlite:///{path}", "SELECT a FROM t")) == [{"a": "x"}]


class ReadOnlyDatabase(sqlite3.Connection):
    """A connection that may not write."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.execute("PRAGMA query_only = ON")


def test_a_database_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "shop.db"
    load(TableSink(f"sqlite:///{path}", "t"), [{"a": "x"}])
    connect = sqlite3.connect

    def connect_read_only(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return connect(*arguments, factory=ReadOnlyDatabase, **options)

    monkeypatch.setattr(sqlite3, "connect", connect_read_only)
    error = refusal_of(TableSink(f"sqlite:///{path}", "t"), [{"a": "y"}]).error
    assert isinstance(error, ConnectError)
    assert "the database cannot be written; check the rights of the file and its folder" in str(error)


@pytest.mark.parametrize("mode", ["wal", "delete", "truncate"])
def test_the_journal_mode_stays_what_it_was(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE t (a)")
        connection.commit()
    load(TableSink(f"sqlite:///{path}", "t"), [{"a": 1}])
    assert read(SqlSource(f"sqlite:///{path}", "SELECT a FROM t")) == [{"a": 1}]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == ("wal" if mode == "wal" else "delete")
