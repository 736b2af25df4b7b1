"""Columns of frames as Arrow hands them to DuckDB, without a look at each value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mainstem.connect.duckdb_columns import Column
from mainstem.connect.duckdb_values import DuckdbValues

if TYPE_CHECKING:
    import polars


def arrow_columns(
    arrow: Any, frame: polars.DataFrame, columns: Sequence[Column], values: Sequence[DuckdbValues]
) -> list[Any] | None:
    """Return the columns of a frame in the types in which they are handed over.

    ``None`` if a value may have to be refused, or would be changed: then each is to be looked at.

    Args:
        arrow: pyarrow.
        frame: The frame.
        columns: The columns of the table, in order.
        values: What checks their values.
    """
    arrays: list[Any] = []
    for column, of_column in zip(columns, values, strict=True):
        series: Any = frame[column.name]
        wanted = of_column.arrow_type(arrow)
        if wanted is None or (not column.nullable and series.null_count()):
            return None
        given = series.to_arrow()
        if not _is_same(arrow, given.type, wanted):
            return None
        try:
            arrays.append(given.cast(wanted, safe=True))
        except arrow.ArrowInvalid:
            return None
    return arrays


def _is_same(arrow: Any, given: Any, wanted: Any) -> bool:
    """Say whether all values of one type are equal to values of another, or are refused by a safe cast."""
    kinds = arrow.types
    if given == wanted:
        return True
    if kinds.is_integer(wanted):
        return bool(kinds.is_integer(given))
    if kinds.is_string(wanted):
        return bool(kinds.is_large_string(given) or kinds.is_string_view(given))
    if kinds.is_binary(wanted):
        return bool(kinds.is_large_binary(given) or kinds.is_binary_view(given))
    if kinds.is_float64(wanted):
        return bool(kinds.is_float32(given))
    if kinds.is_timestamp(wanted) and kinds.is_timestamp(given):
        return (given.tz is None) == (wanted.tz is None)
    if kinds.is_decimal(wanted):
        return bool(kinds.is_decimal(given))
    if kinds.is_time64(wanted):
        return bool(kinds.is_time(given))
    return bool(kinds.is_duration(wanted) and kinds.is_duration(given))
