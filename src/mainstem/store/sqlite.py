"""The store in a SQLite file."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import Any

from mainstem.errors import StoreError
from mainstem.store.schema import TABLES, VERSION
from mainstem.store.sql_store import SqlStore, statements_of

BUSY_SECONDS = 60.0
_APPLICATION = 0x6D61696E  # "main"


class SqliteStore(SqlStore):
    """A store in a SQLite file, which only its owner can read.

    One process at a time writes, others wait for it; what a method has done is on the disk when it returns.

    Args:
        path: The file; it is made if there is none.

    Raises:
        StoreError: If it cannot be opened, is no store, or is one of a later version.
    """

    def __init__(self, path: Path) -> None:
        self.file = self._file = path.resolve()
        self.url = f"sqlite:///{path}"
        self._lock = RLock()
        self._process = os.getpid()
        if self._file.is_dir():
            raise StoreError(f"cannot keep runs in {path}: it is a folder; give the path of a file")
        if not self._file.parent.is_dir():
            raise StoreError(f"cannot keep runs in {path}: there is no folder {self._file.parent}; make it")
        with self._errors():
            self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        with suppress(FileExistsError):
            os.close(os.open(self._file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = sqlite3.connect(
            f"{self._file.as_uri()}?mode=rw",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=BUSY_SECONDS,
        )
        try:
            self._make_ready(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _make_ready(self, connection: sqlite3.Connection) -> None:
        with _transaction(connection, "DEFERRED"):  # so that all of it is seen as it was at one moment
            version = self._version_of(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        if version == VERSION:
            return
        with _transaction(connection):
            if self._version_of(connection) == 0:  # unless another process was quicker
                for statement in statements_of(TABLES, "INTEGER PRIMARY KEY"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {VERSION}")

    def _version_of(self, connection: sqlite3.Connection) -> int:
        """Return the version of the tables, 0 if there are none.

        Raises:
            StoreError: If it is another database, or of a later version.
        """
        ((application,),) = connection.execute("PRAGMA application_id")
        ((version,),) = connection.execute("PRAGMA user_version")
        ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_master")
        if tables and application != _APPLICATION:
            raise StoreError(f"{self._file} is another database, and no store of mainstem: name another file")
        if version > VERSION:
            raise StoreError(
                f"{self._file} is of a later version of mainstem (its schema is {version}, this one knows {VERSION}): "
                "update mainstem"
            )
        return int(version) if tables else 0

    @contextmanager
    def _errors(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self._file}: {error}") from error

    @contextmanager
    def _transaction(self, *, writes: bool) -> Generator[_SqliteSession]:
        if os.getpid() != self._process:
            raise StoreError(
                f"{self._file} was opened before this process was forked, and cannot be used here: open it again"
            )
        with self._lock, self._errors(), _transaction(self._connection, "IMMEDIATE" if writes else "DEFERRED"):
            yield _SqliteSession(self._connection)

    def close(self) -> None:
        with self._lock:
            self._connection.close()


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Generator[None]:
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # After some errors, such as a full disk, SQLite has rolled back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


class _SqliteSession:
    """A transaction of SQLite."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, values).fetchall()

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        return self._connection.execute(statement, values).rowcount

    def run_each(self, statement: str, values: Iterable[Sequence[Any]]) -> None:
        self._connection.executemany(statement, values)

    def now(self) -> float:
        return time.time()
