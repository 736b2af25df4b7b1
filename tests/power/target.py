"""Batches into a table of SQLite: rows and number are of the same batch, and no acknowledged one is lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing, nullcontext
from functools import cache, partial
from typing import Any

from tests.power.recorder import Operation, Recorder
from tests.power.subject import Loader, Subject, check_acknowledged
from tests.power.violations import Kind, Violation, check_integrity

from mainstem.connect import TableSink, sqlite_table

FILE = "target.db"
BATCHES = 24
RUN = "power"
_FAILING = (Operation.SYNC, Operation.WRITE)
_NEW, _OLD = 12, 4
"""Rows that a batch adds, and rows of earlier batches that it changes."""


def batch(number: int) -> list[dict[str, Any]]:
    """The records of a batch."""
    first = (number - 1) * _NEW
    changed = [] if number == 1 else [(number * 7919 + each * 104729) % first for each in range(_OLD)]
    ids = [*range(first, first + _NEW), *dict.fromkeys(changed)]
    return [{"id": each, "text": f"{number}:{each} " * 12} for each in ids]


@cache
def rows_after(number: int) -> list[tuple[int, str]]:
    """The rows that are there after so many batches."""
    rows = {record["id"]: record["text"] for each in range(1, number + 1) for record in batch(each)}
    return sorted(rows.items())


class Target(Subject):
    """A ``TableSink`` that batches are loaded into, one after another.

    Args:
        write_ahead: Whether the database has a write-ahead log, which another connection keeps alive.
        cache_pages: How many pages SQLite keeps in memory; of fewer than are changed, some are written too early.
        fails: Whether the disk fails again and again, but for ``fsync`` of the folder: that error SQLite passes over.
    """

    def __init__(self, *, write_ahead: bool = False, cache_pages: int | None = None, fails: bool = False) -> None:
        self._write_ahead, self._cache_pages, self._fails = write_ahead, cache_pages, fails

    async def record(self, recorder: Recorder, attempt: int) -> None:
        if self._cache_pages is not None:
            opened = sqlite_table.open_database
            sqlite_table.open_database = partial(_open_with_small_cache, opened, self._cache_pages)
        sink = TableSink(f"sqlite:///{FILE}", "numbers", key="id", mode="upsert")
        with closing(sqlite3.connect(FILE)) if self._write_ahead else nullcontext() as other:
            if other is not None:
                other.execute("PRAGMA journal_mode = WAL")
            loader = Loader(sink, RUN, recorder, _FAILING if self._fails else ())
            for number in range(1, BATCHES + 1):
                if number in (1, BATCHES // 2):
                    await loader.take()
                await loader.load(number, batch(number))
                if other is not None and number % 5 == 0:
                    other.execute("PRAGMA wal_checkpoint").fetchall()
                if other is not None and number == BATCHES * 2 // 3:
                    other.close()  # the next who closes is the last, and removes the log
                    other = None

    async def check(self, marks: Sequence[str], *, deep: bool) -> None:
        with closing(sqlite3.connect(FILE)) as connection:
            check_integrity(connection)
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            number = 0
            if "mainstem_progress" in tables:
                rows = connection.execute("SELECT sequence FROM mainstem_progress WHERE run = ?", (RUN,)).fetchall()
                number = rows[0][0] if rows else 0
            found = connection.execute("SELECT id, text FROM numbers ORDER BY id") if "numbers" in tables else ()
            if list(found) != rows_after(number):
                raise Violation(Kind.INCONSISTENT, f"the rows are not those of {number} batches")
        check_acknowledged(number, marks)


def _open_with_small_cache(opened: Any, pages: int, url: str, *, create: bool) -> sqlite3.Connection:
    connection: sqlite3.Connection = opened(url, create=create)
    connection.execute(f"PRAGMA cache_size = {pages}")
    return connection
