"""Fields of a record type as columns of frames that are made of JSON objects."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timezone
from types import NoneType
from typing import Any

from mainstem.connect.json_lines_reader import finite_float, no_object, refuse_constant
from mainstem.connect.table_columns import members_of
from mainstem.frame_data import import_polars
from mainstem.records import field_hints

_CLOCK = r"\d\d:\d\d:\d\d(\.\d{1,6})?"
_DAY = r"\d{4}-\d\d-\d\d"


def _as_int(value: Any) -> int:
    if type(value) is not int:
        raise ValueError
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{value!r:.40} does not fit into 64 bits")
    return value


def _as_float(value: Any) -> float:
    if type(value) not in (int, float):
        raise ValueError
    try:
        return float(value)
    except OverflowError:
        raise ValueError("the number is too large for a float") from None


def _as_str(value: Any) -> str:
    if type(value) is not str:
        raise ValueError
    if not value.isascii():
        value.encode()  # half a surrogate pair cannot be held
    return value


def _as_bool(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError
    return value


def _from_text(pattern: str, parse: Callable[[str], Any]) -> Callable[[Any], Any]:
    matches = re.compile(pattern).fullmatch

    def parsed(value: Any) -> Any:
        if type(value) is not str or not value.isascii() or not matches(value):
            raise ValueError
        return parse(value)

    return parsed


def _utc(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=timezone.utc) if at.tzinfo is None else at.astimezone(timezone.utc)


_KINDS: dict[Any, tuple[str, Callable[[Any], Any]]] = {
    int: ("Int64", _as_int),
    float: ("Float64", _as_float),
    str: ("String", _as_str),
    bool: ("Boolean", _as_bool),
    date: ("Date", _from_text(_DAY, date.fromisoformat)),
    time: ("Time", _from_text(_CLOCK, time.fromisoformat)),
    datetime: ("Datetime", _from_text(rf"{_DAY}[T ]{_CLOCK}(Z|[+-]\d\d:\d\d)?", _utc)),
}
"""For each kind of field the column of Polars, and what takes the value of a JSON object, or raises ``ValueError``."""


class JsonFields:
    """The columns of a record type, and what makes them of objects; other keys of an object are passed over.

    Args:
        record_type: The record type.

    Attributes:
        schema: The columns, by name.
        required: Those that hold no null.

    Raises:
        TypeError: If no column holds one of its fields.
    """

    def __init__(self, record_type: type[Any]) -> None:
        polars = import_polars("JsonLinesSource(as_frames=True)")
        self.schema: dict[str, Any] = {}
        self.required: list[str] = []
        self._takers: list[tuple[str, str, bool, Callable[[Any], Any]]] = []
        for name, hint in (field_hints(record_type) or {}).items():
            kinds = set(members_of(hint))
            optional = NoneType in kinds
            kinds.discard(NoneType)
            kind: Any = float if kinds == {int, float} else next(iter(kinds)) if len(kinds) == 1 else object
            if kind not in _KINDS:
                raise TypeError(
                    f"field {name!r} of {record_type.__name__} is {hint!r}, which frames are not read into: read "
                    "records, and make frames of those with ToFrames"
                )
            column, take = _KINDS[kind]
            self.schema[name] = polars.Datetime("us", "UTC") if kind is datetime else getattr(polars, column)
            self.required += [] if optional else [name]
            self._takers.append((name, kind.__name__, optional, take))
        self._decode = json.JSONDecoder(
            object_pairs_hook=_Pairs, parse_constant=refuse_constant, parse_float=finite_float
        ).decode

    def row_of(self, line: bytes, partitions: Mapping[str, str | None]) -> list[Any]:
        """Return the values of the columns in a line, looked at one by one.

        Args:
            line: The line.
            partitions: Fields that every object gets.

        Raises:
            ValueError: If it is no object, or a value is not of its column.
        """
        pairs = self._decode(line.decode("utf-8"))
        if type(pairs) is not _Pairs:
            raise no_object(pairs)
        fields: dict[str, Any] = dict(pairs)
        if len(fields) != len(pairs):
            self._check_once([key for key, _ in pairs])
        both = next((key for key in partitions if key in fields), None)
        if both is not None:
            raise ValueError(f"it has a key {both!r}, and a folder of that name stands for a field")
        fields.update(partitions)
        return [_value(fields, *taker) for taker in self._takers]

    def _check_once(self, keys: list[str]) -> None:
        repeated = next((key for at, key in enumerate(keys) if key in self.schema and key in keys[:at]), None)
        if repeated is not None:
            raise ValueError(f"the key {repeated!r} is there more than once")


class _Pairs(list[tuple[str, Any]]):
    """The keys and values of an object."""


def _value(fields: Mapping[str, Any], name: str, kind: str, optional: bool, take: Callable[[Any], Any]) -> Any:
    value = fields.get(name)
    if value is None:
        if optional:
            return None
        raise ValueError(f"field {name!r} is {'null' if name in fields else 'missing'}, and no {kind}")
    try:
        return take(value)
    except ValueError as error:
        reason = str(error) or f"{'an object' if type(value) is _Pairs else repr(value)[:200]} is no {kind}"
        raise ValueError(f"field {name!r}: {reason}") from None
