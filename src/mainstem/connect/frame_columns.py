"""Columns of frames: which one holds a field of a record type, and which values it takes unchanged."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from types import NoneType
from typing import TYPE_CHECKING, Any

from mainstem.connect.column_values import ColumnValues
from mainstem.connect.table_columns import members_of
from mainstem.frame_data import import_polars
from mainstem.records import field_hints

if TYPE_CHECKING:
    import polars

_KINDS = {
    bool: "Boolean",
    int: "Int64",
    float: "Float64",
    str: "String",
    bytes: "Binary",
    date: "Date",
    time: "Time",
    timedelta: "Duration",
}
"""The columns of Polars for classes of Python; times count microseconds, as those of Python do."""


def columns_of(record_type: type[Any], purpose: str = "ToFrames") -> dict[str, Any]:
    """Return the columns of frames for the fields of a record type, by name.

    Raises:
        TypeError: If it is no record type, or no column holds one of its fields.
    """
    hints = field_hints(record_type)
    if not hints:
        raise TypeError(
            f"{purpose} takes a record type with fields (a dataclass, TypedDict, msgspec Struct or pydantic model), or "
            f"the types of the columns by name, and {record_type.__name__} is neither"
        )
    return {name: _column_of(record_type, name, hint, purpose) for name, hint in hints.items()}


def _column_of(record_type: type[Any], name: str, hint: Any, purpose: str) -> Any:
    polars = import_polars(purpose)
    kinds = {each for each in members_of(hint) if each is not NoneType}
    if kinds == {datetime}:
        return polars.Datetime("us", "UTC")
    if kinds == {int, float}:
        return polars.Float64
    (kind,) = kinds if len(kinds) == 1 else (None,)
    if kind is None or kind not in _KINDS:
        raise TypeError(
            f"no column of a frame holds field {name!r} of {record_type.__name__}, which is {hint!r}: give the types "
            f"of the columns by name, as in {purpose}({{{name!r}: pl.Decimal(18, 2)}})"
        )
    return getattr(polars, _KINDS[kind])


class FrameColumn(ColumnValues):
    """A column of frames.

    Args:
        name: Its name.
        kind: Its type.
    """

    def __init__(self, name: str, kind: polars.DataType) -> None:
        super().__init__(f"{name!r} ({kind})")
        self._name, self._kind = name, kind
        self._is_boolean = kind == import_polars("ToFrames").Boolean

    def series(self, values: Any) -> polars.Series:
        """Return the column with such values, which were looked at."""
        return import_polars("ToFrames").Series(self._name, values, dtype=self._kind, strict=True)  # type: ignore[no-any-return]

    def store_all(self, values: Any) -> Any:
        kinds: set[type[Any]] = set(map(type, values))
        if self._is_boolean or bool not in kinds:
            try:
                if self.series(values).to_list() == list(values):
                    return values
            except Exception:  # of which value, is found out one by one
                pass
        return [self.store(value) for value in values]

    def _stored(self, value: Any) -> Any:
        if value is None:
            return None
        if type(value) is bool and not self._is_boolean:
            raise ValueError("it is a truth value")
        (held,) = self.series([value]).to_list()
        if held != value and not (type(value) is float and value != value and held != held):
            raise ValueError(f"it would be held as {held!r}")
        return value
