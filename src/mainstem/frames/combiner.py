"""Combiners of frames: aggregations of columns that can be cut into parts and put together again.

They keep the law of combiners: however the rows are cut into frames, and wherever those are aggregated, the answer is
the same to the last digit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from mainstem.frame_data import import_polars

if TYPE_CHECKING:
    import polars


class FrameCombiner(ABC):
    """An aggregation of columns in three steps. Override ``parts``, ``merge`` and ``finish``.

    The accumulator of a group of rows is a row too, whose columns are its parts.

    Example:
        >>> import polars as pl
        >>> from mainstem import Pipeline
        >>> from mainstem.frames import FrameAggregateStage
        >>> class Longest(FrameCombiner):
        ...     def parts(self, frame: pl.DataFrame) -> list[pl.Expr]:
        ...         return [pl.col("name").str.len_chars().max()]
        ...     def merge(self, parts: list[pl.Expr]) -> list[pl.Expr]:
        ...         return [parts[0].max()]
        ...     def finish(self, parts: pl.DataFrame) -> pl.Series:
        ...         return parts.to_series()
        >>> stage = FrameAggregateStage({"longest": Longest()})
        >>> names = pl.DataFrame({"name": ["Ada", "Barbara"]})
        >>> Pipeline[pl.DataFrame, pl.DataFrame]("names").add_stage(stage).run(names).data.rows()
        [(7,)]
    """

    @abstractmethod
    def parts(self, frame: polars.DataFrame) -> list[polars.Expr]:
        """Return expressions for the parts of each group's accumulator, of rows like those of the frame."""

    @abstractmethod
    def merge(self, parts: list[polars.Expr]) -> list[polars.Expr]:
        """Return expressions for the parts of several accumulators put together, in order; the columns hold theirs."""

    @abstractmethod
    def finish(self, parts: polars.DataFrame) -> polars.Series:
        """Return the answers, one for each accumulator; one of nulls is that of no rows."""

    def compact(self, parts: polars.DataFrame) -> polars.DataFrame:
        """Return accumulators that were merged, shortened if they grow with the rows."""
        return parts


class FrameCount(FrameCombiner):
    """Count the rows, or those that have a value.

    Args:
        of: The column, or an expression of columns; without one, all rows count.

    Raises:
        TypeError: If it is neither.
        MissingExtraError: If ``mainstem[frames]`` is not installed.
    """

    def __init__(self, of: str | polars.Expr | None = None) -> None:
        self._values: Any = import_polars("FrameCount").len() if of is None else _values(of).count()

    def parts(self, frame: polars.DataFrame) -> list[polars.Expr]:
        return [self._values.cast(import_polars("FrameCount").Int64)]

    def merge(self, parts: list[polars.Expr]) -> list[polars.Expr]:
        return [parts[0].sum()]

    def finish(self, parts: polars.DataFrame) -> polars.Series:
        return parts.to_series().fill_null(0)


class OfColumn(FrameCombiner):
    """An aggregation of a column.

    Args:
        of: The column, or an expression of columns.

    Raises:
        TypeError: If it is neither.
        MissingExtraError: If ``mainstem[frames]`` is not installed.
    """

    def __init__(self, of: str | polars.Expr) -> None:
        self._values: Any = _values(of)


class _Picked(OfColumn):
    """One of the values of a column."""

    _how: ClassVar[str]
    """The method of an expression that picks it, of values as of those that were picked of parts."""

    def parts(self, frame: polars.DataFrame) -> list[polars.Expr]:
        return [getattr(self._values, self._how)()]

    def merge(self, parts: list[polars.Expr]) -> list[polars.Expr]:
        return [getattr(parts[0], self._how)()]

    def finish(self, parts: polars.DataFrame) -> polars.Series:
        return parts.to_series()


class FrameMin(_Picked):
    """The smallest value of a column, nulls aside; null if there is none."""

    _how = "min"


class FrameMax(_Picked):
    """The largest value of a column, nulls aside; null if there is none."""

    _how = "max"


class FrameFirst(_Picked):
    """The value of a column in the first row, which may be null."""

    _how = "first"


class FrameLast(_Picked):
    """The value of a column in the last row, which may be null."""

    _how = "last"


def _values(of: Any) -> polars.Expr:
    polars = import_polars("A combiner of frames")
    if isinstance(of, str):
        return polars.col(of)  # type: ignore[no-any-return]
    if isinstance(of, polars.Expr):
        return of  # type: ignore[no-any-return]
    raise TypeError(f"a combiner of frames takes the name of a column, or a Polars expression, not {of!r}")
