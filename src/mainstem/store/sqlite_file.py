"""The file of a store in SQLite: made, opened, checked, and brought up to date."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Lock
from time import monotonic, sleep, time
from typing import TypeVar

from mainstem.errors import StoreError
from mainstem.store.rows import owner_at_work
from mainstem.store.schema import Schema

T = TypeVar("T")

BUSY_SECONDS = 60.0
"""How long others may write before it is an error."""
_PATIENCE = 1.0
"""How long SQLite waits by itself; in between, Ctrl-C is heard."""
LONGEST_LOG = 4 * 1024 * 1024
"""Bytes of the write-ahead log after which it is to begin anew."""

_APPLICATION = 0x6D61696E  # "main"
_KEY = "INTEGER PRIMARY KEY"
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_ADVICE = {
    sqlite3.SQLITE_NOTADB: "name another file",
    sqlite3.SQLITE_CORRUPT: "the file or disk is damaged; restore the store from a copy, or name another file",
    sqlite3.SQLITE_FULL: "make room on the disk; nothing of what was being done is stored",
    sqlite3.SQLITE_READONLY: "this user needs the right to write the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "this user needs the right to read and write the file and its folder",
    sqlite3.SQLITE_PERM: "this user needs the right to read and write the file and its folder",
    sqlite3.SQLITE_IOERR: "the disk does not do what it is told; nothing of what was being done is stored",
    sqlite3.SQLITE_BUSY: f"other processes have been writing it for more than {BUSY_SECONDS:.0f} s; see which do",
}

_making = Lock()


def is_busy(error: sqlite3.Error) -> bool:
    """Whether the same may succeed as soon as others have written."""
    return _code(error) in _BUSY


def explain(file: Path, error: sqlite3.Error | OSError) -> StoreError:
    """Return the error that says what happened, and what to do."""
    if isinstance(error, OSError):
        return StoreError(f"cannot keep runs in {file}: {error.strerror or error}")
    code = _code(error)
    advice = _ADVICE.get(sqlite3.SQLITE_BUSY if code in _BUSY else code)
    return StoreError(f"{file}: {error}{f': {advice}' if advice else ''}")


def _code(error: sqlite3.Error) -> int:
    """Return the primary code of an error, -1 if it is not one of SQLite itself."""
    code: int = getattr(error, "sqlite_errorcode", -1)
    return code if code < 0 else code & 0xFF


def until_free(call: Callable[[], T]) -> T:
    """Make a call again while others write: SQLite waits for most locks by itself, and not for all."""
    deadline = monotonic() + BUSY_SECONDS
    while True:
        try:
            return call()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or monotonic() > deadline:
                raise
        sleep(0.005)


def connect(file: Path, *, mode: str = "rw") -> sqlite3.Connection:
    """Open a connection that loses nothing of what it has committed."""
    connection = sqlite3.connect(
        f"{file.as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=_PATIENCE,
    )
    try:
        until_free(lambda: _set_up(connection))
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection) -> None:
    # A checkpoint is made by whoever holds the write lock, see WriteAheadLog, and never by itself.
    for setting in ("wal_autocheckpoint = 0", f"journal_size_limit = {LONGEST_LOG}", "synchronous = FULL"):
        connection.execute(f"PRAGMA {setting}")


@contextmanager
def transaction(connection: sqlite3.Connection, *, writes: bool) -> Generator[int]:
    """Begin a transaction, as soon as others let it, and give the version of the tables in it.

    From then on it is in nobody's way: what it reads is the database as it is now, or nobody else can write.
    """

    def begin() -> int:
        connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        try:
            return _number(connection, "user_version")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    version = until_free(begin)
    try:
        yield version
        connection.execute("COMMIT")
    except BaseException:
        # After some errors, such as a full disk, SQLite has rolled back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def open_file(file: Path, schema: Schema) -> sqlite3.Connection:
    """Open the file of a store; it is made if there is none, and its tables are brought up to date.

    Raises:
        StoreError: If it is something else, of a later version, or of an earlier one in which somebody works on a run.
    """
    with _making, suppress(FileExistsError):
        # Closing it lets go of all locks that this process has on the file, so nobody here may have it open yet.
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    version = _look(file, schema)
    connection = connect(file)
    try:
        _use_log(connection, file)
        if version != schema.version:
            with transaction(connection, writes=True):
                _bring_up_to_date(connection, file, schema)
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _look(file: Path, schema: Schema) -> int:
    """Return the version of the tables; what is not ours, or is too new, is not changed by looking."""
    try:
        return _version_in(file, "ro", schema)
    except sqlite3.OperationalError as error:
        if _code(error) != sqlite3.SQLITE_READONLY:
            raise
    # A process was killed as it wrote, and SQLite has to undo that before anybody can look.
    return _version_in(file, "rw", schema)


def _version_in(file: Path, mode: str, schema: Schema) -> int:
    with closing(connect(file, mode=mode)) as connection, transaction(connection, writes=False):
        return _version_of(connection, file, schema)


def _use_log(connection: sqlite3.Connection, file: Path) -> None:
    ((mode,),) = until_free(lambda: connection.execute("PRAGMA journal_mode = WAL").fetchall())
    if mode != "wal":
        raise StoreError(
            f"{file} cannot have a write-ahead log where it is (a network file system?): name a file on a local disk"
        )


def _number(connection: sqlite3.Connection, setting: str) -> int:
    ((number,),) = connection.execute(f"PRAGMA {setting}")
    return int(number)


def _version_of(connection: sqlite3.Connection, file: Path, schema: Schema) -> int:
    """Return the version of the tables, 0 if there are none."""
    ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_master")
    if not tables:
        return 0
    if _number(connection, "application_id") != _APPLICATION:
        raise StoreError(f"{file} is another database, and no store of mainstem: name another file")
    version = _number(connection, "user_version")
    if version > schema.version:
        raise StoreError(
            f"{file} is of a later version of mainstem (its schema is {version}, this one knows {schema.version}): "
            "update mainstem"
        )
    if version < 1:
        raise StoreError(f"{file} does not say which version of mainstem it is of: restore it from a copy")
    return version


def _bring_up_to_date(connection: sqlite3.Connection, file: Path, schema: Schema) -> None:
    """Make the tables, or migrate them; the stamp is in the same transaction."""
    version = _version_of(connection, file, schema)
    if version == schema.version:
        return  # another process was quicker
    if version:
        _refuse_if_worked_on(connection, file)
    for statement in schema.statements(version, _KEY):
        connection.execute(statement)
    broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    if broken:
        raise StoreError(f"{file} cannot be brought up to date: rows of {broken[0][0]!r} belong to no run")
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
    connection.execute(f"PRAGMA user_version = {schema.version}")


def _refuse_if_worked_on(connection: sqlite3.Connection, file: Path) -> None:
    # Only of columns that every version has.
    for name, pipeline, *rest in connection.execute("SELECT run_id, pipeline, status, beat_at, lease, owner FROM runs"):
        owner = owner_at_work(*rest, now=time())
        if owner is not None:
            raise StoreError(
                f"{file} is of an earlier version of mainstem, and run {name!r} of pipeline {pipeline!r} is being "
                f"worked on by process {owner.pid} on {owner.host.split()[0]}: wait for it, or end it, and try again"
            )
