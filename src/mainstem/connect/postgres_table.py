"""A table of PostgreSQL as the target of a ``TableSink``."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from anyio.to_thread import run_sync

from mainstem.connect.postgres_columns import Column, check_identifier, declare
from mainstem.connect.postgres_load import PostgresLoad
from mainstem.connect.postgres_progress import claim_run
from mainstem.connect.table_target import Batch, TablePlan, TableTarget
from mainstem.endpoints import Claim
from mainstem.errors import ConnectError
from mainstem.postgres import open_connection, postgres_errors
from mainstem.records import field_hints
from mainstem.secrets import redact_url

if TYPE_CHECKING:
    import psycopg

_SET_LOCK_TIMEOUT = "SET lock_timeout = '30s'"


class PostgresTable(TableTarget):
    """A table of PostgreSQL.

    Args:
        url: The database.
        plan: What is to be done.

    Raises:
        TypeError: If there is no column for a field of the record type.
        ValueError: If a name cannot be one.
    """

    def __init__(self, url: str, plan: TablePlan) -> None:
        super().__init__(url, plan)
        check_identifier("the name of a table", plan.table)
        for each in plan.key:
            check_identifier("the name of a key column", each)
        self._new_columns: list[Column] | None = None
        if plan.model is not None:
            hints = field_hints(plan.model) or {}
            for field in hints:
                check_identifier("the name of a column", field)
            self._new_columns = [declare(field, hint, plan.key) for field, hint in hints.items()]

    @property
    def name(self) -> str:
        return f"{redact_url(self.url)}, table {self.plan.table}"

    @contextmanager
    def errors(self) -> Generator[None]:
        with _data_errors(self.url), postgres_errors(self.url):
            yield

    def _connect(self, *, autocommit: bool) -> psycopg.Connection[Any]:
        connection = open_connection(self.url, autocommit=True, client_encoding="UTF8")
        with postgres_errors(self.url):
            connection.execute(_SET_LOCK_TIMEOUT)
            connection.execute("SET synchronous_commit = on")
        connection.autocommit = autocommit
        return connection

    async def begin(self, batch: Batch | None) -> PostgresLoad:
        connection = await run_sync(partial(self._connect, autocommit=False))
        load = PostgresLoad(connection, self.url, self.plan, self._new_columns, batch)
        try:
            with self.errors():
                await run_sync(load.prepare)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await run_sync(load.abort)
            raise
        return load

    async def claim(self, claim: Claim) -> int:
        return await run_sync(self._claim, claim)

    def _claim(self, claim: Claim) -> int:
        connection = self._connect(autocommit=True)
        try:
            with self.errors():
                return claim_run(connection, self.url, claim)
        finally:
            connection.close()


@contextmanager
def _data_errors(url: str) -> Generator[None]:
    """Turn an error of the data that no record could be found guilty of into one that says so."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise ConnectError(f"{redact_url(url)}: {str(error).strip()}") from error
