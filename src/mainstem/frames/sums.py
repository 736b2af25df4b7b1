"""``FrameSum`` and ``FrameMean``."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

from mainstem.errors import StageContractError
from mainstem.frame_data import import_polars
from mainstem.frames.combiner import OfColumn
from mainstem.frames.exact_sums import compact, float_parts, float_totals, merged_float_parts, rounded

if TYPE_CHECKING:
    import polars


class FrameSum(OfColumn):
    """The sum of a column, nulls aside: of whole numbers, floats, decimals, durations or truth values.

    Floats are added exactly and rounded once, as a ``Float64``. Whole numbers and truth values add up to an ``Int64``,
    and to an ``UInt64`` if the column is one; a sum that does not fit in it is an error, as it is for decimals.

    Raises:
        StageContractError: In a run, if the column is of another type, or the sum does not fit.
    """

    _called: ClassVar[str] = "FrameSum"

    def parts(self, frame: polars.DataFrame) -> list[polars.Expr]:
        polars = import_polars(self._called)
        kind = frame.lazy().select(self._values).collect_schema().dtypes()[0]
        count = self._values.count().cast(polars.Int64)
        if kind.is_float():
            return [count, *float_parts(self._values, frame)]
        if kind.is_decimal():
            return [count, self._values.sum()]
        if kind.is_integer() and kind.to_python() is int and kind not in (polars.Int128, polars.UInt128):
            result = polars.UInt64 if kind == polars.UInt64 else polars.Int64
        elif kind in (polars.Boolean, polars.Duration):
            result = polars.Int64 if kind == polars.Boolean else kind
        else:
            raise StageContractError(
                f"{self._called} adds up numbers, durations and truth values, and what it is to add here is {kind}: "
                "cast it before"
            )
        wide = self._values.cast(polars.Int64) if kind == polars.Duration else self._values
        # The part's type says what the sum is to be: an empty column of it goes along.
        return [count, wide.cast(polars.Int128).sum(), polars.lit(None, dtype=result)]

    def merge(self, parts: list[polars.Expr]) -> list[polars.Expr]:
        count, *sums = parts
        if len(sums) == 3:
            return [count.sum(), *merged_float_parts(sums)]
        return [count.sum(), sums[0].sum(), *(each.first() for each in sums[1:])]

    def compact(self, parts: polars.DataFrame) -> polars.DataFrame:
        if parts.width < 4:
            return parts
        return parts.with_columns(compact(parts.to_series(3)))

    def finish(self, parts: polars.DataFrame) -> polars.Series:
        polars = import_polars(self._called)
        if parts.width == 4:
            totals = float_totals(parts.select(parts.columns[1:]))
            return polars.Series([rounded(total) for total in totals], dtype=polars.Float64)  # type: ignore[no-any-return]
        total = parts.to_series(1)
        if parts.width == 2:
            return total.fill_null(0)
        return self._fitting(total.fill_null(0), parts.to_series(2).dtype)

    def _fitting(self, totals: polars.Series, kind: polars.DataType) -> polars.Series:
        polars = import_polars(self._called)
        narrow = polars.UInt64 if kind == polars.UInt64 else polars.Int64
        fitting = totals.cast(narrow, strict=False)
        if fitting.null_count():
            largest = totals.filter(fitting.is_null())[0]
            raise StageContractError(
                f"a sum is {largest:,}, which a column of {narrow} cannot hold: cast what is added to a Decimal before"
            )
        return fitting.cast(kind)


class FrameMean(FrameSum):
    """The arithmetic mean of a column, nulls aside, as a ``Float64`` that was rounded once; null if there is no value.

    Of durations it is a duration, cut to whole units.

    Raises:
        StageContractError: In a run, if the column is of another type.
    """

    _called: ClassVar[str] = "FrameMean"

    def finish(self, parts: polars.DataFrame) -> polars.Series:
        polars = import_polars(self._called)
        counts = parts.to_series(0).to_list()
        if parts.width == 4:
            totals: list[Any] = list(float_totals(parts.select(parts.columns[1:])))
        else:
            totals = parts.to_series(1).to_list()
        if parts.width == 3 and parts.to_series(2).dtype == polars.Duration:
            units = [total // count if count else None for total, count in zip(totals, counts, strict=True)]
            return polars.Series(units, dtype=polars.Int64).cast(parts.to_series(2).dtype)  # type: ignore[no-any-return]
        means = [_mean(total, count) if count else None for total, count in zip(totals, counts, strict=True)]
        return polars.Series(means, dtype=polars.Float64)  # type: ignore[no-any-return]


def _mean(total: Any, count: int) -> float:
    return rounded(total if isinstance(total, float) else Fraction(total), count)
