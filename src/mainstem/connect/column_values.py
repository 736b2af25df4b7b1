"""Values as a database holds them: converted column by column where all is well, else row by row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from mainstem.connect.rows import Row, class_of, shown
from mainstem.errors import ValidationError, describe_error


class ColumnValues(ABC):
    """Checks and converts the values of one column.

    Args:
        described: The column's name and type, for error messages.
    """

    def __init__(self, described: str) -> None:
        self._described = described

    @abstractmethod
    def store_all(self, values: Row) -> Sequence[Any]:
        """Return the values as the database is to be given them, looking at each only where their classes demand it.

        Raises:
            ValidationError: If one of them would be changed or refused.
        """

    @abstractmethod
    def _stored(self, value: Any) -> Any:
        """Return a value as the database is to be given it.

        Raises:
            ValueError: If it would be changed or refused, with the reason.
            Exception: What the value's own methods raise.
        """

    def store(self, value: Any) -> Any:
        """Return a value as the database is to be given it.

        Raises:
            ValidationError: If it would be changed or refused.
        """
        try:
            return self._stored(value)
        except Exception as error:  # a value's own methods may raise anything
            problem = str(error) if type(error) is ValueError else describe_error(error)
            given = f"{shown(value)} ({class_of(value).__name__})"
            raise ValidationError(f"column {self._described} does not take {given}: {problem}") from None


def store_rows(columns: Sequence[ColumnValues], rows: list[Row]) -> tuple[list[Row], list[tuple[int, Exception]]]:
    """Convert rows to what the database is to be given: column by column where all is well, else row by row.

    Returns:
        The rows, and for each row with a value that would not be stored unchanged its position and the error.
    """
    if not rows:
        return rows, []
    given = list(zip(*rows, strict=True))
    stored = _stored(columns, given)
    if stored is None:
        return _store_each(columns, rows)
    if all(after is before for after, before in zip(stored, given, strict=True)):
        return rows, []
    return list(zip(*stored, strict=True)), []


def store_columns(
    columns: Sequence[ColumnValues], given: Sequence[Sequence[Any]]
) -> tuple[list[Row], list[tuple[int, Exception]]]:
    """Do what ``store_rows`` does with values that come column by column."""
    stored = _stored(columns, given)
    if stored is None:
        return _store_each(columns, list(zip(*given, strict=True)))
    return list(zip(*stored, strict=True)), []


def _stored(columns: Sequence[ColumnValues], given: Sequence[Any]) -> list[Sequence[Any]] | None:
    """Convert whole columns; ``None`` if one of the values cannot be stored unchanged."""
    try:
        return [column.store_all(values) for column, values in zip(columns, given, strict=True)]
    except ValidationError:
        return None


def _store_each(columns: Sequence[ColumnValues], rows: list[Row]) -> tuple[list[Row], list[tuple[int, Exception]]]:
    kept: list[Row] = []
    failures: list[tuple[int, Exception]] = []
    for at, row in enumerate(rows):
        try:
            kept.append(tuple(column.store(value) for column, value in zip(columns, row, strict=True)))
        except ValidationError as error:
            failures.append((at, error))
    return kept, failures
