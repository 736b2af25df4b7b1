"""Ways to break what is recorded, each of which the images must show."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mainstem.connect import sqlite_load, sqlite_table
from mainstem.connect.sqlite_progress import BatchProgress
from mainstem.store.sqlite import SqliteStore


def _target_with(level: str) -> Callable[[], None]:
    """Tell SQLite to wait less for the disk when the target is written."""

    def begin(connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA synchronous = {level}")
        connection.execute("BEGIN IMMEDIATE")

    def apply() -> None:
        sqlite_load.begin_writing = sqlite_table.begin_writing = begin

    return apply


def _store_normal() -> None:
    opened = SqliteStore.__init__

    def open_and_weaken(store: SqliteStore, path: Path) -> None:
        opened(store, path)
        store._connection.execute("PRAGMA synchronous = NORMAL")

    SqliteStore.__init__ = open_and_weaken  # type: ignore[method-assign]


def _two_transactions() -> None:
    advance = BatchProgress.advance

    def commit_and_advance(progress: BatchProgress, columns: Any) -> None:
        progress._connection.execute("COMMIT")
        progress._connection.execute("BEGIN IMMEDIATE")
        advance(progress, columns)

    BatchProgress.advance = commit_and_advance  # type: ignore[method-assign]


def _without_sync(is_left_out: Callable[[int], bool]) -> Callable[[], None]:
    def apply() -> None:
        sync = os.fsync
        os.fsync = lambda handle: None if is_left_out(os.fstat(handle).st_mode) else sync(handle)  # type: ignore[assignment]

    return apply


BREAKAGES: dict[str, Callable[[], None]] = {
    "target off": _target_with("OFF"),
    "target normal": _target_with("NORMAL"),
    "target full": _target_with("FULL"),
    "store normal": _store_normal,
    "two transactions": _two_transactions,
    "files not synced": _without_sync(stat.S_ISREG),
    "folders not synced": _without_sync(stat.S_ISDIR),
}
