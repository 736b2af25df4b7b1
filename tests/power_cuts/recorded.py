"""The process that is recorded: a durable run into SQLite, which says of each batch when it takes it for committed."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

from tests.power_cuts.recording import ACKNOWLEDGED, BATCH, BATCHES, REFUSED

from mainstem import Pipeline
from mainstem.connect import TableSink, sqlite
from mainstem.endpoints import Claim, SinkTransaction
from mainstem.faults import watch_faults
from mainstem.store.sqlite import SqliteStore


def check(number: int) -> dict[str, int]:
    if number % BATCH == REFUSED:
        raise ValueError("refused")
    return {"id": number}


class Apart(TableSink[Any]):
    """A sink that commits rows and number in two transactions."""

    async def begin_batch(self, context: Any, claim: Claim, sequence: int) -> SinkTransaction[Any]:
        rows = await self.begin(context)
        commit = rows.commit

        async def commit_both(position: Any = None) -> None:
            await commit(position)
            await (await super(Apart, self).begin_batch(context, claim, sequence)).commit(position)

        rows.commit = commit_both  # type: ignore[method-assign]
        return rows


def main(kind: str, folder: Path) -> None:
    if kind in ("normal", "off"):
        _weaken(kind.upper())
    target = folder / "target.db"
    if kind in ("wal", "normal"):
        connection = sqlite3.connect(target)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.close()
    acknowledged = os.open(folder / ACKNOWLEDGED, os.O_WRONLY | os.O_CREAT)
    committed = 0

    def watch(point: str) -> None:
        nonlocal committed
        if point == "batch committed":
            committed += 1
            os.write(acknowledged, f"{committed}\n".encode())

    watch_faults(watch)
    sink: Any = (Apart if kind == "apart" else TableSink)(f"sqlite:///{target}", "numbers")
    pipeline = Pipeline[list[int], Any]("numbers").map(check, continue_on_error=True).add_stage(sink)
    result = pipeline.run(list(range(BATCH * BATCHES)), store=folder / "store.db", run_id="a", commit_every=BATCH)
    assert result.success, result.error


def _weaken(level: str) -> None:
    """Break what the tests are to find broken: what SQLite is told about waiting for the disk."""
    begin = sqlite.begin_writing

    def begin_weakly(connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA synchronous = {level}")
        begin(_Deaf(connection))  # type: ignore[arg-type]

    from mainstem.connect import sqlite_load, sqlite_table

    sqlite_load.begin_writing = sqlite_table.begin_writing = begin_weakly
    transaction = SqliteStore._transaction

    def weak_transaction(self: SqliteStore, **how: Any) -> Any:
        self._connection.execute(f"PRAGMA synchronous = {level}")
        return transaction(self, **how)

    SqliteStore._transaction = weak_transaction  # type: ignore[method-assign, assignment]


class _Deaf:
    """A connection that does not hear what it is told about waiting for the disk."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, *values: Any) -> Any:
        return None if "synchronous" in statement else self._connection.execute(statement, *values)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
