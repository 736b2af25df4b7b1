"""A table of SQLite as the target of a ``TableSink``."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from mainstem.connect.sqlite import begin_writing, database_errors, database_path, open_database, when_unlocked
from mainstem.connect.sqlite_columns import Column, check_identifier, declare
from mainstem.connect.sqlite_load import SqliteLoad
from mainstem.connect.sqlite_progress import claim_run
from mainstem.connect.table_target import Batch, TablePlan, TableTarget
from mainstem.endpoints import Claim
from mainstem.errors import ConnectError
from mainstem.records import field_hints


class SqliteTable(TableTarget):
    """A table of SQLite.

    Args:
        url: The database.
        plan: What is to be done.

    Raises:
        ConnectError: If the URL is no file's.
        TypeError: If a field of the record type cannot be stored unchanged.
        ValueError: If a name cannot be one.
    """

    def __init__(self, url: str, plan: TablePlan) -> None:
        super().__init__(url, plan)
        path = database_path(url)
        if path is None:
            raise ConnectError(
                f"{url}: a database in memory is gone when the load ends: name a file, sqlite:///file.db"
            )
        self._path = path
        check_identifier("the name of a table", plan.table)
        for each in plan.key:
            check_identifier("the name of a key column", each)
        self._new_columns: list[Column] | None = None
        if plan.model is not None:
            hints = field_hints(plan.model) or {}
            self._new_columns = [declare(field, hint, plan.key) for field, hint in hints.items()]

    @property
    def locked_file(self) -> Path:
        return self._path.resolve()

    def errors(self) -> AbstractContextManager[None]:
        return database_errors(self.url)

    async def begin(self, batch: Batch | None) -> SqliteLoad:
        connection = await run_sync(partial(open_database, self.url, create=batch is None))
        load = SqliteLoad(connection, self.url, self.plan, self._new_columns, batch)
        try:
            with self.errors():
                await when_unlocked(connection, load.begin)
                await run_sync(load.prepare)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await run_sync(load.abort)
            raise
        return load

    async def claim(self, claim: Claim) -> int:
        connection = await run_sync(partial(open_database, self.url, create=True))
        try:
            with self.errors():
                await when_unlocked(connection, partial(begin_writing, connection))
                return await run_sync(claim_run, connection, self.url, claim)
        finally:
            # Closing rolls back what was not committed.
            with anyio.CancelScope(shield=True):
                await run_sync(connection.close)
