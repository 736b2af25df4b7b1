"""What a column of a type that only the database knows makes of values: they are stored, and read again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mainstem.connect.mysql_columns import Column
from mainstem.connect.mysql_session import Session
from mainstem.connect.mysql_values import refused
from mainstem.connect.rows import class_of
from mainstem.connect.sqlalchemy_engine import fault_of, reason_of
from mainstem.connect.table_columns import quoted
from mainstem.errors import ValidationError, describe_error
from mainstem.postgres import Fault

_TRIAL = "mainstem_trial"


class Trial:
    """A temporary table with one column of that type.

    Args:
        session: The session, in a transaction, which making temporary tables does not end.
        table: The table.
        column: The column.
        number: Tells the temporary table from those of other columns.
    """

    def __init__(self, session: Session, table: str, column: Column, number: int) -> None:
        self._session, self._column = session, column
        self._name = quoted(f"{_TRIAL}_{number}")
        self._value = quoted(column.name)
        session.execute(f"DROP TEMPORARY TABLE IF EXISTS {self._name}")
        session.execute(
            f"CREATE TEMPORARY TABLE {self._name} ENGINE=InnoDB AS SELECT {self._value} FROM {quoted(table)} LIMIT 0"
        )

    def problems(self, values: Sequence[Any]) -> list[tuple[int, Exception]]:
        """Return for each value that would be refused or changed its position and the error."""
        tried = [(at, value) for at, value in enumerate(values) if value is not None]
        found: list[tuple[int, Exception]] = []
        for at, value in tried:
            error = self._problem(value)
            if error is not None:
                found.append((at, error))
        return found

    def _problem(self, value: Any) -> Exception | None:
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        session = self._session
        try:
            session.execute(f"INSERT INTO {self._name} ({self._value}) VALUES (%s)", (value,))
            ((kept,),) = session.rows(f"SELECT {self._value} FROM {self._name}")
            session.execute(f"DELETE FROM {self._name}")
        except (DBAPIError, SQLAlchemyError) as error:
            if isinstance(error, DBAPIError) and fault_of(error) is Fault.DATA:
                return self._refused(value, reason_of(error), error)
            raise
        except Exception as error:  # the driver has no form for it, or the value's own methods raise
            return self._refused(value, describe_error(error), error)
        if class_of(kept) is class_of(value) and kept == value:
            return None
        return refused(self._column, value, kept)

    def _refused(self, value: Any, reason: str, cause: Exception) -> ValidationError:
        column = self._column
        error = ValidationError(
            f"column {column.name!r} ({column.declared}) does not take a {class_of(value).__name__}: {reason}"
        )
        error.__cause__ = cause
        return error
