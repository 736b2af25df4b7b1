"""Times in columns of frames as the texts that SQLite is given for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars


def iso_texts(column: polars.Series) -> list[Any]:
    """Return the values of a column of times as ``isoformat`` gives them; durations as they are."""
    import polars

    dtype = column.dtype
    if isinstance(dtype, polars.Date):
        return column.dt.to_string("%Y-%m-%d").to_list()
    if not isinstance(dtype, polars.Datetime) or dtype.time_unit == "ns" or dtype.time_zone not in (None, "UTC"):
        return [value if value is None or not hasattr(value, "isoformat") else value.isoformat() for value in column]
    offset = "" if dtype.time_zone is None else "+00:00"
    whole, exact = column.dt.to_string(f"%Y-%m-%dT%H:%M:%S{offset}"), f"%Y-%m-%dT%H:%M:%S%.6f{offset}"
    has_fraction = column.dt.microsecond() != 0
    if not has_fraction.any():
        return whole.to_list()
    return whole.zip_with(~has_fraction, column.dt.to_string(exact)).to_list()
