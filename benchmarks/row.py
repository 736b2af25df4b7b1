"""One line of the table of results, and its form in JSON, in which processes hand it on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

Clock: TypeAlias = Literal["CPU", "wall", ""]
Quantity: TypeAlias = Literal["ratio", "amount"]


@dataclass(frozen=True, slots=True)
class Target:
    """The most that a figure may be: its ratio to the base, or its amount."""

    at_most: float
    of: Quantity = "ratio"


@dataclass(frozen=True, slots=True)
class Row:
    """What one contestant came to.

    Attributes:
        figure: What was measured.
        contestant: Who did it.
        version: The contestant's version; empty for code of the benchmark's own.
        records: How many records it was given.
        ratio: The median of the ratios to the base, one for each round; ``None`` where there is no base.
        lowest: The lowest of these ratios.
        highest: The highest.
        clock: What was measured: the processor time of the process, the time on the wall, or nothing of the kind.
        amount: The median of what was measured, in ``unit``.
        unit: What ``amount`` is counted in.
        targets: What it may come to at most.
    """

    figure: str
    contestant: str
    version: str
    records: int
    ratio: float | None
    lowest: float | None
    highest: float | None
    clock: Clock
    amount: float
    unit: str
    targets: tuple[Target, ...] = ()


def to_json(rows: Iterable[Row]) -> str:
    """Return the rows as one line of JSON."""
    return json.dumps([asdict(row) for row in rows])


def from_json(text: str) -> list[Row]:
    """Return the rows that ``to_json`` was given."""
    rows: list[dict[str, Any]] = json.loads(text)
    for row in rows:
        row["targets"] = tuple(Target(**target) for target in row["targets"])
    return [Row(**row) for row in rows]
