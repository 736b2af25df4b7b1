"""What must not be after a power cut."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from enum import Enum


class Kind(str, Enum):
    """How an image is wrong."""

    CORRUPT = "corrupt"
    """It cannot be read."""
    LOST = "lost"
    """Something is not there that was said to be done."""
    INCONSISTENT = "inconsistent"
    """Things are there that do not belong together, or nobody could go on from them."""


class Violation(AssertionError):
    """An image is wrong."""

    def __init__(self, kind: Kind, what: str) -> None:
        super().__init__(f"{kind.value}: {what}")
        self.kind = kind


@contextmanager
def judged() -> Generator[None]:
    """Turn every error into a violation: after a power cut there must be none."""
    try:
        yield
    except Violation:
        raise
    except Exception as error:
        kind = Kind.CORRUPT if _is_of_sqlite(error) else Kind.INCONSISTENT
        raise Violation(kind, f"{type(error).__name__}: {error}") from error


def _is_of_sqlite(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, sqlite3.DatabaseError):
            return True
        error = error.__cause__
    return False


def check_integrity(connection: sqlite3.Connection) -> None:
    """Have SQLite check a database.

    Raises:
        Violation: If something is wrong with it.
    """
    problems = connection.execute("PRAGMA integrity_check").fetchall()
    if problems != [("ok",)]:
        raise Violation(Kind.CORRUPT, f"integrity_check says {problems[:3]}")
