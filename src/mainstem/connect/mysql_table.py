"""A table of MariaDB or MySQL as the target of a ``TableSink``."""

from __future__ import annotations

from contextlib import AbstractContextManager

from anyio.to_thread import run_sync

from mainstem.connect import mysql_columns
from mainstem.connect.mysql_load import MysqlLoad
from mainstem.connect.mysql_progress import claim_run
from mainstem.connect.mysql_reader import MysqlReader
from mainstem.connect.mysql_session import open_session
from mainstem.connect.sqlalchemy_engine import sqlalchemy_errors
from mainstem.connect.table_plan import Batch, TablePlan
from mainstem.connect.table_target import TableTarget
from mainstem.endpoints import Claim
from mainstem.secrets import redact_url


class MysqlTable(TableTarget[MysqlLoad]):
    """A table of MariaDB or MySQL.

    Args:
        url: The database.
        plan: What is to be done.

    Raises:
        TypeError: If there is no column for a field of the record type.
        ValueError: If a name cannot be one.
    """

    def __init__(self, url: str, plan: TablePlan) -> None:
        if plan.on_new_column == "add":
            raise ValueError(
                "on_new_column='add' is not for MariaDB and MySQL, which commit what was written when a column is "
                "added: add it before, or take another database"
            )
        super().__init__(url, plan, mysql_columns)

    def errors(self) -> AbstractContextManager[None]:
        return sqlalchemy_errors(self.url)

    def _open(self, batch: Batch | None) -> MysqlLoad:
        return MysqlLoad(open_session(self.url), self.url, self.plan, self._new_columns, batch)

    def _open_reader(self) -> MysqlReader:
        session = open_session(self.url)
        try:
            return MysqlReader(session, self.plan)
        except BaseException:
            session.close()
            raise

    async def claim(self, claim: Claim) -> int:
        return await run_sync(self._claim, claim)

    def _claim(self, claim: Claim) -> int:
        session = open_session(self.url)
        try:
            with self.errors():
                return claim_run(session, redact_url(self.url), claim)
        finally:
            session.close()
