"""The write-ahead log of a store in SQLite is kept short, by nobody but whoever holds the write lock."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.store.records import batch, request

from mainstem.store import sqlite_log
from mainstem.store.model import StageSnapshot
from mainstem.store.sqlite import SqliteStore
from mainstem.store.sqlite_file import LONGEST_LOG, connect

STATE = "x" * 2**20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def store(file: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(file)
    yield opened
    opened.close()


def write(store: SqliteStore, batches: int, watch: list[int] | None = None) -> None:
    lease = store.begin(request())
    log = Path(f"{store.file}-wal")
    for number in range(1, batches + 1):
        store.prepare(lease, batch(number, snapshots=[StageSnapshot(stage="map", payload=STATE)]))
        if watch is not None:
            watch.append(log.stat().st_size)


def test_the_log_stays_short(store: SqliteStore) -> None:
    sizes: list[int] = []
    write(store, 60, sizes)
    assert max(sizes) < 3 * LONGEST_LOG


def test_the_log_is_short_again_after_a_reader_has_kept_it_long(store: SqliteStore, file: Path) -> None:
    store.begin(request("b"))
    sizes: list[int] = []
    with closing(sqlite3.connect(file)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM runs").fetchall()
        write(store, 20, sizes)
        assert sizes[-1] > 3 * LONGEST_LOG
    lease = store.begin(request())
    for number in range(20, 40):
        store.prepare(lease, batch(number, snapshots=[StageSnapshot(stage="map", payload=STATE)]))
    assert Path(f"{file}-wal").stat().st_size < 3 * LONGEST_LOG


def test_nobody_else_can_write_during_a_checkpoint(
    store: SqliteStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[int | None] = []

    def try_to_write(statement: str) -> None:
        if "wal_checkpoint" not in statement:
            return
        with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
                refused.append(None)
            except sqlite3.OperationalError as error:
                refused.append(error.sqlite_errorcode)

    def watched(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.set_trace_callback(try_to_write)
        return connection

    monkeypatch.setattr(sqlite_log, "connect", watched)
    write(store, 30)
    assert len(refused) > 2
    assert set(refused) == {sqlite3.SQLITE_BUSY}


def test_sqlite_makes_no_checkpoint_by_itself(file: Path, store: SqliteStore) -> None:
    with closing(connect(file)) as connection:
        assert connection.execute("PRAGMA wal_autocheckpoint").fetchall() == [(0,)]
        assert connection.execute("PRAGMA synchronous").fetchall() == [(2,)]  # full
