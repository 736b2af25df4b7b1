"""SQLite databases: their URLs, opening them, and their errors."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import anyio
from anyio.to_thread import run_sync

from mainstem.errors import ConnectError, ConnectionLostError

T = TypeVar("T")

LOCK_TIMEOUT = 30.0
"""Seconds to wait for a lock that another connection holds."""

_FORMS = "sqlite:///relative.db, sqlite:////absolute/path.db and sqlite:///:memory:"


def database_path(url: str) -> Path | None:
    """Return the file of a SQLite URL as SQLAlchemy writes it; ``None`` for a database in memory.

    Raises:
        ConnectError: If it is no such URL. The message does not repeat what may hold a password.

    Example:
        >>> database_path("sqlite:///shop.db"), database_path("sqlite:////var/shop.db"), database_path("sqlite://")
        (PosixPath('shop.db'), PosixPath('/var/shop.db'), None)
    """
    parts = re.fullmatch(r"([A-Za-z][A-Za-z0-9+._-]*)://(.*)", url, re.DOTALL)
    if parts is None:
        raise ConnectError(f"a database is named by a URL: supported are {_FORMS}; a path alone is not one")
    scheme, rest = parts.groups()
    if scheme != "sqlite":
        raise ConnectError(f"databases of the scheme {scheme!r} are not supported: supported are {_FORMS}")
    if rest and not rest.startswith("/"):
        raise ConnectError(f"a SQLite URL has three slashes before a relative path: supported are {_FORMS}")
    path = rest[1:]
    if "?" in path:
        raise ConnectError(f"options after '?' in a SQLite URL are not supported: supported are {_FORMS}")
    if "\0" in path:
        raise ConnectError(f"a path cannot have a NUL character in it: {path!r:.200}")
    return Path(path) if path not in ("", ":memory:") else None


def open_database(url: str, *, create: bool) -> sqlite3.Connection:
    """Open a database that does not wait for locks, with transactions begun and ended by hand, in any thread.

    Raises:
        ConnectError: If its file or folder is not there or cannot be opened.
    """
    path = database_path(url)
    if path is None:
        return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, timeout=0)
    path = path.absolute()
    if path.is_dir():
        raise ConnectError(f"cannot open {url}: {path} is a folder; give the path of a file")
    if not path.parent.is_dir():
        raise ConnectError(f"cannot open {url}: there is no folder {path.parent}; make it, or check the path")
    if not create and not path.exists():
        raise ConnectError(f"cannot open {url}: there is no file {path}; check the path")
    mode = "rwc" if create else "rw"
    with database_errors(url):
        return sqlite3.connect(
            f"{path.as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False, timeout=0
        )


def begin_writing(connection: sqlite3.Connection) -> None:
    """Begin a transaction with the right to write, whose commit a power cut does not undo.

    Raises:
        sqlite3.OperationalError: If another connection has that right; call again then.
    """
    # FULL would not do: a power cut could bring back the journal, and with it the state before the commit.
    connection.execute("PRAGMA synchronous = EXTRA")
    connection.execute("BEGIN IMMEDIATE")


_ADVICE = {
    sqlite3.SQLITE_NOTADB: "the file is not a SQLite database; check the path",
    sqlite3.SQLITE_CORRUPT: "the database is damaged; restore it from a backup, or try '.recover' of the sqlite3 shell",
    sqlite3.SQLITE_READONLY: "the database cannot be written; check the rights of the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened; check the rights of the file and its folder",
    sqlite3.SQLITE_FULL: "there is no room left; make room, and run again",
    sqlite3.SQLITE_IOERR: "its file system failed; look at the disk, its quota and the system's log",
}


@contextmanager
def database_errors(url: str) -> Generator[None]:
    """Turn SQLite's errors into a ``ConnectError`` that says what to do.

    Raises:
        ConnectionLostError: In place of a lock that was not given back: the same may succeed later.
        ConnectError: In place of all others.
    """
    try:
        yield
    except sqlite3.Error as error:
        if _is_locked(error):
            raise ConnectionLostError(
                f"{url}: {error}: another connection has held a lock for more than {LOCK_TIMEOUT:g} s; "
                "end it and run again"
            ) from error
        advice = _ADVICE.get(_primary_code(error), "")
        raise ConnectError(f"{url}: {error}{f': {advice}' if advice else ''}") from error


def _primary_code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF  # errors of the sqlite3 module itself have none


def _is_locked(error: sqlite3.Error) -> bool:
    return _primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


async def when_unlocked(connection: sqlite3.Connection, action: Callable[[], T]) -> T:
    """Call ``action`` in a thread, again and again while another connection holds the lock it needs.

    The waiting is done here and not by SQLite, so that it can be cancelled and keeps no thread busy.

    Raises:
        sqlite3.OperationalError: If the lock is still held after ``LOCK_TIMEOUT``.
    """
    deadline = anyio.current_time() + LOCK_TIMEOUT
    pause = 0.002
    while True:
        try:
            answer = await run_sync(action)
        except sqlite3.OperationalError as error:
            if not _is_locked(error) or anyio.current_time() + pause > deadline:
                raise
        else:
            # From here on the transaction holds its lock, and the waits that remain are SQLite's own.
            connection.execute(f"PRAGMA busy_timeout = {LOCK_TIMEOUT * 1000:.0f}")
            return answer
        await anyio.sleep(pause)
        pause = min(2 * pause, 0.1)
