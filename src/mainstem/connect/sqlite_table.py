"""A table of SQLite as the target of a ``TableSink``."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from mainstem.connect import sqlite_columns
from mainstem.connect.sqlite import begin_writing, database_errors, database_path, open_database, when_unlocked
from mainstem.connect.sqlite_load import SqliteLoad
from mainstem.connect.sqlite_progress import claim_run
from mainstem.connect.sqlite_reader import SqliteReader, reader_of
from mainstem.connect.table_plan import Batch, TablePlan
from mainstem.connect.table_target import TableTarget
from mainstem.endpoints import Claim
from mainstem.errors import ConnectError


class SqliteTable(TableTarget[SqliteLoad]):
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
        path = database_path(url)
        if path is None:
            raise ConnectError(
                f"{url}: a database in memory is gone when the load ends: name a file, sqlite:///file.db"
            )
        self._path = path
        super().__init__(url, plan, sqlite_columns)

    @property
    def locked_file(self) -> Path:
        return self._path.resolve()

    def errors(self) -> AbstractContextManager[None]:
        return database_errors(self.url)

    def _open(self, batch: Batch | None) -> SqliteLoad:
        connection = open_database(self.url, create=batch is None)
        return SqliteLoad(connection, self.url, self.plan, self._new_columns, batch)

    def _open_reader(self) -> SqliteReader:
        return reader_of(self.url, self._path, self.plan)

    async def _begin(self, load: SqliteLoad) -> None:
        await when_unlocked(load.connection, load.begin)
        await super()._begin(load)

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
