"""Fields of a record type as columns of frames that are made from texts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime, time
from types import NoneType
from typing import TYPE_CHECKING, Any

from mainstem.connect.table_columns import members_of
from mainstem.frame_data import import_polars
from mainstem.records import field_hints

if TYPE_CHECKING:
    import polars

_PURPOSE = "Reading frames"


class FieldColumn:
    """What a column of texts is turned into.

    Args:
        kind: ``str``, ``int``, ``float``, ``bool``, ``date``, ``time`` or ``datetime``.
        null_values: Texts that stand for null; none if there may be no null.

    Attributes:
        null_values: As above.
    """

    def __init__(self, kind: type[Any], null_values: Collection[str]) -> None:
        self._kind = kind
        self.null_values = list(null_values)
        self.described = kind.__name__

    def parsed_type(self) -> Any:
        """Return the type of the column if Polars reads it from the cells of a CSV file as ``expression`` would.

        ``None`` if not: Polars knows one text for null beside the empty one, which it always takes for that.
        """
        others = [text for text in self.null_values if text]
        if self._kind not in (int, float) or len(others) > 1 or (others and "" not in self.null_values):
            return None
        return import_polars(_PURPOSE).Int64 if self._kind is int else import_polars(_PURPOSE).Float64

    def expression(self, name: str) -> polars.Expr:
        """Return the expression that makes the column of the texts in the column of this name."""
        polars = import_polars(_PURPOSE)
        column, kind = polars.col(name), self._kind
        if kind is str:
            return column  # type: ignore[no-any-return]
        if self.null_values:
            column = polars.when(column.is_in(self.null_values)).then(None).otherwise(column)
        if kind is bool:
            lowered = column.str.to_lowercase()
            made = polars.when(lowered.is_in(["true", "1"])).then(True).when(lowered.is_in(["false", "0"])).then(False)
            return made.otherwise(None).alias(name)  # type: ignore[no-any-return]
        if kind is datetime:
            return column.str.to_datetime(time_unit="us", time_zone="UTC", strict=False).alias(name)  # type: ignore[no-any-return]
        if kind is date:
            return column.str.to_date("%Y-%m-%d", strict=False).alias(name)  # type: ignore[no-any-return]
        if kind is time:
            return column.str.to_time(strict=False).alias(name)  # type: ignore[no-any-return]
        return column.cast(polars.Int64 if kind is int else polars.Float64, strict=False).alias(name)  # type: ignore[no-any-return]

    def failures(self, texts: polars.Series, made: polars.Series) -> polars.Series:
        """Return for each row whether its text stands for nothing that the column holds."""
        if self.null_values and self._kind is not str:
            return made.is_null() & ~texts.is_in(self.null_values)
        return made.is_null()


def fields_of(record_type: type[Any], null_values: Collection[str]) -> Mapping[str, FieldColumn]:
    """Return the columns for the fields of a record type, by name.

    Raises:
        TypeError: If no column of texts can be turned into one of them.
    """
    fields: dict[str, FieldColumn] = {}
    for name, hint in (field_hints(record_type) or {}).items():
        kinds = set(members_of(hint))
        optional = NoneType in kinds
        kinds.discard(NoneType)
        kind = float if kinds == {int, float} else next(iter(kinds)) if len(kinds) == 1 else object
        if kind not in (str, int, float, bool, date, time, datetime):
            raise TypeError(
                f"field {name!r} of {record_type.__name__} is {hint!r}, which frames are not read into: read it as "
                "str, and turn it into something else with a FrameStage"
            )
        fields[name] = FieldColumn(kind, null_values if optional and kind is not str else ())
    return fields
