"""A pipeline whose records are rejected, mended and replayed, for tests of the page."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from mainstem import MapStage, Pipeline, Secret
from mainstem.connect import TableSink
from mainstem.store.model import RunRecord
from mainstem.web.code import RunnablePipeline


@dataclass
class Login:
    """A record with a secret."""

    user: str
    age: int
    password: Annotated[str, Secret]


def to_row(row: dict[str, str]) -> dict[str, object]:
    return {"id": int(row["id"]), "amount": float(row["amount"])}


def check_login(login: Login) -> dict[str, object]:
    if login.age < 0:
        raise ValueError(f"{login.user} is not born yet, and says {login.password}")
    return {"user": login.user, "age": login.age}


def orders(folder: Path) -> Pipeline[Any, Any, Any]:
    return (
        Pipeline[Any, Any]("orders")
        .add_stage(MapStage(to_row, name="parse", continue_on_error=True))
        .add_stage(TableSink(f"sqlite:///{folder}/orders.db", "orders", key="id", name="load"))
    )


def logins(folder: Path) -> Pipeline[Any, Any, Any]:
    return (
        Pipeline[Any, Any]("logins")
        .add_stage(MapStage(check_login, name="check", continue_on_error=True))
        .add_stage(TableSink(f"sqlite:///{folder}/logins.db", "logins", key="user", name="load"))
    )


def run_orders(folder: Path, rows: Sequence[dict[str, Any]], run_id: str = "monday") -> None:
    result = orders(folder).run(rows, store=folder / "runs.db", run_id=run_id)
    assert result.success, result.error


def loaded(folder: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "orders.db")) as connection:
        return connection.execute("SELECT id, amount FROM orders ORDER BY id").fetchall()


ROWS = [{"id": str(n), "amount": "x" if n % 10 == 3 else str(Decimal(n) / 2)} for n in range(40)]
REJECTED = [3, 13, 23, 33]


class Code:
    """The code of pipelines of this module, as a page is given it."""

    def __init__(self, folder: Path) -> None:
        self._made = {"orders": orders, "logins": logins}
        self._folder = folder

    def __str__(self) -> str:
        return "tests.web.shop"

    def serves(self, record: RunRecord) -> bool:
        return record.pipeline in self._made

    async def pipeline_of(self, record: RunRecord) -> RunnablePipeline:
        return self._made[record.pipeline](self._folder)
