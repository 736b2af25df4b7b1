"""Right uses of databases: reading what is new, and tables that grow columns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, assert_type

from mainstem import LoadReport, Pipeline
from mainstem.connect import SqlSource, TableSink


@dataclass(frozen=True)
class Order:
    id: int
    changed: datetime


new_orders = SqlSource(
    "mariadb+pymysql://host/shop", "orders", cursor="changed", key="id", lag=timedelta(minutes=5), record_type=Order
)
assert_type(new_orders, SqlSource[Order])
assert_type(SqlSource("duckdb:///shop.duckdb", "orders", cursor="id", key="id", since=7), SqlSource[dict[str, Any]])
copied = Pipeline[None, LoadReport]("copied").add_stage(new_orders)
loaded = copied.add_stage(TableSink("duckdb:///shop.duckdb", "orders", key="id", mode="upsert", on_new_column="add"))
assert_type(loaded.run().data, LoadReport | None)
