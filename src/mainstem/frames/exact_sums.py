"""Sums of columns that are the same however the rows are cut: exact until the last rounding.

A float is a whole multiple of a power of two, so sums of whole numbers, 128 bits wide, add floats exactly: those below
one in units of 2**-96, those from there to 2**44 in units of 2**-52, each with room for 2**31 rows. The few floats that
neither holds are kept one by one.

Source: the fixed point accumulators of reproducible summation (Demmel and Nguyen), cut down to two.
"""

from __future__ import annotations

from fractions import Fraction
from math import isfinite
from typing import TYPE_CHECKING, Any

from mainstem.frame_data import import_polars
from mainstem.stages.combiner import ExactSum

if TYPE_CHECKING:
    import polars

_FINE, _COARSE = 96, 52
_LARGEST = 2.0**44
_MOST_OTHERS = 64
"""Floats of a group that are kept one by one; more become the few that have the same sum."""


def float_parts(values: polars.Expr, frame: polars.DataFrame) -> list[polars.Expr]:
    """Return expressions for the parts of a group's sum of floats: two sums, and the floats left out of them."""
    polars = import_polars("FrameSum")
    numbers = values.cast(polars.Float64)
    is_fine = numbers.abs() < 1
    fine = polars.when(is_fine).then(numbers * 2.0**_FINE).otherwise(0.0)
    coarse = polars.when(is_fine).then(0.0).otherwise(numbers * 2.0**_COARSE)
    is_other = ~(numbers.abs() < _LARGEST) | (fine.floor() != fine)  # NaN is not less than anything
    others: Any = polars.lit(None, dtype=polars.List(polars.Float64))
    if frame.select(is_other.any()).item():
        fine, coarse = (polars.when(is_other).then(0.0).otherwise(each) for each in (fine, coarse))
        others = numbers.filter(is_other)
    return [fine.cast(polars.Int128).sum(), coarse.cast(polars.Int128).sum(), others]


def merged_float_parts(parts: list[polars.Expr]) -> list[polars.Expr]:
    """Return expressions for the parts of several sums of floats put together."""
    fine, coarse, others = parts
    return [fine.sum(), coarse.sum(), others.explode(keep_nulls=False, empty_as_null=False)]


def compact(others: polars.Series) -> polars.Series:
    """Shorten the lists of floats that are kept one by one, without a change of their sum."""
    longest: Any = others.list.len().max()
    if (longest or 0) <= _MOST_OTHERS:
        return others
    polars = import_polars("FrameSum")
    shortened = [_shortened(each) for each in others.to_list()]
    return polars.Series(others.name, shortened, dtype=others.dtype)  # type: ignore[no-any-return]


def _shortened(numbers: list[float] | None) -> list[float] | None:
    if numbers is None or len(numbers) <= _MOST_OTHERS:
        return numbers
    exact = ExactSum()
    exact.add_all(numbers)
    is_beyond = not all(map(isfinite, exact.parts)) and all(map(isfinite, numbers))  # until others are taken from it
    return numbers if is_beyond else exact.parts


def float_totals(parts: polars.DataFrame) -> list[Fraction | float]:
    """Return the sums, a number for each group: exact, or what is not finite."""
    return [_total(fine or 0, coarse or 0, others or ()) for fine, coarse, others in parts.iter_rows()]


def _total(fine: int, coarse: int, others: list[float] | tuple[()]) -> Fraction | float:
    infinite = [number for number in others if not isfinite(number)]
    if infinite:
        return sum(infinite)
    total = Fraction((coarse << (_FINE - _COARSE)) + fine, 1 << _FINE)
    for number in others:
        total += Fraction(number)
    return total


def rounded(total: Fraction | float, count: int = 1) -> float:
    """Return a total, or its share, as the nearest float."""
    if isinstance(total, float):
        return total
    try:
        return float(total / count)
    except OverflowError:  # beyond the range of floats
        return float("inf") if total > 0 else float("-inf")
