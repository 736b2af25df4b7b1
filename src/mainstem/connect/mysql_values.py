"""Values as MariaDB and MySQL hold them, and no value that they would change.

| column | takes |
| --- | --- |
| integers | ``int`` in its range, ``bool`` as 0 or 1 |
| ``double``, ``float`` | ``float`` that is finite, ``int``; each only if it stays the same |
| ``decimal`` | ``Decimal`` and ``int`` with no more digits than it has |
| texts | ``str`` that fits, ``UUID``; for ``char`` without spaces at the end, which would be lost |
| binary | ``bytes`` that fit; for ``binary(n)`` exactly n of them |
| ``date``, ``time`` | the same, without time zone |
| ``datetime`` | ``datetime`` without time zone |
| ``timestamp`` | ``datetime`` with time zone, the same moment in UTC, from 1970 to 2038 |

Members of an ``Enum`` are their values. What any other type, as ``enum``, ``uuid`` or ``json``, makes of a value is
seen by storing it in a temporary table and reading it again: ``mysql_trial``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from mainstem.connect.column_values import ColumnValues
from mainstem.connect.mysql_columns import Column
from mainstem.connect.rows import Row, class_of
from mainstem.errors import ValidationError

_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_TEXTS = frozenset(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"))
_BYTES = frozenset(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"))
_FIRST = datetime(1970, 1, 1, 0, 0, 1, tzinfo=timezone.utc)
_LAST = datetime(2038, 1, 19, 3, 14, 7, 999999, tzinfo=timezone.utc)


class MysqlValues(ColumnValues):
    """Checks and converts the values of one column.

    Args:
        column: The column.
        largest: Bytes of a text, or bytes, that the server takes at once.

    Attributes:
        is_known: Whether the column's type is in the table; values for others are only checked to be None or not.
    """

    def __init__(self, column: Column, largest: int) -> None:
        super().__init__(f"{column.name!r} ({column.declared})")
        self._column = column
        self._largest = largest
        kind = column.kind
        self._low = self._high = 0
        check: Callable[[Any], Any] | None = {
            "double": self._double,
            "float": self._single,
            "decimal": self._decimal,
            "date": self._date,
            "time": self._time,
            "datetime": self._datetime,
            "timestamp": self._timestamp,
        }.get(kind)
        if kind in _BITS:
            bits = _BITS[kind]
            self._low, self._high = (0, 2**bits - 1) if column.unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
            check = self._integer
        elif kind in _TEXTS:
            check = self._text
        elif kind in _BYTES:
            check = self._bytes
        self.is_known = check is not None
        self._check: Callable[[Any], Any] = check or (lambda value: value)

    def store_all(self, values: Row) -> Sequence[Any]:
        if self.is_known and class_of(None) not in (kinds := set(map(type, values))):
            kind = self._column.kind
            if kinds == {int} and kind in _BITS and self._low <= min(values) and max(values) <= self._high:
                return values
            if kinds == {float} and kind == "double" and math.isfinite(sum(values)):
                return values
            if kinds == {str} and kind in _TEXTS and kind != "char" and self._all_fit(values):
                return values
        return list(map(self.store, values))

    def _all_fit(self, values: Sequence[str]) -> bool:
        column = self._column
        most = min(each for each in (column.length, column.octets, self._largest) if each is not None)
        if max(map(len, values)) > most // 4:
            return False
        try:
            "".join(values).encode("utf-8")
        except UnicodeEncodeError:
            return False
        return True

    def _stored(self, value: Any) -> Any:
        while isinstance(value, Enum):
            value = value.value
        if value is None:
            if not self._column.nullable:
                raise ValueError("the column takes no NULL")
            return None
        return self._check(value)

    def _integer(self, value: Any) -> Any:
        if not isinstance(value, int):
            raise ValueError("the column holds integers")
        if not self._low <= value <= self._high:
            raise ValueError(f"the column holds integers from {self._low} to {self._high}")
        return int.__int__(value)

    def _double(self, value: Any) -> Any:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise ValueError("the column holds floating point numbers")
        if isinstance(value, int):
            if int(float(value)) != value:
                raise ValueError("it would become another number")
            return float(value)
        if not math.isfinite(value):
            raise ValueError("the column holds no NaN and nothing infinite")
        return float.__float__(value)

    def _single(self, value: Any) -> Any:
        number = self._double(value)
        # Six digits are what the server gives back of it.
        if number and (float(f"{number:.6g}") != number or not 1.18e-38 <= abs(number) <= 3.4e38):
            raise ValueError("it has more digits than a column of this type gives back: make it DOUBLE")
        return number

    def _decimal(self, value: Any) -> Any:
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
        precision, scale = self._column.precision or 0, self._column.scale
        if -exponent > scale or whole > precision - scale or (self._column.unsigned and number < 0):
            raise ValueError(f"the column holds {precision - scale} digits before the point and {scale} after it")
        return number

    def _text(self, value: Any) -> Any:
        if isinstance(value, UUID):
            value = str(value)
        if not isinstance(value, str):
            raise ValueError("the column holds texts")
        column, text = self._column, str.__str__(value)
        try:
            size = len(text.encode("utf-8"))
        except UnicodeEncodeError:
            raise ValueError("it has half a surrogate pair in it, which UTF-8 cannot hold") from None
        if column.length is not None and len(text) > column.length:
            raise ValueError(f"the column holds {column.length} characters")
        if column.octets is not None and size > column.octets and column.charset.startswith("utf8"):
            raise ValueError(f"the column holds {column.octets} bytes")
        if column.kind == "char" and text.endswith(" "):
            raise ValueError("the spaces at its end would be lost: make the column VARCHAR")
        self._check_size(size)
        return text

    def _bytes(self, value: Any) -> Any:
        if not isinstance(value, bytes):
            raise ValueError("the column holds bytes")
        column = self._column
        if column.length is not None and len(value) > column.length:
            raise ValueError(f"the column holds {column.length} bytes")
        if column.kind == "binary" and len(value) != column.length:
            raise ValueError(f"the column would fill it up to {column.length} bytes: make it VARBINARY")
        self._check_size(len(value))
        return bytes(value)

    def _check_size(self, size: int) -> None:
        if size > self._largest:
            raise ValueError(f"it has {size:,} bytes, and the server takes {self._largest:,}: raise max_allowed_packet")

    def _date(self, value: Any) -> Any:
        if class_of(value) is not date:
            raise ValueError("the column holds dates")
        return value

    def _time(self, value: Any) -> Any:
        if class_of(value) is not time or value.tzinfo is not None:
            raise ValueError("the column holds times of day without time zone")
        self._check_fraction(value.microsecond)
        return value

    def _datetime(self, value: Any) -> Any:
        if class_of(value) is not datetime or value.tzinfo is not None:
            raise ValueError("the column holds a date and a time without time zone")
        self._check_fraction(value.microsecond)
        return value

    def _timestamp(self, value: Any) -> Any:
        if class_of(value) is not datetime or value.utcoffset() is None:
            raise ValueError("the column holds moments: give the datetime a time zone, or make the column DATETIME")
        if not _FIRST <= value <= _LAST:
            raise ValueError("the column holds moments from 1970 to January 2038: make it DATETIME")
        self._check_fraction(value.microsecond)
        return value.astimezone(timezone.utc).replace(tzinfo=None)

    def _check_fraction(self, microsecond: int) -> None:
        digits = self._column.fraction
        if microsecond % 10 ** (6 - digits):
            raise ValueError(f"the column holds {digits} digits of a fraction of a second")


def refused(column: Column, value: object, kept: object) -> ValidationError:
    """Return the error that says what the database would make of a value."""
    return ValidationError(
        f"column {column.name!r} ({column.declared}) does not take {value!r:.100} ({class_of(value).__name__}): it "
        f"would become {kept!r:.100} ({class_of(kept).__name__})"
    )
