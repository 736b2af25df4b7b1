"""Sources and sinks: where records come from and where they go."""

from __future__ import annotations

from mainstem.connect.arrow_sink import ArrowSink
from mainstem.connect.arrow_source import ArrowSource
from mainstem.connect.csv import CsvSource
from mainstem.connect.csv_sink import CsvSink
from mainstem.connect.excel_source import ExcelSource
from mainstem.connect.http_pages import (
    CursorPages,
    LinkHeaderPages,
    NextLinkPages,
    OffsetPages,
    Page,
    PageNumberPages,
    Pages,
)
from mainstem.connect.http_source import HttpSource
from mainstem.connect.json_lines import JsonLinesSource
from mainstem.connect.json_lines_sink import JsonLinesSink
from mainstem.connect.parquet_sink import ParquetSink
from mainstem.connect.parquet_source import ParquetSource
from mainstem.connect.postgres_source import PostgresSource
from mainstem.connect.singer_messages import SingerRecord
from mainstem.connect.singer_source import SingerSource
from mainstem.connect.sql_source import SqlSource
from mainstem.connect.table_sink import TableSink

__all__ = [
    "ArrowSink",
    "ArrowSource",
    "CsvSink",
    "CsvSource",
    "CursorPages",
    "ExcelSource",
    "HttpSource",
    "JsonLinesSink",
    "JsonLinesSource",
    "LinkHeaderPages",
    "NextLinkPages",
    "OffsetPages",
    "Page",
    "PageNumberPages",
    "Pages",
    "ParquetSink",
    "ParquetSource",
    "PostgresSource",
    "SingerRecord",
    "SingerSource",
    "SqlSource",
    "TableSink",
]
