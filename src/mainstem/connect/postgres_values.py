"""Values as PostgreSQL holds them, and no value that it would change or refuse."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from mainstem.connect.postgres_columns import Column
from mainstem.connect.rows import Row, class_of, shown
from mainstem.errors import ValidationError, describe_error

_INTEGERS = {"int2": 15, "int4": 31, "int8": 63}
_FLOATS = ("float4", "float8")
_TEXTS = ("text", "varchar", "bpchar")
_EXACT_INT = 1 << 53
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


class PostgresValues:
    """Checks and converts the values of one column.

    Args:
        column: The column.
    """

    def __init__(self, column: Column) -> None:
        self._column = column
        self._check = _check_for(column)

    def store_all(self, values: Row) -> Sequence[Any]:
        """Return the values as the database is to be given them, looking at each only where their classes demand it.

        Raises:
            ValidationError: If one of them would be changed or refused.
        """
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
            return bool(column.length is None or max(map(len, values)) <= column.length)
        if kind is int and column.kind in _INTEGERS:
            bound = 1 << _INTEGERS[column.kind]
            return bool(-bound <= min(values) and max(values) < bound)
        if kind is float and column.kind == "float8":
            return True
        if kind is datetime and column.kind in ("timestamp", "timestamptz"):
            naive = [value.tzinfo is None for value in values]
            return all(naive) if column.kind == "timestamp" else not any(naive)
        return kind is _CLASSES.get(column.kind) and kind is not time

    def store(self, value: Any) -> Any:
        """Return a value as the database is to be given it.

        Raises:
            ValidationError: If it would be changed or refused.
        """
        try:
            while isinstance(value, Enum):
                value = value.value
            if value is None:
                if self._column.nullable:
                    return None
                raise ValueError("the column is NOT NULL")
            return self._check(value)
        except Exception as error:  # a value's own methods may raise anything
            problem = str(error) if type(error) is ValueError else describe_error(error)
            column = self._column
            raise ValidationError(
                f"column {column.name!r} ({column.declared}) does not take {shown(value)} ({class_of(value).__name__})"
                f": {problem}"
            ) from None


def _check_for(column: Column) -> Callable[[Any], Any]:
    kind = column.kind
    if kind in _INTEGERS:
        return lambda value: _integer(value, _INTEGERS[kind])
    if kind in _FLOATS:
        return lambda value: _float(value, single=kind == "float4")
    if kind in _TEXTS:
        return lambda value: _text(value, column.length)
    if kind == "numeric":
        return lambda value: _numeric(value, column)
    if kind in ("timestamp", "timestamptz"):
        return lambda value: _timestamp(value, aware=kind == "timestamptz")
    if kind in ("json", "jsonb"):
        return _json
    wanted = _CLASSES.get(kind)
    if wanted is None:
        return _other
    return lambda value: _of_class(value, wanted)


def _integer(value: Any, bits: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("the column holds integers")
    if not -(1 << bits) <= value < 1 << bits:
        raise ValueError(f"the column's integers have {bits + 1} bits")
    return int(value)


def _float(value: Any, *, single: bool) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("the column holds floats")
    if isinstance(value, int) and abs(value) > _EXACT_INT:
        raise ValueError("as a float it would be another number")
    number = float(value)
    if single and number == number:
        import struct

        if struct.unpack("f", struct.pack("f", number))[0] != number:
            raise ValueError("the column's floats have 32 bits, and it would be another number")
    return number


def _text(value: Any, length: int | None) -> str:
    if not isinstance(value, str):
        raise ValueError("the column holds texts")
    text = str(value) if type(value) is not str else value
    if "\0" in text:
        raise ValueError("it has a NUL character in it, which PostgreSQL's texts cannot hold")
    if not _is_encodable(text):
        raise ValueError("it has half a surrogate pair in it, which UTF-8 cannot hold")
    if length is not None and len(text) > length:
        raise ValueError(f"it has {len(text):,} characters, and the column takes {length:,}")
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
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        raise ValueError("it is no number")
    if column.precision is not None:
        _, digits, exponent = number.normalize().as_tuple()
        scale = max(0, -exponent) if isinstance(exponent, int) else 0
        whole = len(digits) + (exponent if isinstance(exponent, int) else 0)
        if scale > column.scale:
            raise ValueError(f"it has {scale} digits after the point, and the column keeps {column.scale}")
        if number and whole > column.precision - column.scale:
            raise ValueError(
                f"it has {whole} digits before the point, and the column keeps {column.precision - column.scale}"
            )
    return number


def _timestamp(value: Any, *, aware: bool) -> datetime:
    if not isinstance(value, datetime):
        raise ValueError("the column holds points in time")
    if aware and value.tzinfo is None:
        raise ValueError("it has no time zone, and the column's values have one")
    if not aware and value.tzinfo is not None:
        raise ValueError("it has a time zone, which the column does not keep")
    return value


def _of_class(value: Any, wanted: type[Any]) -> Any:
    if not isinstance(value, wanted) or (wanted is date and isinstance(value, datetime)):
        raise ValueError(f"the column holds values of {wanted.__name__}")
    if isinstance(value, time) and value.tzinfo is not None:
        raise ValueError("it has a time zone, which the column does not keep")
    return value


def _json(value: Any) -> Any:
    from psycopg.types.json import Jsonb

    text = json.dumps(value, allow_nan=False)
    if "\\u0000" in text:
        raise ValueError("it has a NUL character in it, which jsonb cannot hold")
    if json.loads(text) != value:
        raise ValueError("as JSON it would be another value")
    return Jsonb(value)


def _other(value: Any) -> Any:
    """Pass on a value of a type that only the database knows, and will refuse if it is none."""
    if isinstance(value, str):
        return _text(value, None)
    return value
