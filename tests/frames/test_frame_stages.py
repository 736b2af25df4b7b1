"""Stages of frames: the answer does not depend on how the rows are cut, and every row is accounted for."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem import MapStage, Pipeline, PipelineStage, StoreError, ValidationError
from mainstem.connect import TableSink
from mainstem.durable.ledger import RejectLedger
from mainstem.frame_data import FRAME_ROWS, frames_of
from mainstem.frames import FrameDedupeStage, FrameStage, FrameValidateStage, ToFrames, ToRecords

pytestmark = pytest.mark.extras

ROWS = pl.DataFrame({"id": [1, 2, 3, 2, None], "name": ["a", "b", "c", "B", "e"]})


def frames(*stages: PipelineStage[Any, Any]) -> Any:
    pipeline: Any = Pipeline[Any, Any]("frames")
    for stage in stages:
        pipeline.add_stage(stage)
    return pipeline


def only(column: str) -> Any:
    return pl.col(column)


def test_expressions_add_and_replace_columns() -> None:
    stage = FrameStage([(only("id") * 10).alias("tens"), only("name").str.to_uppercase()])
    result = frames(stage).run(ROWS)
    assert result.data.rows()[:2] == [(1, "A", 10), (2, "B", 20)]
    assert str(result.accounting) == "5 in = 5 given"


def test_rows_that_a_function_leaves_out_are_filtered() -> None:
    result = frames(FrameStage(lambda frame: frame.filter(only("id") > 1))).run(ROWS)
    assert result.data["id"].to_list() == [2, 3, 2]
    assert str(result.accounting) == "5 in = 3 given + 2 filtered"


def test_rows_that_a_function_makes_are_made() -> None:
    def twice(frame: pl.DataFrame) -> pl.LazyFrame:
        return pl.concat([frame, frame]).lazy()

    assert str(frames(FrameStage(twice)).run(ROWS).accounting) == "5 in + 5 made = 10 given"


def test_a_stage_that_needs_the_whole_gets_it_at_once() -> None:
    seen: list[int] = []

    def look(frame: pl.DataFrame) -> pl.DataFrame:
        seen.append(frame.height)
        return frame.sort("n")

    numbers = pl.DataFrame({"n": range(2 * FRAME_ROWS, 0, -1)})
    result = frames(FrameStage(lambda frame: frame), FrameStage(look, whole=True)).run(numbers)
    assert seen == [2 * FRAME_ROWS]
    assert result.data["n"].is_sorted()
    assert frames(FrameStage(look)).run(numbers).success
    assert seen[1:] == [FRAME_ROWS, FRAME_ROWS]


def test_rejected_rows_are_records_with_all_their_reasons() -> None:
    rules = {"too small": only("id") > 1, "not b": only("name") != "b"}
    result = frames(FrameValidateStage(rules, continue_on_error=True)).run(ROWS)
    assert result.data["id"].to_list() == [3, 2]
    assert [(each.index, each.record["name"], str(each.error)) for each in result.context.errors] == [
        (0, "a", "too small"),
        (1, "b", "not b"),
        (4, "e", "too small"),
    ]
    assert str(result.accounting) == "5 in = 2 given + 3 rejected"


def test_the_first_bad_row_fails_the_stage_by_default() -> None:
    result = frames(FrameValidateStage({"too small": only("id") < 3})).run(ROWS)
    assert isinstance(result.error, ValidationError)
    assert "at record 2" in result.error.__notes__
    assert (result.records_processed, result.records_failed) == (2, 1)


def test_a_rule_that_is_no_truth_value_is_refused() -> None:
    result = frames(FrameValidateStage({"id": only("id")})).run(ROWS)
    assert "the rule 'id' gives Int64 for a row, and not a truth value" in str(result.error)
    result = frames(FrameValidateStage({"never": pl.lit(value=False)}, continue_on_error=True)).run(ROWS)
    assert result.records_failed == 5


def test_rejected_rows_are_in_the_ledger(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    stage = FrameValidateStage({"too small": only("id") > 1}, continue_on_error=True)
    frames(stage).run(ROWS, store=store, run_id="a").unwrap()
    with RejectLedger(store) as ledger:
        assert [(each.index, each.code, ledger.record_of(each)) for each in ledger.each()] == [
            (0, "validation", {"id": 1, "name": "a"}),
            (4, "validation", {"id": None, "name": "e"}),
        ]


@given(
    st.lists(st.tuples(st.integers(0, 5) | st.none(), st.text(max_size=2)), max_size=60),
    st.integers(1, 7),
    st.sampled_from([["id"], ["id", "name"]]),
)
def test_dedupe_keeps_the_first_however_the_rows_are_cut(rows: list[Any], size: int, key: list[str]) -> None:
    frame = pl.DataFrame(rows, schema={"id": pl.Int64, "name": pl.String}, orient="row")
    state = FrameDedupeStage(key).begin()
    pieces = [state._first_of_each(each) for each in frames_of(frame, size)]  # type: ignore[attr-defined]
    expected = frame.unique(subset=key, keep="first", maintain_order=True)
    assert pl.concat(pieces).rows() == expected.rows()


def test_what_was_seen_outlasts_an_interruption() -> None:
    before, after = FrameDedupeStage("id").begin(), FrameDedupeStage("id").begin()
    before._first_of_each(ROWS[:2])  # type: ignore[attr-defined]
    assert before.changes() is None
    after.restore(before.snapshot())
    before._first_of_each(ROWS[2:3])  # type: ignore[attr-defined]
    after.restore_changes(before.changes())
    assert after._first_of_each(ROWS).rows() == [(None, "e")]  # type: ignore[attr-defined]


def test_what_was_kept_by_another_polars_is_refused() -> None:
    state = FrameDedupeStage("id").begin()
    kept = state.snapshot()
    with pytest.raises(StoreError, match=r"kept by polars 1\.0, and this is"):
        state.restore({**kept, "polars": "1.0"})


def test_a_key_that_is_no_column_is_an_error() -> None:
    assert "the frame has no column 'key': it has 'id', 'name'" in str(frames(FrameDedupeStage("key")).run(ROWS).error)


def test_records_become_frames_and_frames_records() -> None:
    chain = frames(
        ToFrames({"id": pl.Int64, "name": pl.String}), FrameStage(only("id") + 1), ToRecords(), MapStage(str)
    )
    assert chain.run([{"id": 1, "name": "a"}]).data == ["{'id': 2, 'name': 'a'}"]
    assert chain.run([]).data == []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pl.Int64, "1"),
        (pl.Int64, 1.5),
        (pl.Int64, True),
        (pl.Int8, 300),
        (pl.String, 1),
        (pl.Float64, 2**60 + 1),
        (pl.Date, "2026-01-01"),
    ],
)
def test_a_value_that_would_be_changed_is_rejected_alone(kind: Any, value: Any) -> None:
    good = {pl.String: "x", pl.Date: None}.get(kind, 7)
    records = [{"v": good}, {"v": value}, {"v": good}]
    result = frames(ToFrames({"v": kind}, continue_on_error=True)).run(records)
    assert result.data["v"].to_list() == [good, good]
    (entry,) = result.context.errors
    assert entry.index == 1
    assert "column 'v'" in str(entry.error)


def test_a_stage_of_records_is_not_handed_a_frame() -> None:
    result = frames(MapStage(lambda row: row)).run(ROWS)
    assert "put ToRecords() before it" in str(result.error)
    result = frames(FrameStage(only("id"))).run([1])
    assert "put ToFrames() before it" in str(result.error)


def test_whatever_has_an_arrow_stream_is_read_as_frames() -> None:
    table = pa.table({"id": range(3)})
    for given_data in (table, pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=1))):
        assert frames(FrameStage(only("id") * 2)).run(given_data).data["id"].to_list() == [0, 2, 4]
    empty = frames(FrameStage(only("id") * 2)).run(table.schema.empty_table())
    assert (empty.data.shape, empty.data.columns) == ((0, 1), ["id"])


def test_frames_that_do_not_fit_together_are_an_error() -> None:
    def uneven(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(only("n").cast(pl.String)) if frame["n"][0] else frame

    result = frames(FrameStage(uneven)).run(pl.DataFrame({"n": range(FRAME_ROWS + 1)}))
    assert "frames of one run have different columns" in str(result.error)


async def _streamed(pipeline: Any, data: Any) -> list[Any]:
    return [chunk async for chunk in pipeline.stream(data)]


@pytest.mark.anyio
async def test_a_stream_gives_frames() -> None:
    chunks = await _streamed(frames(FrameStage(only("n") + 1)), pl.DataFrame({"n": range(FRAME_ROWS + 1)}))
    assert sum(chunk.height if isinstance(chunk, pl.DataFrame) else 1 for chunk in chunks) == FRAME_ROWS + 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FrameStage(3), "takes a function of a frame"),  # type: ignore[arg-type]
        (lambda: FrameStage([]), "takes a function of a frame"),
        (lambda: FrameValidateStage({}), "needs a rule"),
        (lambda: FrameValidateStage({"x": True}), "must be a Polars expression"),  # type: ignore[dict-item]
        (lambda: FrameDedupeStage([]), "needs the columns of its key"),
        (lambda: ToFrames(int), "takes a record type with fields"),
        (lambda: ToRecords(int), "int"),
    ],
)
def test_wrong_arguments_are_refused(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()


@pytest.mark.parametrize("columnar", [lambda frame: frame, pl.DataFrame.to_arrow], ids=["frame", "table of Arrow"])
def test_frames_that_are_given_are_gone_on_with(tmp_path: Path, columnar: Any) -> None:
    numbers = columnar(pl.DataFrame({"n": range(3 * FRAME_ROWS + 7)}))
    power = [False]

    def fail(frame: pl.DataFrame) -> pl.DataFrame:
        if not power[0] and frame["n"][0] >= 2 * FRAME_ROWS:
            raise RuntimeError("the power fails")
        return frame

    def run() -> Any:
        table = TableSink(f"sqlite:///{tmp_path}/t.db", "t")
        return frames(FrameStage(fail), table).run(
            numbers, store=tmp_path / "s.db", run_id="a", commit_every=FRAME_ROWS
        )

    assert not run().success
    power[0] = True
    assert run().unwrap().records_loaded == 3 * FRAME_ROWS + 7
    with closing(sqlite3.connect(tmp_path / "t.db")) as connection:
        found = connection.execute("SELECT count(*), count(DISTINCT n), max(n) FROM t").fetchone()
    assert found == (3 * FRAME_ROWS + 7, 3 * FRAME_ROWS + 7, 3 * FRAME_ROWS + 6)
