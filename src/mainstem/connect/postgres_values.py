"""Values as PostgreSQL holds them, and no value that it would change or refuse."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from mainstem.connect.column_values import ColumnValues
from mainstem.connect.postgres_columns import Column
from mainstem.connect.rows import Row, class_of

_INTEGERS = {"int2": 15, "int4": 31, "int8": 63}
_FLOATS = ("float4", "float8")
_TEXTS = ("text", "varchar", "bpchar", "citext")
_EXACT_INT = 1 << 53
_PARTS = re.compile(r"^interval [a-z]")
_CLASSES: dict[str, type[Any]] = {
    "bool": bool,
    "bytea": bytes,
    "date": date,
    "time": time,
    "interval": timedelta,
    "uuid": UUID,
}
BINARY = frozenset((*_INTEGERS, *_FLOATS, *_TEXTS, *_CLASSES, "numeric", "timestamp", "timestamptz"))
"""Types that are sent in binary; rows with any other go as text, which every type can read."""
_SENT_AS = {"bpchar": "text", "citext": "text"}
"""Types that are read from the same bytes as another, which the driver knows."""


def sent_types(columns: Iterable[Column]) -> list[str] | None:
    """Return the types by which values are sent in binary; ``None`` if rows are to be sent as text."""
    kinds = [_SENT_AS.get(each.kind, each.kind) for each in columns]
    return kinds if BINARY.issuperset(each.kind for each in columns) else None


class PostgresValues(ColumnValues):
    """Checks and converts the values of one column.

    Args:
        column: The column.
    """

    def __init__(self, column: Column) -> None:
        super().__init__(f"{column.name!r} ({column.declared})")
        self._column = column
        self._check = _check_for(column)

    def store_all(self, values: Row) -> Sequence[Any]:
        column = self._column
        kinds = set(map(type, values))
        if type(None) in kinds and column.nullable:
            kinds.discard(type(None))
            given: Sequence[Any] = [value for value in values if value is not None]
        else:
            given = values
        if not kinds:
            return values
        if len(kinds) == 1 and self._all_fit(kinds.pop(), given):
            return values
        return list(map(self.store, values))

    def _all_fit(self, kind: Any, values: Sequence[Any]) -> bool:
        """Whether all values, which are of one class, can be sent as they are."""
        column = self._column
        if kind is str and column.kind in _TEXTS:
            joined = "".join(values)
            if "\0" in joined or not (joined.isascii() or _is_encodable(joined)):
                return False
            if column.length is None:
                return True
            longest, shortest = max(map(len, values)), min(map(len, values))
            return longest <= column.length and (column.kind != "bpchar" or shortest == column.length)
        if kind is int and column.kind in _INTEGERS:
            bound = 1 << _INTEGERS[column.kind]
            return bool(-bound <= min(values) and max(values) < bound)
        if kind is float and column.kind == "float8":
            return True
        if column.fraction is not None or _PARTS.search(column.declared):
            return False
        if kind is datetime and column.kind in ("timestamp", "timestamptz"):
            naive = [value.tzinfo is None for value in values]
            return all(naive) if column.kind == "timestamp" else not any(naive)
        return kind is _CLASSES.get(column.kind) and kind is not time

    def _stored(self, value: Any) -> Any:
        while isinstance(value, Enum):
            value = value.value
        if value is None:
            if self._column.nullable:
                return None
            raise ValueError("the column is NOT NULL")
        return self._check(value)


def _check_for(column: Column) -> Callable[[Any], Any]:
    kind = column.kind
    if column.element is not None:
        check = _check_for(replace(column, kind=column.element, element=None))
        return lambda value: _array(value, check)
    if kind in _INTEGERS:
        return lambda value: _integer(value, _INTEGERS[kind])
    if kind in _FLOATS:
        return lambda value: _float(value, single=kind == "float4")
    if kind in _TEXTS:
        return lambda value: _text(value, column.length, padded=kind == "bpchar")
    if kind == "numeric":
        return lambda value: _numeric(value, column)
    if kind in ("timestamp", "timestamptz"):
        return lambda value: _timestamp(value, column)
    if kind in ("json", "jsonb"):
        return _json
    if kind in ("money", "name"):
        return _refuse
    wanted = _CLASSES.get(kind)
    if wanted is None:
        return _other
    return lambda value: _of_class(value, wanted, column)


def _integer(value: Any, bits: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("the column holds integers")
    number = int.__int__(value)  # not as a class of its own may show it
    if not -(1 << bits) <= number < 1 << bits:
        raise ValueError(f"the column's integers have {bits + 1} bits")
    return number


def _float(value: Any, *, single: bool) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("the column holds floats")
    if isinstance(value, int) and not -_EXACT_INT <= int.__int__(value) <= _EXACT_INT:
        raise ValueError("as a float it would be another number")
    number = float(int.__int__(value)) if isinstance(value, int) else float.__float__(value)
    if single and number == number:
        import struct

        if struct.unpack("f", struct.pack("f", number))[0] != number:
            raise ValueError("the column's floats have 32 bits, and it would be another number")
    return number


def _text(value: Any, length: int | None, *, padded: bool = False) -> str:
    if not isinstance(value, str):
        raise ValueError("the column holds texts")
    text = str.__str__(value)
    if "\0" in text:
        raise ValueError("it has a NUL character in it, which PostgreSQL's texts cannot hold")
    if not _is_encodable(text):
        raise ValueError("it has half a surrogate pair in it, which UTF-8 cannot hold")
    if length is not None and len(text) > length:
        raise ValueError(f"it has {len(text):,} characters, and the column takes {length:,}")
    if padded and length is not None and len(text) < length:
        raise ValueError(f"the column would add blanks to it, up to {length:,} characters; declare it varchar")
    return text


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _numeric(value: Any, column: Column) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise ValueError("the column holds numbers")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("it is no number")
    number = Decimal(float.__repr__(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        raise ValueError("it is no number")
    if column.precision is not None and number:
        _check_digits(number, column.precision, column.scale)
    return number


def _check_digits(number: Decimal, precision: int, scale: int) -> None:
    """Check that a column keeps all digits; not by ``normalize``, which keeps no more than the context says.

    Raises:
        ValueError: If it does not.
    """
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    zeros = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    after, before = -(exponent + zeros), len(digits) + exponent
    if after > scale:
        if scale < 0:
            raise ValueError(f"the column keeps multiples of {10**-scale}")
        raise ValueError(f"it has {after} digits after the point, and the column keeps {scale}")
    if before > precision - scale:
        raise ValueError(f"it has {before} digits before the point, and the column keeps {precision - scale}")


def _timestamp(value: Any, column: Column) -> datetime:
    if not isinstance(value, datetime):
        raise ValueError("the column holds points in time")
    _check_class(value, datetime)
    _check_fraction(value.microsecond, column)
    aware = column.kind == "timestamptz"
    if aware and value.tzinfo is None:
        raise ValueError("it has no time zone, and the column's values have one")
    if not aware and value.tzinfo is not None:
        raise ValueError("it has a time zone, which the column does not keep")
    return value


def _of_class(value: Any, wanted: type[Any], column: Column) -> Any:
    if not isinstance(value, wanted) or (wanted is date and isinstance(value, datetime)):
        raise ValueError(f"the column holds values of {wanted.__name__}")
    _check_class(value, wanted)
    if wanted is time and value.tzinfo is not None:
        raise ValueError("it has a time zone, which the column does not keep")
    if wanted is time:
        _check_fraction(value.microsecond, column)
    if wanted is timedelta:
        if _PARTS.search(column.declared):
            raise ValueError("the column keeps only some parts of a span; declare it interval")
        _check_fraction(value.microseconds, column)
    return value


def _check_class(value: object, wanted: type[Any]) -> None:
    """Check that a value is of a class itself: one of a class of its own, such as pandas.Timestamp, may hold more.

    Raises:
        ValueError: If it is not.
    """
    if class_of(value) is not wanted:
        raise ValueError(f"it may hold more than a {wanted.__name__}: turn it into one before")


def _check_fraction(microseconds: int, column: Column) -> None:
    if column.fraction is not None and microseconds % 10 ** max(0, 6 - column.fraction):
        raise ValueError(f"the column keeps {column.fraction} digits of the fraction of a second")


def _array(value: Any, check: Callable[[Any], Any]) -> list[Any]:
    if class_of(value) is not list:
        raise ValueError("the column holds lists")
    return [None if each is None else _array(each, check) if class_of(each) is list else check(each) for each in value]


def _json(value: Any) -> Any:
    from psycopg.types.json import Jsonb

    text = json.dumps(value, allow_nan=False)
    if "\\u0000" in text:
        raise ValueError("it has a NUL character in it, which jsonb cannot hold")
    if json.loads(text) != value:
        raise ValueError("as JSON it would be another value")
    return Jsonb(value)


def _refuse(value: Any) -> Any:
    raise ValueError("the column rounds or cuts off what it is given; declare it numeric or text")


def _other(value: Any) -> Any:
    """Pass on a value of a type that only the database knows, and will refuse if it is none."""
    if isinstance(value, str):
        return _text(value, None)
    return value
