"""The records of most figures, and the three functions that all contestants call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

Record: TypeAlias = dict[str, int]


def add_price(record: Record) -> Record:
    return {**record, "price": record["amount"] * 3}


def is_wanted(record: Record) -> bool:
    return record["amount"] % 4 != 0


def take_price(record: Record) -> int:
    return record["price"]


def make_lazily(count: int) -> Iterator[Record]:
    return ({"amount": number} for number in range(count))


def make_records(count: int) -> list[Record]:
    return list(make_lazily(count))
