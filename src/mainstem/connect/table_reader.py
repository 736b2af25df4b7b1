"""Looking at a table without the right to change it: what a plan and a preview ask of a database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic

from mainstem.connect.column_values import ColumnValues
from mainstem.connect.table_columns import C, Dialect, quoted
from mainstem.connect.table_plan import TablePlan


class TableReader(ABC, Generic[C]):
    """A connection in a transaction that cannot write. Its methods block, and raise the driver's errors.

    Args:
        connection: The connection; ``close`` closes it.
        dialect: The kind of database.
        plan: What is to be done with the table.
    """

    compares_rows: ClassVar[bool] = True
    """Whether what is found by it is enough to say what a record would do to a row."""
    mark: str = "?"
    """The placeholder of a value in a statement."""
    converts_first: bool = True
    """Whether a load converts all records that it inserts together before the database sees any of them."""

    def __init__(self, connection: Any, dialect: Dialect[C], plan: TablePlan) -> None:
        self.connection, self.dialect, self.plan = connection, dialect, plan

    def columns(self) -> list[C] | None:
        """Return the columns of the table that can be written; ``None`` if there is no such table.

        Raises:
            ConnectError: If it is no table, or lacks a column of the key.
        """
        return self.dialect.find_columns(self.connection, self.plan.table, self.plan.key)

    @abstractmethod
    def values(self, column: C) -> ColumnValues:
        """Return what checks and converts the values of a column."""

    def problem_with(self, column: C, value: Any) -> str:
        """Say why the database refuses a value that was converted for a column; empty if it is not known to."""
        return ""

    @abstractmethod
    def unique_keys(self) -> list[tuple[str, ...]]:
        """Return the columns of the primary key, and those of every other that no two rows share."""

    @abstractmethod
    def not_tried(self) -> list[str]:
        """Name what the database checks or does when rows are written, and nobody who only reads can tell."""

    @abstractmethod
    def refusal(self, *, is_new: bool) -> str:
        """Say why the user of the connection may not do what the plan says; empty if that may be done.

        Args:
            is_new: Whether the table is to be made.
        """

    def find(self, columns: Sequence[str], by: Sequence[str], values: Sequence[Any]) -> tuple[Any, ...] | None:
        """Return these columns of the row that has these values in the columns ``by``; ``None`` if there is none."""
        chosen = ", ".join(map(quoted, columns)) or "1"
        where = " AND ".join(f"{quoted(name)} = {self.mark}" for name in by)
        statement = f"SELECT {chosen} FROM {quoted(self.plan.table)} WHERE {where}"
        found: tuple[Any, ...] | None = self.connection.execute(statement, tuple(values)).fetchone()
        return found

    def count(self) -> int:
        """Return how many rows the table has."""
        return int(self.connection.execute(f"SELECT count(*) FROM {quoted(self.plan.table)}").fetchone()[0])

    def declared(self, column: C) -> str:
        """Return a column's type and whether it takes NULL, as a statement has them."""
        return self.dialect.declaration(column)

    def close(self) -> None:
        """Close the connection, which ends the transaction."""
        self.connection.close()
