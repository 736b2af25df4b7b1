"""Frames in the form of PostgreSQL's binary COPY, made column by column.

Source: the library ``pgpq``, which does the encoding; this says which frames it may be given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mainstem.connect.postgres_columns import Column

if TYPE_CHECKING:
    import polars

_ENCODED_AT_ONCE = 4096
_INTEGERS = {"int2": "Int16", "int4": "Int32", "int8": "Int64"}
_AS_THEY_ARE = {"bool": "Boolean", "date": "Date", "bytea": "Binary", "float4": "Float32", "float8": "Float64"}
_TEXTS = ("text", "varchar", "citext")
_TIMES = {"timestamp": None, "timestamptz": "UTC"}


def encoded(frame: polars.DataFrame, columns: Sequence[Column]) -> Iterator[bytes] | None:
    """Return a frame as what COPY reads, in pieces; ``None`` if its rows have to be looked at one by one.

    Args:
        frame: Rows; its columns may be in another order.
        columns: The columns of the table.
    """
    try:
        import pgpq
    except ImportError:
        return None
    fitted: list[polars.Series] = []
    for column in columns:
        series = _fitted(frame[column.name], column)
        if series is None:
            return None
        fitted.append(series)
    import polars

    frame_of_arrow: Any = polars.DataFrame(fitted)
    return _pieces(frame_of_arrow.to_arrow(compat_level=polars.CompatLevel.oldest()), pgpq.ArrowToPostgresBinaryEncoder)


def _pieces(table: Any, encoder_of: Any) -> Iterator[bytes]:
    """Encode a table piece by piece: the server takes one while the next is made."""
    encoder: Any = encoder_of(table.schema)
    yield encoder.write_header()
    for batch in table.to_batches(max_chunksize=_ENCODED_AT_ONCE):
        yield encoder.write_batch(batch)
    yield encoder.finish()


def _fitted(series: polars.Series, column: Column) -> polars.Series | None:
    """Return a column of the type that the table's has; ``None`` if one of its values may not be stored unchanged."""
    import polars

    kind, dtype = column.kind, series.dtype
    if not column.nullable and series.null_count():
        return None
    if kind in _INTEGERS:
        wanted = getattr(polars, _INTEGERS[kind])
        return _within(series, wanted) if dtype.is_integer() else None
    if kind in _AS_THEY_ARE:
        wanted = getattr(polars, _AS_THEY_ARE[kind])
        widened = dtype == polars.Float32 and wanted == polars.Float64
        return series.cast(wanted) if widened or dtype == wanted else None
    if kind in _TEXTS:
        fits = dtype == polars.String and column.length is None and not series.str.contains("\0", literal=True).any()
        return series if fits else None
    if kind in _TIMES and isinstance(dtype, polars.Datetime):
        zone = _TIMES[kind]
        fits = column.fraction is None and dtype.time_unit != "ns" and (dtype.time_zone is None) == (zone is None)
        return series.cast(polars.Datetime("us", zone)) if fits else None
    return None


def _within(series: polars.Series, wanted: Any) -> polars.Series | None:
    """Return integers as others, if all of them are within their range."""
    try:
        return series.cast(wanted, strict=True)
    except Exception:  # which of them are not is found out row by row
        return None
