"""What ``TableSink`` asks of a kind of database: the place of its SQL, its transactions and its locks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Generic, TypeVar

import anyio
from anyio.to_thread import run_sync

from mainstem.connect.table_columns import Dialect
from mainstem.connect.table_diff import TableDiff
from mainstem.connect.table_load import TableLoad
from mainstem.connect.table_look import TableLook, look_at_table
from mainstem.connect.table_plan import Batch, TablePlan
from mainstem.connect.table_reader import TableReader
from mainstem.endpoints import Claim
from mainstem.records import field_hints
from mainstem.secrets import redact_url

L = TypeVar("L", bound=TableLoad[Any])


class TableTarget(ABC, Generic[L]):
    """A table of some kind of database; made when the sink is, so what it can't do is an error then.

    Args:
        url: The database.
        plan: What is to be done.
        dialect: The kind of database.

    Raises:
        TypeError: If there is no column for a field of the record type.
        ValueError: If a name cannot be one.
    """

    def __init__(self, url: str, plan: TablePlan, dialect: Dialect[Any]) -> None:
        self.url = url
        self.plan = plan
        self.dialect = dialect
        dialect.check_identifier("the name of a table", plan.table)
        for each in plan.key:
            dialect.check_identifier("the name of a key column", each)
        self._new_columns: list[Any] | None = None
        if plan.model is not None:
            hints = field_hints(plan.model) or {}
            for field in hints:
                dialect.check_identifier("the name of a column", field)
            self._new_columns = [dialect.declare(field, hint, plan.key) for field, hint in hints.items()]

    @property
    def name(self) -> str:
        """The database and the table, without secrets."""
        return f"{redact_url(self.url)}, table {self.plan.table}"

    @property
    def locked_file(self) -> Path | None:
        """The file that nobody else can write during a transaction, if there is one."""
        return None

    @abstractmethod
    def errors(self) -> AbstractContextManager[None]:
        """Return a context that turns the database's errors into a ``ConnectError`` that says what to do."""

    async def begin(self, batch: Batch | None) -> L:
        """Open the database and begin a transaction: that of a batch, or of a whole load.

        Raises:
            LeaseLostError: If somebody with a later epoch has claimed the run.
            ConnectError: If the database cannot be opened, or the table does not fit.
        """
        load = await run_sync(self._open, batch)
        try:
            with self.errors():
                await self._begin(load)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await run_sync(load.abort)
            raise
        return load

    @abstractmethod
    def _open(self, batch: Batch | None) -> L:
        """Open the database for a load that is still to begin."""

    async def _begin(self, load: L) -> None:
        await run_sync(load.prepare)

    async def begin_diff(self) -> TableDiff[Any] | None:
        """Open the database without the right to change it, to see what a load would do.

        Returns:
            What compares records with the table; ``None`` if there is nothing that can for this kind of database.

        Raises:
            ConnectError: If the database cannot be opened, or the table does not fit.
        """
        with self.errors():
            reader = await run_sync(self._open_reader)
        if reader is None or not reader.compares_rows:
            if reader is not None:
                await run_sync(reader.close)
            return None
        diff: TableDiff[Any] = TableDiff(reader, redact_url(self.url), self.plan, self._new_columns)
        try:
            with self.errors():
                await run_sync(diff.prepare)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await run_sync(diff.abort)
            raise
        return diff

    def _open_reader(self) -> TableReader[Any] | None:
        """Open the database for looking at it only; ``None`` if nobody has written what does so for its kind."""
        return None

    async def reach(self) -> str | None:
        """See that the database can be reached, where nothing can ``look`` at its tables.

        Raises:
            ConnectError: If it cannot.
        """
        return None

    async def look(self, record_type: type[Any] | None) -> TableLook | None:
        """See what a load of such records would find, and do to the table itself.

        Args:
            record_type: What the records are; the sink's own record type counts more. ``None`` if that is not known.

        Returns:
            What was seen; ``None`` if there is nothing that can look at this kind of database.

        Raises:
            ConnectError: If the database cannot be opened.
        """
        with self.errors():
            return await run_sync(self._look, record_type)

    def _look(self, record_type: type[Any] | None) -> TableLook | None:
        reader = self._open_reader()
        if reader is None:
            return None
        try:
            return look_at_table(reader, redact_url(self.url), self._new_columns, record_type)
        finally:
            reader.close()

    @abstractmethod
    async def claim(self, claim: Claim) -> int:
        """Keep the claim's epoch, and return the number of the last batch that was committed, 0 if there was none.

        Raises:
            LeaseLostError: If there is a later epoch.
            ConnectError: If the database cannot be opened or written.
        """
