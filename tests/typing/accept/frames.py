"""Frames in typed pipelines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_type

import dataframely as dy
import pandera.polars as pa
import polars as pl

from mainstem import LoadReport, MapStage, Pipeline
from mainstem.connect import (
    ArrowSink,
    ArrowSource,
    CsvSource,
    JsonLinesSource,
    ParquetSink,
    ParquetSource,
    PostgresSource,
    TableSink,
)
from mainstem.frames import (
    FrameAggregateStage,
    FrameCount,
    FrameDedupeStage,
    FrameMean,
    FrameStage,
    FrameTopStage,
    FrameValidateStage,
    ToFrames,
    ToRecords,
)


@dataclass
class Row:
    id: int
    name: str


def name_of(row: Row) -> str:
    return row.name


frames = Pipeline[None, pl.DataFrame]("frames").add_stage(CsvSource("in.csv", record_type=Row, as_frames=True))
checked = frames.add_stage(FrameValidateStage({"no id": pl.col("id").is_not_null()}, continue_on_error=True))
assert_type(checked.add_stage(FrameStage(pl.col("id") + 1)).run().data, pl.DataFrame | None)
deduplicated = CsvSource("in.csv", as_frames=True) >> FrameDedupeStage("id")
names = deduplicated >> ToRecords(Row) >> MapStage(name_of)
assert_type(Pipeline[None, list[str]]("names").add_stage(names).run().data, list[str] | None)
back = ToFrames(Row) >> FrameStage(lambda frame: frame.filter(pl.col("id") > 1), whole=True)
loaded = Pipeline[None, LoadReport]("loaded").add_stage(deduplicated >> TableSink("sqlite:///t.db", "t"))
assert_type(loaded.run().data, LoadReport | None)
assert_type(ParquetSource("in.parquet", as_frames=True), ParquetSource[Any, pl.DataFrame])
assert_type(ArrowSource("in.arrow", record_type=Row), ArrowSource[Row, list[Row]])
delays = FrameAggregateStage({"flights": FrameCount(), "late": FrameMean(pl.col("delay") / 60)}, by=["origin", "dest"])
assert_type(checked.add_stage(delays).add_stage(FrameTopStage(3, by="late")).run().data, pl.DataFrame | None)
object_of_store = ParquetSink("s3://bucket/out.parquet", compression="zstd", storage_options={"region": "x"})
mapped = ArrowSink("out.arrow", schema=Row, compression="none")
written = Pipeline[None, LoadReport]("written").add_stage(deduplicated >> object_of_store)
assert_type(written.run().data, LoadReport | None)


class User(dy.Schema):
    id = dy.Int64(nullable=False)


FrameValidateStage(User, continue_on_error=True)
FrameValidateStage(pa.DataFrameSchema({"id": pa.Column(int)}))
assert_type(JsonLinesSource("in.jsonl", record_type=Row, as_frames=True), JsonLinesSource[Any, pl.DataFrame])
assert_type(JsonLinesSource("in.jsonl", record_type=Row), JsonLinesSource[Row, list[Row]])
people = PostgresSource("postgresql://localhost/shop", "SELECT id FROM people", key="id", as_frames=True)
assert_type(people, PostgresSource[Any, pl.DataFrame])
