"""A transaction of the store in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

STAMP = "mainstem_version"
"""The table that holds the version of the others."""
# Whatever the database's defaults are. The number tells later what became of a transaction that wrote, and what is read
# is all of the same moment.
_BEGIN_WRITING: Any = f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_current_xact_id()::text, version FROM {STAMP}"
_BEGIN_READING: Any = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT NULL, version FROM {STAMP}"


def begin(connection: psycopg.Connection[Any], *, writes: bool) -> tuple[str | None, int]:
    """Begin a transaction, and return its number, if it writes, and the version of the tables."""
    cursor = connection.execute(_BEGIN_WRITING if writes else _BEGIN_READING)
    cursor.nextset()
    ((number, version),) = cursor.fetchall()
    return number, version


def roll_back(connection: psycopg.Connection[Any]) -> None:
    """Undo a transaction. A connection that cannot do so is closed, which undoes it as well."""
    import psycopg

    with suppress(psycopg.Error):  # what led here says more
        connection.rollback()
        return
    connection.close()


class PostgresSession:
    """A transaction of PostgreSQL."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(_marked(statement), values).fetchall()

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        return self._connection.execute(_marked(statement), values).rowcount

    def run_each(self, statement: str, values: Iterable[Sequence[Any]]) -> None:
        several = list(values)
        if several:
            with self._connection.cursor() as cursor:
                cursor.executemany(_marked(statement), several)

    def now(self) -> float:
        return float(self.rows("SELECT extract(epoch FROM clock_timestamp())")[0][0])


def _marked(statement: str) -> Any:
    """Return a statement with psycopg's marks for values; none of ours has a question mark or percent sign in it."""
    return statement.replace("?", "%s")
