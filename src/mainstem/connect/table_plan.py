"""What a ``TableSink`` is to do, whatever the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from mainstem.endpoints import Claim

Mode: TypeAlias = Literal["insert", "upsert", "replace"]

OnNewColumn: TypeAlias = Literal["add", "reject", "fail"]

PROGRESS_TABLE = "mainstem_progress"
"""The table, in the target's database, that holds the number of each durable run's last batch."""


@dataclass(frozen=True, slots=True)
class TablePlan:
    """What a sink is to do.

    Attributes:
        table: The table's name.
        key: Its key columns.
        mode: What becomes of rows that are there.
        model: What the records are, if a new table is to be made from its annotations.
        continue_on_error: Whether to go on past a record that the table does not take.
        on_new_column: What becomes of a record with a key that is no column of the table.
    """

    table: str
    key: tuple[str, ...]
    mode: Mode
    model: type[Any] | None
    continue_on_error: bool
    on_new_column: OnNewColumn = "reject"


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of a durable run: who writes it, and its number."""

    claim: Claim
    sequence: int
