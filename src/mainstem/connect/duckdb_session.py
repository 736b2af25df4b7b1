"""Databases of DuckDB: their URLs, opening them, who may write, and what their errors mean."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import anyio

from mainstem.errors import ConnectError, ConnectionLostError, missing_extra

if TYPE_CHECKING:
    import duckdb

LOCK_TIMEOUT = 30.0
"""Seconds to wait for another load of this process into the same file."""

_FORMS = "duckdb:///relative.duckdb and duckdb:////absolute/path.duckdb; supported are no databases in memory"
_writers: dict[Path, Lock] = {}
_writers_lock = Lock()


def import_duckdb() -> Any:
    """Import DuckDB.

    Raises:
        MissingExtraError: If ``mainstem[duckdb]`` is not installed.
    """
    try:
        import duckdb
    except ImportError:
        raise missing_extra("DuckDB", "duckdb") from None
    return duckdb


def database_file(url: str) -> Path:
    """Return the file of a URL.

    Raises:
        ConnectError: If it is none.
    """
    scheme, _, path = url.partition("://")
    name = path[1:]
    if scheme != "duckdb" or not path.startswith("/") or name in ("", ":memory:") or "?" in name or "\0" in name:
        raise ConnectError(f"that is no URL of a DuckDB file: they are {_FORMS}")
    return Path(name)


def open_database(url: str, *, create: bool) -> duckdb.DuckDBPyConnection:
    """Open a database.

    Raises:
        ConnectionLostError: If another process has it open.
        ConnectError: If its file or folder is not there or cannot be opened.
        MissingExtraError: If ``mainstem[duckdb]`` is not installed.
    """
    module = import_duckdb()
    path = database_file(url).absolute()
    if path.is_dir():
        raise ConnectError(f"cannot open {url}: {path} is a folder; give the path of a file")
    if not path.parent.is_dir():
        raise ConnectError(f"cannot open {url}: there is no folder {path.parent}; make it, or check the path")
    if not create and not path.exists():
        raise ConnectError(f"cannot open {url}: there is no file {path}; check the path")
    with duckdb_errors(url):
        connection: duckdb.DuckDBPyConnection = module.connect(str(path))
        return connection


@contextmanager
def duckdb_errors(url: str) -> Generator[None]:
    """Turn DuckDB's errors into mainstem's, which say what to do.

    Raises:
        ConnectionLostError: If the same may succeed later.
        ConnectError: If what was asked for cannot be done.
    """
    duckdb = import_duckdb()
    try:
        yield
    except duckdb.Error as error:
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if isinstance(error, duckdb.IOException) and "lock" in text.lower():
            raise ConnectionLostError(
                f"{url}: {text}: another process has the file open; end it, and run again"
            ) from error
        if isinstance(error, duckdb.TransactionException) and "onflict" in text:
            raise ConnectionLostError(f"{url}: {text}: another transaction changed the same; run again") from error
        raise ConnectError(f"{url}: {text}") from error


def writer_lock(path: Path) -> Lock:
    """Return the lock that the one who loads into a file holds: of two at a time, DuckDB would refuse one."""
    with _writers_lock:
        return _writers.setdefault(path.resolve(), Lock())


async def take(lock: Lock, url: str) -> None:
    """Wait for a lock, in a way that can be cancelled and keeps no thread busy.

    Raises:
        ConnectionLostError: If it is still held after ``LOCK_TIMEOUT``.
    """
    deadline = anyio.current_time() + LOCK_TIMEOUT
    pause = 0.002
    while not lock.acquire(blocking=False):
        if anyio.current_time() + pause > deadline:
            raise ConnectionLostError(f"{url}: another load of this process has not ended for {LOCK_TIMEOUT:g} s")
        await anyio.sleep(pause)
        pause = min(2 * pause, 0.1)
