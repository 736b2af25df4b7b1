"""Wrong uses of databases."""

from __future__ import annotations

from mainstem.connect import SqlSource, TableSink

TableSink("duckdb:///shop.duckdb", "orders", on_new_column="maybe")  # expect: call-overload, reportArgumentType
SqlSource("duckdb:///shop.duckdb", "orders", cursor=7, key="id")  # expect: call-overload, reportArgumentType
