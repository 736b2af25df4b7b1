"""Stores of earlier versions are brought up to date, wholly or not at all, with all that is in them."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.at_once import answers_at_once
from tests.store.golden.make import file_of, make
from tests.store.later_version import LATER, LaterStore
from tests.store.records import GONE, batch, kept, reject, request

from mainstem.errors import StoreError
from mainstem.store import sqlite_file
from mainstem.store.model import RejectQuery, RejectState, ReplayOutcome, RunRequest, RunStatus, StageSnapshot
from mainstem.store.owner import this_process
from mainstem.store.schema import SCHEMA
from mainstem.store.sqlite import SqliteStore
from mainstem.store.store import Store

OPEN, APPROVED = RejectState.OPEN, RejectState.APPROVED


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A store of the version that is the latest, with an interrupted run and rejects in it."""
    file = tmp_path / "runs.db"
    make(file, GONE)
    return file


def structure(file: Path) -> dict[str, Any]:
    """Tables, columns and indexes, as SQLite has them, and the version they are said to be of."""
    with closing(sqlite3.connect(file)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        found: dict[str, Any] = {"version": connection.execute("PRAGMA user_version").fetchall()[0][0]}
        for (table,) in tables:
            columns = connection.execute(
                f"SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info('{table}')"
            )
            found[table] = set(columns.fetchall())
        indexes = "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'index'"
        found["indexes"] = set(connection.execute(indexes).fetchall())
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    return found


def go_on(store: Store, committed: int) -> None:
    """Go on with the run that was killed, whose target has so many batches; see that nothing is lost or doubled."""
    before = {each.index: each.id for each in store.rejects(RejectQuery(run_id="killed"))}
    lease = store.begin(request("killed", source={"size": 1}))
    assert (lease.epoch, lease.committed) == (2, 2)
    checkpoint = store.settle(lease, committed)
    assert checkpoint is not None
    snapshots = [StageSnapshot(stage="map", payload="[1]"), StageSnapshot(stage="map", payload="[2]", is_change=True)]
    assert checkpoint == batch(committed, snapshots=snapshots)
    if committed == 2:
        assert [settled for _, _, settled in kept(store, run_id="killed")] == [True, True, False, False]
        store.prepare(lease, batch(3, reject(25), reject(26)))
    (replayed,) = store.rejects(RejectQuery(run_id="done", states=[APPROVED]))
    assert (replayed.edited, replayed.changed_by) == ('"mended"', "Ada")
    store.prepare(lease, batch(4, replays=[ReplayOutcome(reject=replayed.id)], is_last=True))
    store.settle(lease, 4)
    store.finish(lease, RunStatus.COMPLETED)
    assert kept(store, run_id="killed") == [(index, OPEN, True) for index in (3, 14, 25, 26)]
    assert {each.index: each.id for each in store.rejects(RejectQuery(run_id="killed"))} == before
    assert kept(store, run_id="done") == [(1, RejectState.REPLAYED, True), (None, OPEN, True)]


@pytest.mark.parametrize("committed", [2, 3])
@pytest.mark.parametrize("version", range(1, SCHEMA.version + 1))
def test_a_store_of_every_version_is_gone_on_with(tmp_path: Path, version: int, committed: int) -> None:
    file = tmp_path / "runs.db"
    shutil.copy(file_of(version), file)
    store = SqliteStore(file)
    go_on(store, committed)
    store.close()
    SqliteStore(tmp_path / "fresh.db").close()
    assert structure(file) == structure(tmp_path / "fresh.db")


@pytest.mark.parametrize("committed", [2, 3])
def test_tables_that_were_brought_up_to_date_are_as_new_ones_with_all_that_was_in_them(
    tmp_path: Path, earlier: Path, committed: int
) -> None:
    store = LaterStore(earlier)
    go_on(store, committed)
    store.close()
    LaterStore(tmp_path / "fresh.db").close()
    assert structure(earlier) == structure(tmp_path / "fresh.db")
    with closing(sqlite3.connect(earlier)) as connection:
        assert connection.execute("SELECT note FROM runs ORDER BY run").fetchall() == [
            ("begun before done",),
            ("begun before killed",),
        ]


def killed_at(statement: int, make_store: Callable[[], Store]) -> bool:
    """Open a store in a process that is killed when it comes to its n-th statement; whether it came to that."""
    child = os.fork()
    if child == 0:  # nothing of pytest may go on here
        passed = 0

        def watch(_: str) -> None:
            nonlocal passed
            passed += 1
            if passed == statement:
                os.kill(os.getpid(), signal.SIGKILL)

        connect = sqlite_file.connect

        def watched(file: Path, **options: Any) -> sqlite3.Connection:
            connection = connect(file, **options)
            connection.set_trace_callback(watch)
            return connection

        code = 1
        try:
            sqlite_file.connect = watched
            make_store()
            code = 0
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


def test_killed_at_each_statement_it_is_of_one_version_or_the_other(tmp_path: Path, earlier: Path) -> None:
    LaterStore(tmp_path / "fresh.db").close()
    before, after = structure(earlier), structure(tmp_path / "fresh.db")
    statement = 0
    while True:
        statement += 1
        file = tmp_path / f"killed at {statement}.db"
        shutil.copy(earlier, file)
        is_killed = killed_at(statement, lambda file=file: LaterStore(file))
        assert structure(file) in (before, after), f"killed at statement {statement}"
        store = LaterStore(file)
        go_on(store, 2)
        store.close()
        assert structure(file) == after
        if not is_killed:
            break
    assert statement > len(LATER.migrations[-1])


def test_killed_at_each_statement_when_it_is_made_it_is_made_by_the_next(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "fresh.db").close()
    statement = 0
    while True:
        statement += 1
        file = tmp_path / f"killed at {statement}.db"
        is_killed = killed_at(statement, lambda file=file: SqliteStore(file))
        store = SqliteStore(file)
        store.begin(request())
        store.close()
        assert structure(file) == structure(tmp_path / "fresh.db")
        if not is_killed:
            break
    assert statement > len(SCHEMA.tables)


def test_a_step_that_fails_leaves_it_as_it_was(earlier: Path) -> None:
    class BrokenStore(SqliteStore):
        schema = type(LATER)(
            tables=LATER.tables, migrations=(*SCHEMA.migrations, (*LATER.migrations[-1], "CREATE TABLE runs (x)"))
        )

    before = structure(earlier)
    with pytest.raises(StoreError, match="table runs already exists"):
        BrokenStore(earlier)
    assert structure(earlier) == before


def _open_later(file: Path, barrier: Any, answers: Any) -> None:
    barrier.wait()
    try:
        store = LaterStore(file)
        answers.put(len(store.runs()))
        store.close()
    except Exception as error:
        answers.put(repr(error))


def test_of_eight_processes_at_once_one_brings_it_up_to_date(earlier: Path) -> None:
    assert answers_at_once(8, _open_later, earlier) == [2] * 8
    store = LaterStore(earlier)
    go_on(store, 3)
    store.close()


def test_it_stays_as_it_is_while_somebody_works_on_a_run(earlier: Path) -> None:
    store = SqliteStore(earlier)
    lease = store.begin(RunRequest(pipeline="p", run_id="live", shape=[], owner=this_process()))
    before = structure(earlier)
    with pytest.raises(StoreError, match=rf"run 'live' of pipeline 'p' is being worked on by process {os.getpid()}"):
        LaterStore(earlier)
    assert structure(earlier) == before
    store.finish(lease, RunStatus.CANCELLED)
    LaterStore(earlier).close()
    with pytest.raises(StoreError, match="was brought up to date by another version of mainstem meanwhile"):
        store.runs()
    store.close()
