"""A CSV file of orders, checked and typed, into a table of PostgreSQL; what is wrong is kept in a file."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

COLUMNS = ["order", "customer", "amount", "city", "at"]
_START = datetime(2026, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the file."""

    order: str
    customer: str
    amount: int
    city: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Order:
    """An order that is wanted."""

    id: str
    customer: str
    cents: int
    city: str
    at: datetime


def is_paid(row: Row) -> bool | str:
    return row.amount > 0 or "nothing was paid"


def to_order(row: Row) -> Order:
    return Order(row.order, row.customer, row.amount * 100, row.city.upper(), row.at)


def write_orders(file: Path, count: int) -> None:
    """Write so many orders; one in 50 of them was not paid."""
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(COLUMNS)
        writer.writerows(
            [
                f"ORD-{n:07}",
                f"customer {n % 997}",
                n % 50,
                f"city {n % 83}",
                (_START + timedelta(seconds=n)).isoformat(),
            ]
            for n in range(count)
        )


def load_by_hand(file: Path, url: str) -> int:
    """Load the orders in one transaction, by binary COPY, and return how many there were."""
    import psycopg

    rejects: list[Any] = []
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE orders")
        with cursor.copy("COPY orders FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["text", "text", "int8", "text", "timestamptz"])
            for row in _checked(file, rejects):
                copy.write_row(row)
    file.with_suffix(".rejects").write_text("\n".join(map(json.dumps, rejects)))
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT count(*) FROM orders").fetchall()[0][0]  # type: ignore[no-any-return]


def _checked(file: Path, rejects: list[Any]) -> Iterator[tuple[Any, ...]]:
    with file.open(newline="") as opened:
        for number, line in enumerate(csv.DictReader(opened)):
            try:
                row = Row(
                    line["order"],
                    line["customer"],
                    int(line["amount"]),
                    line["city"],
                    datetime.fromisoformat(line["at"]),
                )
            except ValueError as error:
                rejects.append([number, str(error), line])
                continue
            verdict = is_paid(row)
            if verdict is not True:
                rejects.append([number, verdict, line])
                continue
            order = to_order(row)
            yield order.id, order.customer, order.cents, order.city, order.at
