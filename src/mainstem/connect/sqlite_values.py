"""Values as SQLite holds them, and no value that it would change."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from itertools import repeat
from operator import contains
from typing import Any
from uuid import UUID

from mainstem.connect.column_values import ColumnValues
from mainstem.connect.rows import Row, class_of
from mainstem.connect.sqlite_columns import Affinity, Column

_PLAIN = frozenset((type(None), bool, int, float, str, bytes))
_LOOKS_NUMERIC = re.compile(r"[ \t\n\v\f\r]*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[ \t\n\v\f\r]*", re.ASCII)


def plain_value(value: Any) -> Any:
    """Return the value in one of the forms that SQLite has.

    Raises:
        ValueError: If it has none that is the same.
    """
    kind = class_of(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, Enum):
        return plain_value(value.value)
    if kind in (datetime, date, time):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    # Not as a class of their own may show them: what they are is stored.
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, str):
        return str.__str__(value)
    raise ValueError("it has no form in SQLite that is the same")


def _may_be_numbers(texts: Sequence[str]) -> bool:
    # A time of day in each, as ISO texts have it, is quicker to see than that none is a number.
    return not all(map(contains, texts, repeat(":"))) and any(map(_LOOKS_NUMERIC.fullmatch, texts))


class SqliteValues(ColumnValues):
    """Checks and converts the values of one column.

    Args:
        column: The column.
    """

    def __init__(self, column: Column) -> None:
        super().__init__(f"{column.name!r} ({column.declared or 'without a type'})")
        self._column = column
        self._affinity = column.affinity

    def store_all(self, values: Row) -> Sequence[Any]:
        affinity = self._affinity
        # Joining texts and adding integers tells what they are several times faster than asking each for its class.
        try:
            if affinity is Affinity.TEXT:
                if "\0" not in "".join(values):
                    return values
            elif affinity is not Affinity.REAL and type(sum(values)) is int:
                return values  # one over 64 bits is refused when it is bound
        except Exception:
            pass  # other classes are among them, which may raise anything when they are added
        kinds = set(map(type, values))
        has_none = type(None) in kinds
        if has_none and self._column.key:
            return list(map(self.store, values))
        kinds.discard(type(None))
        if not kinds or kinds == {bytes}:
            return values
        present: Sequence[Any] = [value for value in values if value is not None] if has_none else values
        if kinds == {datetime} and not has_none and affinity not in (Affinity.INTEGER, Affinity.REAL):
            return list(map(datetime.isoformat, values))
        return values if self._all_fit(kinds, present) else list(map(self.store, values))

    def _all_fit(self, kinds: set[type[Any]], values: Sequence[Any]) -> bool:
        """Whether values of these classes are all stored unchanged."""
        affinity = self._affinity
        if kinds == {str}:
            if affinity is Affinity.NUMERIC and _may_be_numbers(values):
                return False
            return affinity not in (Affinity.INTEGER, Affinity.REAL) and "\0" not in "".join(values)
        if kinds == {float}:
            total = sum(values)
            return affinity in (Affinity.REAL, Affinity.BLOB) and bool(total == total)  # with NaN it would be NaN
        return kinds <= {int, bool} and affinity in (Affinity.INTEGER, Affinity.NUMERIC, Affinity.BLOB)

    def _stored(self, value: Any) -> Any:
        plain = plain_value(value)
        problem = self._problem_with(plain)
        if problem:
            raise ValueError(problem)
        return plain

    def _problem_with(self, value: Any) -> str:
        if value is None:
            return "a key cannot be None" if self._column.key else ""
        if isinstance(value, str):
            return self._problem_with_text(value)
        if isinstance(value, float):
            return self._problem_with_float(value)
        if isinstance(value, int):
            return self._problem_with_integer(value)
        return ""

    def _problem_with_text(self, value: str) -> str:
        if "\0" in value:
            return "it has a NUL character in it, where SQLite's text functions would end it"
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return "it has half a surrogate pair in it, which UTF-8 cannot hold"
        if self._affinity in (Affinity.INTEGER, Affinity.REAL):
            return "the column holds numbers, and SQLite turns texts that look like one into one"
        if self._affinity is Affinity.NUMERIC and _LOOKS_NUMERIC.fullmatch(value):
            return "SQLite would turn it into a number; declare the column TEXT"
        return ""

    def _problem_with_float(self, value: float) -> str:
        if value != value:
            return "SQLite would store NULL"
        if self._affinity is Affinity.TEXT:
            return "SQLite would turn it into a text"
        if self._affinity in (Affinity.INTEGER, Affinity.NUMERIC) and value.is_integer():
            return "SQLite would turn it into an integer; declare the column REAL, or give an int"
        return ""

    def _problem_with_integer(self, value: int) -> str:
        if not -(2**63) <= value < 2**63:
            return "SQLite's integers have 64 bits"
        if self._affinity is Affinity.TEXT:
            return "SQLite would turn it into a text"
        if self._affinity is Affinity.REAL and (isinstance(value, bool) or int(float(value)) != value):
            return "SQLite would turn it into another float"
        return ""
