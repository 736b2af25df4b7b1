"""Inserting rows into a table of SQLite, and finding those that it refuses, without trying any twice."""

from __future__ import annotations

import sqlite3
from operator import length_hint

from mainstem.connect.rows import Row
from mainstem.connect.table_plan import TablePlan
from mainstem.errors import ConnectError, ValidationError

# What is wrong with a row and not with the database: a constraint, a value too big, an integer over 64 bits, half a
# surrogate pair.
_ROW_ERRORS = (sqlite3.IntegrityError, sqlite3.DataError, OverflowError, UnicodeEncodeError)


class RowInserter:
    """Inserts rows.

    Args:
        connection: The connection, in a transaction.
        url: The database, for error messages.
        plan: What is to be done.
        statement: The statement that inserts a row.
        has_triggers: Whether the table has triggers, which may pass over rows.
    """

    def __init__(
        self, connection: sqlite3.Connection, url: str, plan: TablePlan, statement: str, *, has_triggers: bool
    ) -> None:
        self._connection = connection
        self._url = url
        self._plan = plan
        self._statement = statement
        self._has_triggers = has_triggers

    def insert(self, rows: list[Row]) -> list[tuple[int, Exception]]:
        """Insert the rows; a row that is refused undoes itself only, and the statement goes on with the next.

        ``executemany`` takes rows from an iterator one by one, so what is left in it tells which row was refused:
        nothing is tried twice.
        """
        if self._has_triggers:
            return self._insert_one_by_one(rows)
        failures: list[tuple[int, Exception]] = []
        remaining = iter(rows)
        while length_hint(remaining):
            try:
                self._connection.executemany(self._statement, remaining)
            except _ROW_ERRORS as error:
                failures.append((len(rows) - length_hint(remaining) - 1, self._refused(error)))
                if not self._plan.continue_on_error:
                    break
        return failures

    def _insert_one_by_one(self, rows: list[Row]) -> list[tuple[int, Exception]]:
        """Insert the rows, and see of each whether a trigger has passed over it: SQLite does not say so."""
        failures: list[tuple[int, Exception]] = []
        for at, row in enumerate(rows):
            try:
                if self._connection.execute(self._statement, row).rowcount != 1:
                    raise sqlite3.IntegrityError("a trigger passed over the row with RAISE(IGNORE)")
            except _ROW_ERRORS as error:
                failures.append((at, self._refused(error)))
                if not self._plan.continue_on_error:
                    break
        return failures

    def _refused(self, error: Exception) -> ValidationError:
        if not self._connection.in_transaction:
            raise ConnectError(
                f"{self._url}: {error}, and a trigger ended the transaction: nothing is stored"
            ) from error
        refused = ValidationError(f"table {self._plan.table!r} does not take the record: {error}")
        refused.__cause__ = error
        return refused
