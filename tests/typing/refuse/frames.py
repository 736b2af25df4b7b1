"""Frames where records are expected, and the other way round."""

from __future__ import annotations

import polars as pl

from mainstem import Count, MapStage
from mainstem.connect import ArrowSink, CsvSource, JsonLinesSource, ParquetSink, PostgresSource
from mainstem.frames import FrameAggregateStage, FrameStage, FrameSum, FrameTopStage, FrameValidateStage, ToRecords


def length(name: str) -> int:
    return len(name)


uppercase = FrameStage(pl.col("name").str.to_uppercase())

uppercase >> MapStage(length)  # expect: arg-type, reportOperatorIssue
MapStage(length) >> uppercase  # expect: operator, reportOperatorIssue
CsvSource("in.csv") >> uppercase  # expect: operator, reportOperatorIssue
CsvSource("in.csv", as_frames=True) >> MapStage(length)  # expect: arg-type, reportOperatorIssue
uppercase >> ToRecords() >> MapStage(length)  # expect: arg-type, reportOperatorIssue
FrameStage("name")  # expect: arg-type, reportArgumentType
FrameValidateStage({"no name": True})  # expect: dict-item, reportArgumentType
FrameAggregateStage({"flights": Count()})  # expect: dict-item, reportArgumentType
FrameSum(3)  # expect: arg-type, reportArgumentType
FrameTopStage(3, by="late") >> MapStage(length)  # expect: arg-type, reportOperatorIssue
ParquetSink("out.parquet", compression="rar")  # expect: arg-type, reportArgumentType
ArrowSink("out.arrow", compression="snappy")  # expect: arg-type, reportArgumentType
ParquetSink("out.parquet", schema="name")  # expect: arg-type, reportArgumentType
FrameValidateStage(3)  # expect: arg-type, reportArgumentType
JsonLinesSource("in.jsonl", as_frames=True)  # expect: call-overload, reportArgumentType
PostgresSource("postgresql://h/d", "SELECT 1", as_frames=True) >> MapStage(length)  # expect: arg-type, reportOperatorIssue
