"""A table of PostgreSQL as the target of a ``TableSink``."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from anyio.to_thread import run_sync

from mainstem.connect import postgres_columns
from mainstem.connect.postgres_load import PostgresLoad
from mainstem.connect.postgres_progress import claim_run
from mainstem.connect.postgres_reader import PostgresReader
from mainstem.connect.table_plan import Batch, TablePlan
from mainstem.connect.table_target import TableTarget
from mainstem.endpoints import Claim
from mainstem.errors import ConnectError
from mainstem.postgres import open_connection, postgres_errors
from mainstem.secrets import redact_url

if TYPE_CHECKING:
    import psycopg

_SETTINGS = """
    SET lock_timeout = '30s';
    SELECT set_config(name, 'on', false) FROM pg_settings WHERE name = 'synchronous_commit' AND setting = 'off'
"""


class PostgresTable(TableTarget[PostgresLoad]):
    """A table of PostgreSQL.

    Args:
        url: The database.
        plan: What is to be done.

    Raises:
        TypeError: If there is no column for a field of the record type.
        ValueError: If a name cannot be one.
    """

    def __init__(self, url: str, plan: TablePlan) -> None:
        super().__init__(url, plan, postgres_columns)

    @contextmanager
    def errors(self) -> Generator[None]:
        with _data_errors(self.url), postgres_errors(self.url):
            yield

    def _connect(self) -> psycopg.Connection[Any]:
        connection = open_connection(self.url, autocommit=True, client_encoding="UTF8")
        try:
            with postgres_errors(self.url):
                connection.execute(_SETTINGS)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open(self, batch: Batch | None) -> PostgresLoad:
        return PostgresLoad(self._connect(), self.url, self.plan, self._new_columns, batch)

    def _open_reader(self) -> PostgresReader:
        connection = self._connect()
        try:
            return PostgresReader(connection, self.plan)
        except BaseException:
            connection.close()
            raise

    async def claim(self, claim: Claim) -> int:
        return await run_sync(self._claim, claim)

    def _claim(self, claim: Claim) -> int:
        connection = self._connect()
        try:
            with self.errors():
                return claim_run(connection, redact_url(self.url), claim)
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
