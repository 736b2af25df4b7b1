"""Sources and sinks say what they read and write, as OpenLineage names it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mainstem import Pipeline, SinkStage, SourceStage
from mainstem.brokers import BrokerSink, BrokerSource
from mainstem.connect import (
    ArrowSink,
    CsvSink,
    CsvSource,
    ExcelSource,
    HttpSource,
    JsonLinesSink,
    JsonLinesSource,
    ParquetSink,
    ParquetSource,
    SqlSource,
    TableSink,
)
from mainstem.connect.singer_source import SingerSource
from mainstem.datasets import Dataset
from mainstem.durable.shape import shape_of

pytestmark = [pytest.mark.extras]
CASES: list[tuple[Any, Sequence[tuple[str, str]]]] = [
    (CsvSource("/data/in.csv"), [("file", "/data/in.csv")]),
    (CsvSource(["/data/a.csv", "/data/b.csv"]), [("file", "/data/a.csv"), ("file", "/data/b.csv")]),
    (CsvSource(["/data/2025-*.csv", "/data/2026-*.csv"]), [("file", "/data")]),
    (JsonLinesSource("s3://shop/in.jsonl"), [("s3://shop", "in.jsonl")]),
    (CsvSource("https://me:hunter2@host/in.csv?token=abcdef"), [("https://host", "/in.csv")]),
    (ParquetSource("/data/in.parquet"), [("file", "/data/in.parquet")]),
    (ExcelSource("/data/in.xlsx"), [("file", "/data/in.xlsx")]),
    (CsvSink("/data/out.csv"), [("file", "/data/out.csv")]),
    (JsonLinesSink("s3://shop/out.jsonl"), [("s3://shop", "out.jsonl")]),
    (ParquetSink("/data/out.parquet"), [("file", "/data/out.parquet")]),
    (ArrowSink("/data/out.arrow"), [("file", "/data/out.arrow")]),
    (SqlSource("postgresql://me:hunter2@db/shop", "orders"), [("postgres://db:5432", "shop.public.orders")]),
    (SqlSource("sqlite:////data/shop.db", "SELECT * FROM orders"), []),
    (TableSink("postgresql://me:hunter2@db/shop", "orders"), [("postgres://db:5432", "shop.public.orders")]),
    (TableSink("mysql+pymysql://me:hunter2@db/shop", "orders"), [("mysql://db:3306", "shop.orders")]),
    (TableSink("duckdb:////data/shop.duckdb", "orders"), [("duckdb:///data/shop.duckdb", "orders")]),
    (HttpSource("https://me:hunter2@api.example.com/v1/users?key=abcd"), [("https://api.example.com", "/v1/users")]),
    (BrokerSource("redis://:hunter2@host/0", "orders"), [("redis://host:6379", "orders")]),
    (BrokerSink("nats://host:4223", "orders"), [("nats://host:4223", "orders")]),
    (SingerSource(["tap"]), []),
]


@pytest.mark.parametrize(("stage", "expected"), CASES, ids=lambda value: getattr(value, "name", ""))
def test_each_says_what_it_reads_or_writes(stage: Any, expected: Sequence[tuple[str, str]]) -> None:
    assert list(stage.datasets) == [Dataset(*each) for each in expected]
    assert "hunter2" not in repr(stage.datasets)


def test_ones_of_the_users_own_need_not_say() -> None:
    assert SourceStage.datasets.fget(None) == SinkStage.datasets.fget(None) == ()  # type: ignore[attr-defined]


def test_that_it_can_tell_changes_nothing_about_a_durable_run(tmp_path: Path) -> None:
    source = SqlSource(f"sqlite:///{tmp_path}/shop.db", "orders")
    pipeline: Any = Pipeline[Any, Any]("p").add_stage(source)
    assert "table" not in str(shape_of(pipeline.stages, ["SqlSource"]))
