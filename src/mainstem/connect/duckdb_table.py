"""A table of DuckDB as the target of a ``TableSink``."""

from __future__ import annotations

from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path
from threading import Lock

import anyio
from anyio.to_thread import run_sync

from mainstem.connect import duckdb_columns
from mainstem.connect.duckdb_load import DuckdbLoad
from mainstem.connect.duckdb_progress import claim_run
from mainstem.connect.duckdb_session import (
    database_file,
    duckdb_errors,
    import_duckdb,
    open_database,
    take,
    writer_lock,
)
from mainstem.connect.table_plan import Batch, TablePlan
from mainstem.connect.table_target import TableTarget
from mainstem.endpoints import Claim
from mainstem.errors import ConnectError


class DuckdbTable(TableTarget[DuckdbLoad]):
    """A table of DuckDB.

    Args:
        url: The database.
        plan: What is to be done.

    Raises:
        ConnectError: If the URL is no file's.
        MissingExtraError: If ``mainstem[duckdb]`` is not installed.
        TypeError: If there is no column for a field of the record type.
        ValueError: If a name cannot be one.
    """

    def __init__(self, url: str, plan: TablePlan) -> None:
        self._path = database_file(url)
        import_duckdb()
        super().__init__(url, plan, duckdb_columns)

    @property
    def locked_file(self) -> Path:
        return self._path.resolve()

    def errors(self) -> AbstractContextManager[None]:
        return duckdb_errors(self.url)

    async def reach(self) -> str:
        return await run_sync(self._reach)

    def _reach(self) -> str:
        path = self._path.absolute()
        if path.exists():
            with duckdb_errors(self.url), closing(import_duckdb().connect(str(path), read_only=True)) as connection:
                columns = duckdb_columns.find_columns(connection, self.plan.table, self.plan.key)
            return "there is no such table yet" if columns is None else f"the table has {len(columns)} columns"
        if not path.parent.is_dir():
            raise ConnectError(f"cannot open {self.url}: there is no folder {path.parent}; make it, or check the path")
        return "there is no such file yet"

    async def begin(self, batch: Batch | None) -> DuckdbLoad:
        # Before the file is opened, for that is done in the base, which lets go of it if the load cannot begin.
        lock = await self._locked()
        try:
            load = await run_sync(self._open_with, lock, batch)
        except BaseException:
            lock.release()
            raise
        try:
            with self.errors():
                await run_sync(load.begin)
                await self._begin(load)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await run_sync(load.abort)
            raise
        return load

    async def _locked(self) -> Lock:
        lock = writer_lock(self._path)
        await take(lock, self.url)
        return lock

    def _open(self, batch: Batch | None) -> DuckdbLoad:
        return self._open_with(Lock(), batch)

    def _open_with(self, lock: Lock, batch: Batch | None) -> DuckdbLoad:
        connection = open_database(self.url, create=batch is None)
        try:
            return DuckdbLoad(connection, lock, self.url, self.plan, self._new_columns, batch)
        except BaseException:
            connection.close()
            raise

    async def claim(self, claim: Claim) -> int:
        lock = await self._locked()
        try:
            connection = await run_sync(partial(open_database, self.url, create=True))
            try:
                with self.errors():
                    return await run_sync(claim_run, connection, self.url, claim)
            finally:
                # Closing rolls back what was not committed.
                with anyio.CancelScope(shield=True):
                    await run_sync(connection.close)
        finally:
            lock.release()
