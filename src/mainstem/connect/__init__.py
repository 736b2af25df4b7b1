"""Sources and sinks: where records come from and where they go."""

from __future__ import annotations

from mainstem.connect.arrow_source import ArrowSource
from mainstem.connect.csv import CsvSource
from mainstem.connect.csv_sink import CsvSink
from mainstem.connect.excel_source import ExcelSource
from mainstem.connect.json_lines import JsonLinesSource
from mainstem.connect.json_lines_sink import JsonLinesSink
from mainstem.connect.parquet_source import ParquetSource
from mainstem.connect.postgres_source import PostgresSource
from mainstem.connect.sql_source import SqlSource
from mainstem.connect.table_sink import TableSink

__all__ = [
    "ArrowSource",
    "CsvSink",
    "CsvSource",
    "ExcelSource",
    "JsonLinesSink",
    "JsonLinesSource",
    "ParquetSource",
    "PostgresSource",
    "SqlSource",
    "TableSink",
]
