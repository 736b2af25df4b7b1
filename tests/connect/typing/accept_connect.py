"""What type checkers must know of sources and sinks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, assert_type

from mainstem import ChainedStage, LoadReport, MapStage, Pipeline, PipelineResult, PipelineStage
from mainstem.connect import CsvSink, CsvSource, JsonLinesSink, JsonLinesSource, PostgresSource, SqlSource, TableSink
from mainstem.connect.arrow_source import ArrowSource
from mainstem.connect.excel_source import ExcelSource
from mainstem.connect.parquet_source import ParquetSource


@dataclass
class User:
    name: str


class UserDict(TypedDict):
    name: str


def name_of(user: User) -> str:
    return user.name


def cell_of(row: dict[str, str]) -> str:
    return row["name"]


def user_of(row: dict[str, Any]) -> User:
    return User(row["name"])


assert_type(CsvSource("x.csv"), CsvSource[dict[str, str]])
assert_type(CsvSource(Path("x.csv"), record_type=dict), CsvSource[dict[str, str]])
assert_type(CsvSource("x.csv", record_type=User, continue_on_error=True), CsvSource[User])
assert_type(CsvSource("x.csv", record_type=UserDict), CsvSource[UserDict])
assert_type(JsonLinesSource("x.jsonl"), JsonLinesSource[dict[str, Any]])
assert_type(JsonLinesSource("x.jsonl", record_type=User), JsonLinesSource[User])
assert_type(CsvSource(["a.csv", Path("b.csv")], storage_options={"region": "x"}), CsvSource[dict[str, str]])
assert_type(JsonLinesSource("s3://b/*", record_type=User, partitions=True, compression="zstd"), JsonLinesSource[User])
assert_type(ParquetSource("x.parquet", columns=["a"]), ParquetSource[dict[str, Any]])
assert_type(ParquetSource(["x.parquet"], record_type=User, continue_on_error=True), ParquetSource[User])
assert_type(ArrowSource("x.arrow"), ArrowSource[dict[str, Any]])
assert_type(ArrowSource("x.arrow", record_type=UserDict), ArrowSource[UserDict])
assert_type(ExcelSource("x.xlsx", sheet="S", header=None), ExcelSource[dict[str, Any]])
assert_type(ExcelSource("x.xlsx", sheet=1, record_type=User), ExcelSource[User])
assert_type(ParquetSource("x.parquet", record_type=User).read_again({"name": "x"}), User)
assert_type(SqlSource("sqlite://", "SELECT 1"), SqlSource[dict[str, Any]])
assert_type(SqlSource("sqlite://", "SELECT ?", parameters=[1], record_type=User), SqlSource[User])
assert_type(SqlSource("sqlite://", "SELECT 1 AS id", key="id"), SqlSource[dict[str, Any]])
assert_type(SqlSource("sqlite://", "SELECT 1 AS id", key=["id", "name"], record_type=User), SqlSource[User])
assert_type(PostgresSource("postgresql://x/y", "SELECT 1"), PostgresSource[dict[str, Any]])
assert_type(PostgresSource("postgresql://x/y", "SELECT 1", record_type=User, key="name"), PostgresSource[User])
assert_type(PostgresSource("postgresql://x/y", "SELECT %s", parameters=[1], key=["a"]), PostgresSource[dict[str, Any]])
assert_type(CsvSource("x.csv", record_type=User).read_again("x"), User)
assert_type(JsonLinesSource("x.jsonl").read_again({"name": "x"}), dict[str, Any])
assert_type(TableSink("sqlite:///x.db", "t"), TableSink[Any])
assert_type(TableSink("sqlite:///x.db", "t", record_type=User, key=["name"], mode="upsert"), TableSink[User])

as_stage: PipelineStage[None, list[User]] = CsvSource("x.csv", record_type=User)
as_sink: PipelineStage[Iterable[User], LoadReport] = TableSink("sqlite:///x.db", "t", record_type=User)
any_sink: PipelineStage[list[User], LoadReport] = CsvSink("x.csv")

users = CsvSource("x.csv", record_type=User)
name_stage = MapStage(name_of)
assert_type(users >> name_stage, ChainedStage[None, list[str]])
copy = (
    Pipeline[None, LoadReport]("copy")
    .add_stage(SqlSource("sqlite:///x.db", "SELECT name FROM users"))
    .add_stage(MapStage(user_of))
    .add_stage(TableSink("sqlite:///y.db", "users", record_type=User))
)
assert_type(copy.run(), PipelineResult[LoadReport])
export = Pipeline[None, LoadReport]("export").add_stage(users).add_stage(JsonLinesSink("x.jsonl"))
assert_type(export.run(), PipelineResult[LoadReport])
