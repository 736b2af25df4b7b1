"""What type checkers must refuse of sources and sinks."""

from __future__ import annotations

from typing import Any

from accept_connect import User, cell_of, name_of

from mainstem import LoadReport, MapStage, Pipeline
from mainstem.connect import CsvSource, JsonLinesSource, PostgresSource, SqlSource, TableSink
from mainstem.connect.arrow_source import ArrowSource
from mainstem.connect.excel_source import ExcelSource
from mainstem.connect.parquet_source import ParquetSource

name_stage = MapStage(name_of)
cell_stage = MapStage(cell_of)
rows = CsvSource("x.csv")
users = CsvSource("x.csv", record_type=User)
user_sink = TableSink("sqlite:///x.db", "t", record_type=User)

rows >> name_stage  # expect: operator, reportOperatorIssue
users >> cell_stage  # expect: operator, reportOperatorIssue
rows >> user_sink  # expect: operator, reportOperatorIssue
CsvSource("x.csv", record_type=User(""))  # expect: call-overload, reportCallIssue, reportArgumentType
CsvSource(5)  # expect: call-overload, reportArgumentType
CsvSource("x.csv", seperator=";")  # expect: call-overload, reportCallIssue
JsonLinesSource("x.jsonl", record_type="User")  # expect: call-overload, reportCallIssue, reportArgumentType
JsonLinesSource("x.jsonl", compression="xz")  # expect: call-overload, reportArgumentType
ParquetSource("x.parquet", record_type=User) >> cell_stage  # expect: operator, reportOperatorIssue
ParquetSource("x.parquet", columns=[1])  # expect: list-item, reportArgumentType
ArrowSource(5)  # expect: call-overload, reportArgumentType
ExcelSource("x.xlsx", sheet=1.5)  # expect: call-overload, reportArgumentType
ExcelSource("x.xlsx", heading=2)  # expect: call-overload, reportCallIssue
SqlSource("sqlite://")  # expect: call-overload, reportCallIssue
SqlSource("sqlite://", "SELECT 1 AS id", key=1)  # expect: call-overload, reportArgumentType
PostgresSource("postgresql://x/y")  # expect: call-overload, reportCallIssue
PostgresSource("postgresql://x/y", "SELECT 1 AS id", key=1)  # expect: call-overload, reportArgumentType
PostgresSource("postgresql://x/y", "SELECT 1", record_type=User) >> cell_stage  # expect: operator, reportOperatorIssue
TableSink("sqlite:///x.db", "t", mode="append")  # expect: call-overload, reportArgumentType
Pipeline[list[Any], LoadReport]("load").add_stage(users)  # expect: arg-type, reportCallIssue, reportArgumentType
