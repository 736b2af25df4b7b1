"""Values as DuckDB holds them, by way of Arrow, and no value that it would change.

| column | takes |
| --- | --- |
| integers | ``int`` in its range (``HUGEINT``: 38 digits), ``bool`` as 0 or 1 |
| ``BOOLEAN`` | ``bool`` |
| ``DOUBLE``, ``FLOAT`` | ``float``, NaN too, and ``int``, if it stays the same |
| ``DECIMAL`` | ``Decimal`` and ``int`` with no more digits than it has |
| ``VARCHAR`` | ``str``; ``UUID`` as its text |
| ``BLOB``, ``DATE``, ``INTERVAL``, ``UUID`` | ``bytes``, ``date``, ``timedelta``, ``UUID`` |
| ``TIME``, ``TIMESTAMP`` and those of other units | ``time`` and ``datetime`` without time zone, with no more digits |
| ``TIMESTAMP WITH TIME ZONE`` | ``datetime`` with time zone: the same moment |

Members of an ``Enum`` are their values. What any other type, as a list, ``ENUM`` or ``JSON``, makes of a value is seen
by casting it and comparing what comes back.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from mainstem.connect.column_values import ColumnValues
from mainstem.connect.duckdb_columns import Column
from mainstem.connect.rows import Row, class_of, shown

_BITS = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64}
_UNITS = {"TIMESTAMP": 1, "TIMESTAMP_S": 1_000_000, "TIMESTAMP_MS": 1_000, "TIMESTAMP_NS": 1}
_CLASSES: dict[str, type[Any]] = {
    "BOOLEAN": bool,
    "BLOB": bytes,
    "DATE": date,
    "INTERVAL": timedelta,
    "UUID": UUID,
}
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


class DuckdbValues(ColumnValues):
    """Checks and converts the values of one column.

    Args:
        column: The column.
        cast: Returns what the database makes of a value of the column's type.
    """

    def __init__(self, column: Column, cast: Callable[[Any], Any]) -> None:
        super().__init__(f"{column.name!r} ({column.declared})")
        self._column, self._cast = column, cast
        self._kind = kind = column.declared
        self._low, self._high = range_of(kind) or (0, -1)
        decimal = _DECIMAL.fullmatch(kind)
        self._precision, self._scale = map(int, decimal.groups()) if decimal else (0, 0)

    def arrow_type(self, arrow: Any) -> Any:
        """Return the type of Arrow in which values are handed over; ``None`` where their own tells."""
        kind = self._kind
        if self._precision:
            return arrow.decimal128(self._precision, self._scale)
        if kind == "HUGEINT":
            return arrow.decimal128(38, 0)
        if kind in _UNITS:
            return arrow.timestamp("ns" if kind == "TIMESTAMP_NS" else "us")
        return {
            "BOOLEAN": arrow.bool_(),
            "TINYINT": arrow.int8(),
            "SMALLINT": arrow.int16(),
            "INTEGER": arrow.int32(),
            "BIGINT": arrow.int64(),
            "UTINYINT": arrow.uint8(),
            "USMALLINT": arrow.uint16(),
            "UINTEGER": arrow.uint32(),
            "UBIGINT": arrow.uint64(),
            "DOUBLE": arrow.float64(),
            "FLOAT": arrow.float32(),
            "VARCHAR": arrow.string(),
            "UUID": arrow.string(),
            "BLOB": arrow.binary(),
            "DATE": arrow.date32(),
            "TIME": arrow.time64("us"),
            "INTERVAL": arrow.duration("us"),
            "TIMESTAMP WITH TIME ZONE": arrow.timestamp("us", "UTC"),
        }.get(kind)

    def store_all(self, values: Row) -> Sequence[Any]:
        kinds = set(map(type, values))
        if class_of(None) in kinds:
            return list(map(self.store, values))
        if kinds == {str} and self._kind == "VARCHAR":
            try:
                "".join(values).encode("utf-8")
            except UnicodeEncodeError:
                return list(map(self.store, values))
            return values
        if kinds == {int} and self._low <= min(values) and max(values) <= self._high:
            return values
        if kinds == {float} and self._kind == "DOUBLE":
            return values
        return list(map(self.store, values))

    def _stored(self, value: Any) -> Any:
        while isinstance(value, Enum):
            value = value.value
        if value is None:
            if not self._column.nullable:
                raise ValueError("the column takes no NULL")
            return None
        kind = self._kind
        if self._high >= self._low:
            return self._integer(value)
        if kind in _CLASSES:
            return self._of_class(value, _CLASSES[kind])
        if kind in ("DOUBLE", "FLOAT"):
            return self._float(value)
        if self._precision:
            return self._decimal(value)
        if kind == "VARCHAR":
            return self._text(value)
        if kind in _UNITS or kind == "TIMESTAMP WITH TIME ZONE":
            return self._moment(value)
        if kind == "TIME":
            return self._time(value)
        return self._tried(value)

    def _integer(self, value: Any) -> int:
        if not isinstance(value, int):
            raise ValueError("the column holds integers")
        if not self._low <= value <= self._high:
            raise ValueError(f"the column holds integers from {self._low} to {self._high}")
        return int.__int__(value)

    def _of_class(self, value: Any, wanted: type[Any]) -> Any:
        if class_of(value) is not wanted:
            raise ValueError(f"the column holds values of the class {wanted.__name__}")
        return str(value) if wanted is UUID else value

    def _float(self, value: Any) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise ValueError("the column holds floating point numbers")
        number = float(value)
        if isinstance(value, int) and int(number) != value:
            raise ValueError("it would become another number")
        if self._kind == "FLOAT" and math.isfinite(number):
            try:
                kept = struct.unpack("f", struct.pack("f", number))[0]
            except OverflowError:
                kept = math.inf
            if kept != number:
                raise ValueError("it would become another number: make the column DOUBLE")
        return number

    def _decimal(self, value: Any) -> Decimal:
        if not isinstance(value, (int, Decimal)) or isinstance(value, bool):
            raise ValueError("the column holds decimals: give a Decimal or an int")
        number = Decimal(value)
        if not number.is_finite():
            raise ValueError("the column holds no NaN and nothing infinite")
        _, digits, exponent = number.as_tuple()
        assert isinstance(exponent, int)
        while digits and digits[-1] == 0 and exponent < 0:
            digits, exponent = digits[:-1], exponent + 1
        whole = max(0, len(digits) + exponent) if any(digits) else 0
        before = self._precision - self._scale
        if -exponent > self._scale or whole > before:
            raise ValueError(f"the column holds {before} digits before the point and {self._scale} after it")
        return number

    def _text(self, value: Any) -> str:
        text = str(value) if isinstance(value, UUID) else value
        if not isinstance(text, str):
            raise ValueError("the column holds texts")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("it has half a surrogate pair in it, which UTF-8 cannot hold") from None
        return str.__str__(text)

    def _moment(self, value: Any) -> datetime:
        if class_of(value) is not datetime:
            raise ValueError("the column holds a date and a time")
        if self._kind not in _UNITS:
            if value.utcoffset() is None:
                raise ValueError("the column holds moments: give the datetime a time zone")
        elif value.tzinfo is not None:
            raise ValueError("the column keeps no time zone")
        elif value.microsecond % _UNITS[self._kind]:
            raise ValueError("the column holds fewer digits of a second")
        elif self._kind == "TIMESTAMP_NS" and not 1678 <= value.year <= 2261:
            raise ValueError("the column holds the years 1678 to 2261")
        moment: datetime = value
        return moment

    def _time(self, value: Any) -> time:
        if class_of(value) is not time or value.tzinfo is not None:
            raise ValueError("the column holds times of day without time zone")
        of_day: time = value
        return of_day

    def _tried(self, value: Any) -> Any:
        kept = self._cast(value)
        if class_of(kept) is not class_of(value) or kept != value:
            raise ValueError(f"it would become {shown(kept)} ({class_of(kept).__name__})")
        return value


def range_of(kind: str) -> tuple[int, int] | None:
    """Return the least and the greatest integer that a type holds and Arrow hands over; ``None`` if it holds others."""
    if kind == "HUGEINT":
        return -(10**38) + 1, 10**38 - 1
    if kind in _BITS:
        return -(2 ** (_BITS[kind] - 1)), 2 ** (_BITS[kind] - 1) - 1
    if kind[:1] == "U" and kind[1:] in _BITS:
        return 0, 2 ** _BITS[kind[1:]] - 1
    return None
