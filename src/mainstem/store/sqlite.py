"""The store in a SQLite file."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, ClassVar

from mainstem.errors import StoreError
from mainstem.store.schema import SCHEMA, Schema
from mainstem.store.sql_store import SqlStore
from mainstem.store.sqlite_file import explain, open_file, transaction
from mainstem.store.sqlite_log import WriteAheadLog


class SqliteStore(SqlStore):
    """A store in a SQLite file, which only its owner can read.

    One process at a time writes, others wait for it; what a method has done is on the disk when it returns.

    Args:
        path: The file; it is made if there is none.

    Raises:
        StoreError: If it cannot be opened, is no store, or is one of a later version.
    """

    schema: ClassVar[Schema] = SCHEMA

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
            self._connection = open_file(self._file, self.schema)
        self._log = WriteAheadLog(self._file)

    @contextmanager
    def _errors(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise explain(self._file, error) from error
        except UnicodeDecodeError as error:  # of SQLite's own message, which quotes what it cannot read
            raise StoreError(f"{self._file} is damaged: restore it from a copy") from error

    @contextmanager
    def _transaction(self, *, writes: bool) -> Generator[_SqliteSession]:
        if os.getpid() != self._process:
            raise StoreError(
                f"{self._file} was opened before this process was forked, and cannot be used here: open it again"
            )
        with self._lock, self._errors():
            if writes:
                self._log.keep_short(self._connection)
            with self._current(writes=writes):
                yield _SqliteSession(self._connection)

    @contextmanager
    def _current(self, *, writes: bool) -> Generator[None]:
        """Begin a transaction in tables that are still those which this version knows."""
        with transaction(self._connection, writes=writes) as version:
            if version != self.schema.version:
                raise StoreError(
                    f"{self._file} was brought up to date by another version of mainstem meanwhile (its schema is "
                    f"{version} now, and was {self.schema.version}): start this program again, with that version"
                )
            yield

    def close(self) -> None:
        if os.getpid() != self._process:
            return  # it is not this process's
        with self._lock, self._errors():
            self._connection.close()


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
