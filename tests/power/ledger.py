"""A store in SQLite: after a power cut it is as it was after the last step that was acknowledged, or the one begun."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from tests.power.recorder import Recorder
from tests.power.subject import Subject, last_number
from tests.power.violations import Kind, Violation, check_integrity

from mainstem.store.model import Checkpoint, NewReject, RunRequest, RunStatus, StageCounts, StageSnapshot
from mainstem.store.owner import this_process
from mainstem.store.sqlite import SqliteStore

T = TypeVar("T")

FILE = Path("store.db")
BATCHES = 24
_AT = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Ledger(Subject):
    """A ``SqliteStore`` with one run that fails and is resumed again and again."""

    depth = 4

    def __init__(self) -> None:
        self._contents: list[str] = []

    async def record(self, recorder: Recorder, attempt: int) -> None:
        steps = _Steps(recorder)
        store = steps.take(lambda: SqliteStore(FILE))
        lease = steps.take(lambda: store.begin(request()))
        number = 1
        while number <= BATCHES:
            steps.do(store.prepare, lease, checkpoint(number))
            if number % 6 == 3:
                # Taken anew, once with the batch and once without it, which then comes again.
                steps.do(store.finish, lease, RunStatus.FAILED, error="no room", unsettled=[reject(number + 1, 0)])
                lease = steps.take(lambda: store.begin(request()))
                kept = number if number % 12 == 3 else number - 1
                steps.do(store.settle, lease, kept)
                if kept < number:
                    steps.do(store.prepare, lease, checkpoint(number))
            if number % 5 == 0:
                with closing(sqlite3.connect(FILE)) as other:
                    other.execute("PRAGMA wal_checkpoint").fetchall()
            number += 1
        steps.do(store.settle, lease, BATCHES)
        steps.do(store.finish, lease, RunStatus.COMPLETED, guarantee="exactly-once")
        store.close()

    def know(self, marks: Sequence[str]) -> None:
        self._contents = [content([]), *(mark.split()[2] for mark in marks)]

    async def check(self, marks: Sequence[str], *, deep: bool) -> None:
        with closing(sqlite3.connect(FILE)) as connection:
            check_integrity(connection)
            found = content(dump(connection))
        acknowledged = last_number(marks, "step")
        if found not in self._contents[acknowledged : acknowledged + 2]:
            if found in self._contents[:acknowledged]:
                raise Violation(Kind.LOST, f"step {acknowledged} was acknowledged, and is undone")
            raise Violation(Kind.INCONSISTENT, f"it is as it never was, and step {acknowledged} was the last")
        if deep:
            _go_on()


def _go_on() -> None:
    """Open the store, and take the run that is in it, if it is not at its end."""
    store = SqliteStore(FILE)
    try:
        for run in store.runs():
            if run.status is not RunStatus.COMPLETED:
                store.settle(store.begin(request()), run.committed)
    finally:
        store.close()


class _Steps:
    """Does steps, and marks each with what the store holds after it."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._number = 0

    def take(self, step: Callable[[], T]) -> T:
        answer = step()
        self._number += 1
        with closing(sqlite3.connect(FILE)) as connection:
            self._recorder.mark(f"step {self._number} {content(dump(connection))}")
        return answer

    def do(self, step: Callable[..., object], *arguments: object, **more: object) -> None:
        self.take(lambda: step(*arguments, **more))


def dump(connection: sqlite3.Connection) -> list[str]:
    """All that a database holds."""
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    return [f"{name} {row}" for (name,) in tables for row in connection.execute(f"SELECT * FROM {name}")]


def content(rows: Sequence[str]) -> str:
    return sha256("\n".join(rows).encode()).hexdigest()


def request() -> RunRequest:
    return RunRequest(pipeline="power", run_id="a", shape=[{"name": "load"}], owner=this_process(), lease_seconds=0.0)


def reject(number: int, which: int) -> NewReject:
    return NewReject(
        stage="validate",
        index=number * 20 + which,
        error_type="ValueError",
        message=f"of batch {number}",
        code="validation",
        record='{"id": 1, "text": "' + "x" * 200 + '"}',
        at=_AT,
    )


def checkpoint(number: int) -> Checkpoint:
    counts = StageCounts(records_in=number * 20, records_passed=number * 18, records_failed=number * 2)
    return Checkpoint(
        sequence=number,
        position={"next": number * 20},
        counts={"validate": counts},
        snapshots=[StageSnapshot(stage="dedupe", payload=f"[{number}]" * 50, is_change=number % 4 != 1)],
        rejects=[reject(number, which) for which in range(2)],
        is_last=number == BATCHES,
    )
