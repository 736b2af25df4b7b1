"""A pipeline from a CSV file into SQLite, whose records can be held up, for tests of durable runs as processes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

SHOP = r"""
    import os
    from dataclasses import dataclass
    from pathlib import Path
    from time import monotonic

    from mainstem import DedupeStage, Pipeline
    from mainstem.connect import CsvSource, TableSink

    @dataclass
    class Order:
        id: int
        amount: float

    def kept(order: Order) -> bool:
        return order.id % 5 != 0

    def number(order: Order) -> int:
        return order.id

    def daily(
        orders: str = "orders.csv", database: str = "sqlite:///orders.db", hold: bool = False, password: str = ""
    ) -> Pipeline[None, object]:
        def parse(row: dict[str, str]) -> Order:
            if hold and int(row["id"]) == 700 and Path("hold").exists():
                print("holding", flush=True)
                while Path("hold").exists():
                    pass
            return Order(int(row["id"]), float(row["amount"]))

        return (
            Pipeline[None, object]("daily")
            .add_stage(CsvSource(orders))
            .map(parse, name="parse", continue_on_error=True)
            .filter(kept, name="keep")
            .add_stage(DedupeStage(number, name="once"))
            .add_stage(TableSink(database, "orders", record_type=Order, name="load"))
        )
    """
ORDERS = 2000
REJECTED = {number for number in range(ORDERS) if number % 97 == 3}
LOADED = {number for number in range(ORDERS) if number % 5} - REJECTED


def write_orders(folder: Path) -> None:
    rows = [f"{number},{'x' if number in REJECTED else number / 2}" for number in range(ORDERS)]
    (folder / "orders.csv").write_text("\n".join(["id,amount", *rows, ""]))


def loaded(folder: Path) -> list[int]:
    connection = sqlite3.connect(folder / "orders.db")
    try:
        return [row[0] for row in connection.execute("SELECT id FROM orders ORDER BY id")]
    finally:
        connection.close()
