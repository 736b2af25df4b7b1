"""Making frames of records, without a change of any value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mainstem.connect.column_values import store_rows
from mainstem.connect.frame_columns import FrameColumn, columns_of
from mainstem.connect.rows import RowReader
from mainstem.frame_data import import_polars

if TYPE_CHECKING:
    import polars


class FrameMaker:
    """Makes frames of records: a column for each field.

    Args:
        schema: A record type, or the types of the columns by name.
        purpose: What it is for, in messages.
        where: What the records are put into, in messages.

    Attributes:
        schema: The columns.

    Raises:
        TypeError: If ``schema`` is neither, or has a field that no column can hold.
        MissingExtraError: If ``mainstem[frames]`` is not installed.
    """

    def __init__(self, schema: type[Any] | Mapping[str, Any], purpose: str, where: str) -> None:
        polars = import_polars(purpose)
        self.schema: Any = polars.Schema(columns_of(schema, purpose) if isinstance(schema, type) else schema)
        self._columns = [FrameColumn(name, kind) for name, kind in self.schema.items()]
        self._reader = RowReader(list(self.schema), where)

    def make(self, records: Sequence[Any]) -> tuple[polars.DataFrame, list[tuple[int, Exception]]]:
        """Make a frame of the records that fit; return with it the others, by position, with what is wrong."""
        rows, mismatched = self._reader.read(records)
        kept = [at for at in range(len(records)) if at not in dict(mismatched)] if mismatched else range(len(records))
        rows, unfit = store_rows(self._columns, rows)
        failures = sorted([*mismatched, *((kept[at], error) for at, error in unfit)], key=lambda failure: failure[0])
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(self._columns)
        series = [column.series(values) for column, values in zip(self._columns, columns, strict=True)]
        return import_polars("frames").DataFrame(series), failures
