"""Aggregations of frames: the same to the last digit however the rows are cut, and as exact as those of records."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem import Count, GroupBy, Mean, Pipeline, StageContractError, Sum
from mainstem.frames import (
    FrameAggregateStage,
    FrameCombiner,
    FrameCount,
    FrameFirst,
    FrameLast,
    FrameMax,
    FrameMean,
    FrameMin,
    FrameStage,
    FrameSum,
    FrameTopStage,
    exact_sums,
)

pytestmark = pytest.mark.extras

ROWS = pl.DataFrame({"k": ["a", "b", "a", None, "a"], "x": [1.5, 2.0, None, 4.0, 0.25], "n": [1, 2, 3, 4, 5]})
FLOATS = st.one_of(st.none(), st.floats(), st.floats(-2, 2), st.sampled_from([1e300, 2.0**-1074, 2.0**44, -0.1]))


def answer(stage: Any, *frames: pl.DataFrame) -> pl.DataFrame:
    """Return what a stage gives for rows that are cut like this, one after the other."""
    combiner = stage.combiner
    accumulator = combiner.create()
    for frame in frames:
        accumulator = combiner.add_all(accumulator, frame)
    given: pl.DataFrame = combiner.finish(accumulator)
    return given


def merged(stage: Any, frames: list[pl.DataFrame]) -> pl.DataFrame:
    """Return what a stage gives when each frame is aggregated by itself, and the last two are merged first."""
    combiner = stage.combiner
    accumulator = combiner.create()
    for frame in reversed(frames):
        accumulator = combiner.merge(combiner.add_all(combiner.create(), frame), accumulator)
    given: pl.DataFrame = combiner.finish(accumulator)
    return given


def run(stage: Any, data: Any) -> Any:
    return Pipeline[Any, Any]("aggregate").add_stage(stage).run(data)


def cut(frame: pl.DataFrame, size: int) -> list[pl.DataFrame]:
    return list(frame.iter_slices(size)) or [frame]


EVERY = {
    "rows": FrameCount(),
    "values": FrameCount("x"),
    "sum": FrameSum("x"),
    "mean": FrameMean("x"),
    "least": FrameMin("x"),
    "most": FrameMax("x"),
    "first": FrameFirst("n"),
    "last": FrameLast(pl.col("n") * 10),
}


def test_groups_come_in_the_order_of_their_first_rows() -> None:
    given = run(FrameAggregateStage(EVERY, by="k"), ROWS)
    assert given.data.rows() == [
        ("a", 3, 2, 1.75, 0.875, 0.25, 1.5, 1, 50),
        ("b", 1, 1, 2.0, 2.0, 2.0, 2.0, 2, 20),
        (None, 1, 1, 4.0, 4.0, 4.0, 4.0, 4, 40),
    ]
    assert given.data.columns == ["k", *EVERY]
    assert str(given.accounting) == "5 in = 3 given + 2 combined"


def test_without_groups_there_is_one_row() -> None:
    assert run(FrameAggregateStage(EVERY), ROWS).data.rows() == [(5, 4, 7.75, 1.9375, 0.25, 4.0, 1, 50)]


def test_the_row_of_no_rows() -> None:
    given = run(FrameAggregateStage(EVERY), ROWS.clear()).data
    assert given.rows() == [(0, 0, 0.0, None, None, None, None, None)]
    assert given.schema == run(FrameAggregateStage(EVERY), ROWS).data.schema
    assert run(FrameAggregateStage(EVERY, by="k"), ROWS.clear()).data.rows() == []
    nothing_left = [FrameStage(lambda frame: frame.filter(pl.col("n") > 9)), FrameAggregateStage({"n": FrameCount()})]
    pipeline: Any = Pipeline[Any, Any]("nothing")
    for stage in nothing_left:
        pipeline.add_stage(stage)
    assert pipeline.run(ROWS).data.rows() == [(0,)]
    unknown = run(FrameAggregateStage(EVERY, by="k"), []).data
    assert (unknown.columns, unknown.height) == (["k", *EVERY], 0)


@given(st.lists(st.tuples(st.sampled_from("abc"), FLOATS), max_size=30), st.integers(1, 7))
def test_floats_are_added_exactly_however_they_are_cut(rows: list[Any], size: int) -> None:
    frame = pl.DataFrame(rows, schema={"k": pl.String, "x": pl.Float64}, orient="row")
    stage = FrameAggregateStage({"sum": FrameSum("x"), "mean": FrameMean("x")}, by="k")
    whole = answer(stage, frame)
    assert answer(stage, *cut(frame, size)).equals(whole)
    assert merged(stage, cut(frame, size)).equals(whole)
    for key, total, mean in whole.iter_rows():
        numbers = [x for k, x in rows if k == key and x is not None]
        if all(map(math.isfinite, numbers)):
            exact = sum(map(Fraction, numbers), Fraction(0))
            assert total == nearest(exact)
            assert mean == (nearest(exact / len(numbers)) if numbers else None)
        else:
            infinite = sum(number for number in numbers if not math.isfinite(number))
            assert total == infinite or (math.isnan(total) and math.isnan(infinite))


def nearest(number: Fraction) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(-(2**53), 2**53)), min_size=1), st.integers(1, 9))
def test_they_agree_with_the_combiners_of_records(rows: list[Any], size: int) -> None:
    frame = pl.DataFrame(rows, schema={"k": pl.String, "n": pl.Int64}, orient="row")
    of_records = {
        "count": GroupBy[Any, Any, Any](lambda row: row[0], Count()).combine(rows),
        "sum": GroupBy[Any, Any, Any](lambda row: row[0], Sum(of=lambda row: row[1])).combine(rows),
        "mean": GroupBy[Any, Any, Any](lambda row: row[0], Mean(of=lambda row: row[1])).combine(rows),
    }
    stage = FrameAggregateStage({"count": FrameCount(), "sum": FrameSum("n"), "mean": FrameMean("n")}, by="k")
    given = answer(stage, *cut(frame, size))
    for name, expected in of_records.items():
        assert dict(zip(given["k"], given[name], strict=True)) == expected


def test_floats_that_are_kept_one_by_one_are_few() -> None:
    numbers = [2.0**60, 3.5, -(2.0**-60), 2.0**-70] * 100
    stage: Any = FrameAggregateStage({"sum": FrameSum("x")})
    accumulator = stage.combiner.create()
    for frame in cut(pl.DataFrame({"x": [*numbers, *[-(2.0**60)] * 100]}), 7):
        accumulator = stage.combiner.add_all(accumulator, frame)
    stage.combiner._settle(accumulator)
    assert accumulator.frames[0].to_series(3).list.len().max() <= exact_sums._MOST_OTHERS
    assert stage.combiner.finish(accumulator).item() == 350.0 - 100 * 2.0**-60 + 100 * 2.0**-70
    of_small = pl.DataFrame({"x": [*[2.0**60, -(2.0**-60)] * 50, *[-(2.0**60)] * 50]})
    assert answer(stage, *cut(of_small, 11)).item() == -50 * 2.0**-60
    beyond = pl.DataFrame({"x": [2.0**1023] * 70 + [-(2.0**1023)] * 70})
    assert answer(stage, *cut(beyond, 1)).item() == 0.0


def test_many_groups_are_merged_on_the_way() -> None:
    frame = pl.DataFrame({"k": range(200_000), "x": [0.5] * 200_000})
    stage: Any = FrameAggregateStage({"sum": FrameSum("x")}, by="k")
    accumulator = stage.combiner.create()
    for _ in range(6):
        accumulator = stage.combiner.add_all(accumulator, frame)
        assert sum(each.height for each in accumulator.frames) <= 400_000
    assert stage.combiner.finish(accumulator)["sum"].to_list() == [3.0] * 200_000


@pytest.mark.parametrize(
    ("values", "total", "mean"),
    [
        (pl.Series([2, 3], dtype=pl.UInt64), 5, 2.5),
        (pl.Series([2**63 - 1, 1], dtype=pl.UInt64), 2**63, 2.0**62),
        (pl.Series([100, 100], dtype=pl.Int8), 200, 100.0),
        (pl.Series([True, None, True]), 2, 1.0),
        (pl.Series([Decimal("0.1"), Decimal("0.2")], dtype=pl.Decimal(10, 2)), Decimal("0.3"), 0.15),
        (pl.Series([timedelta(seconds=3), timedelta(seconds=4)]), timedelta(seconds=7), timedelta(seconds=3.5)),
        (pl.Series([0.5, 0.25], dtype=pl.Float32), 0.75, 0.375),
    ],
)
def test_what_can_be_added_up(values: pl.Series, total: Any, mean: Any) -> None:
    stage = FrameAggregateStage({"total": FrameSum("v"), "mean": FrameMean("v")})
    frame = pl.DataFrame({"v": values})
    assert answer(stage, frame).rows() == [(total, mean)]
    assert answer(stage, *cut(frame, 1)).equals(answer(stage, frame))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pl.Series([2**63 - 1, 1]), "a sum is 9,223,372,036,854,775,808, which a column of Int64 cannot hold"),
        (pl.Series(["a"]), "FrameSum adds up numbers, durations and truth values, and .* is String"),
        (pl.Series([1], dtype=pl.Int128), "is Int128: cast it before"),
    ],
)
def test_what_cannot_be_added_up_is_an_error(values: pl.Series, message: str) -> None:
    result = run(FrameAggregateStage({"total": FrameSum("v")}), pl.DataFrame({"v": values}))
    assert isinstance(result.error, StageContractError)
    with pytest.raises(StageContractError, match=message):
        raise result.error


@pytest.mark.parametrize(
    "stage", [FrameAggregateStage({"s": FrameSum("z")}), FrameAggregateStage({"c": FrameCount()}, by="z")]
)
def test_a_column_that_is_not_there_is_named(stage: Any) -> None:
    result = run(stage, ROWS)
    assert "names a column that the frame lacks" in str(result.error)
    assert "z" in str(result.error)
    assert "'k', 'x', 'n'" in str(result.error)


@pytest.mark.anyio
async def test_a_stream_is_aggregated_as_it_comes() -> None:
    numbers = pl.DataFrame({"n": range(300_000)})
    pipeline: Any = Pipeline[Any, Any]("stream")
    pipeline.add_stage(FrameStage(pl.col("n")))
    pipeline.add_stage(FrameAggregateStage({"sum": FrameSum("n"), "rows": FrameCount()}))
    (given,) = [value async for value in pipeline.stream(numbers, bounded=True)]
    assert given.rows() == [(sum(range(300_000)), 300_000)]


@given(st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 5)), st.integers()), max_size=20), st.integers(1, 5))
def test_the_top_is_that_of_a_stable_sort(rows: list[Any], size: int) -> None:
    rows = [(value, at) for at, (value, _) in enumerate(rows)]
    frame = pl.DataFrame(rows, schema={"v": pl.Int64, "at": pl.Int64}, orient="row")
    for smallest in (False, True):
        stage = FrameTopStage(3, by="v", smallest=smallest)
        with_value = sorted((row for row in rows if row[0] is not None), key=lambda row: row[0], reverse=False)
        if not smallest:
            with_value.sort(key=lambda row: -row[0])
        expected = [*with_value, *(row for row in rows if row[0] is None)][:3]
        assert answer(stage, *cut(frame, size)).rows() == expected
        assert merged(stage, cut(frame, size)).rows() == expected


def test_the_top_of_nothing_and_by_no_column() -> None:
    assert run(FrameTopStage(3, by="n"), []).data.height == 0
    assert "by 'z', and the frame has no such column" in str(run(FrameTopStage(3, by="z"), ROWS).error)


class Longest(FrameCombiner):
    def parts(self, frame: pl.DataFrame) -> list[pl.Expr]:
        return [pl.col("k").str.len_chars().max()]

    def merge(self, parts: list[pl.Expr]) -> list[pl.Expr]:
        return [parts[0].max()]

    def finish(self, parts: pl.DataFrame) -> pl.Series:
        return parts.to_series()


def test_a_combiner_of_ones_own() -> None:
    assert answer(FrameAggregateStage({"longest": Longest()}), *cut(ROWS, 2)).item() == 1


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: FrameAggregateStage({}), ValueError, "needs a combiner"),
        (lambda: FrameAggregateStage({"n": "sum"}), TypeError, "is to be made by a combiner of frames"),  # type: ignore[dict-item]
        (lambda: FrameAggregateStage({"k": FrameCount()}, by="k"), ValueError, "two columns of the name 'k'"),
        (lambda: FrameSum(3), TypeError, "the name of a column, or a Polars expression, not 3"),  # type: ignore[arg-type]
        (lambda: FrameTopStage(0, by="k"), ValueError, "k of FrameTopStage"),
    ],
)
def test_wrong_arguments_are_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_records_are_refused_with_what_to_do() -> None:
    result = run(FrameAggregateStage({"rows": FrameCount()}), [{"n": 1}])
    assert "put ToFrames() before it" in str(result.error)
