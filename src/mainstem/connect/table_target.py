"""What ``TableSink`` asks of a kind of database: the place of its SQL, its transactions and its locks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from mainstem.connect.rejects import Reject
from mainstem.endpoints import Claim

Mode: TypeAlias = Literal["insert", "upsert", "replace"]

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
    """

    table: str
    key: tuple[str, ...]
    mode: Mode
    model: type[Any] | None
    continue_on_error: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of a durable run: who writes it, and its number."""

    claim: Claim
    sequence: int


class TableLoad(ABC):
    """Writes records within one transaction, which has begun. Its methods block, and are called one at a time."""

    @abstractmethod
    def write(self, records: Sequence[Any]) -> list[Reject]:
        """Write a chunk.

        Returns:
            The records that the table does not take; all others are written. Without ``continue_on_error`` the first
            at least, and the transaction is to be aborted.
        """

    @abstractmethod
    def commit(self) -> None:
        """Commit, with the number of the batch if it is one, and close; if that fails, ``abort`` is called."""

    @abstractmethod
    def abort(self) -> None:
        """Roll back and close. Once it is committed or aborted, this does nothing."""


class TableTarget(ABC):
    """A table of some kind of database; made when the sink is, so what it can't do is an error then.

    Args:
        url: The database.
        plan: What is to be done.
    """

    def __init__(self, url: str, plan: TablePlan) -> None:
        self.url = url
        self.plan = plan

    @property
    def name(self) -> str:
        """The database and the table, without secrets."""
        return f"{self.url}, table {self.plan.table}"

    @property
    def locked_file(self) -> Path | None:
        """The file that nobody else can write during a transaction, if there is one."""
        return None

    @abstractmethod
    def errors(self) -> AbstractContextManager[None]:
        """Return a context that turns the database's errors into a ``ConnectError`` that says what to do."""

    @abstractmethod
    async def begin(self, batch: Batch | None) -> TableLoad:
        """Open the database and begin a transaction: that of a batch, or of a whole load.

        Raises:
            LeaseLostError: If somebody with a later epoch has claimed the run.
            ConnectError: If the database cannot be opened, or the table does not fit.
        """

    @abstractmethod
    async def claim(self, claim: Claim) -> int:
        """Keep the claim's epoch, and return the number of the last batch that was committed, 0 if there was none.

        Raises:
            LeaseLostError: If there is a later epoch.
            ConnectError: If the database cannot be opened or written.
        """
