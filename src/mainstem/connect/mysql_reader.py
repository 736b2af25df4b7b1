"""Looking at a table of MariaDB or MySQL without the right to change it."""

from __future__ import annotations

from typing import ClassVar

from mainstem.connect import mysql_columns
from mainstem.connect.mysql_columns import Column
from mainstem.connect.mysql_session import Session
from mainstem.connect.mysql_values import MysqlValues
from mainstem.connect.table_plan import TablePlan
from mainstem.connect.table_reader import TableReader

_UNIQUE = """
    SELECT index_name, column_name FROM information_schema.statistics
    WHERE table_schema = database() AND table_name = %s AND non_unique = 0 ORDER BY index_name <> 'PRIMARY', index_name,
          seq_in_index
"""
_CHECKS = """
    SELECT count(*) FROM information_schema.check_constraints
    WHERE constraint_schema = database() AND table_name = %s
"""
_REFERENCES = """
    SELECT count(*) FROM information_schema.referential_constraints
    WHERE constraint_schema = database() AND table_name = %s
"""
_TRIGGERS = """
    SELECT count(*) FROM information_schema.triggers
    WHERE event_object_schema = database() AND event_object_table = %s
"""


class MysqlReader(TableReader[Column]):
    """A session in a transaction that is READ ONLY.

    Rows are not compared with those of its tables: which texts are the same there is for collations to say, and what a
    column makes of a value for a trial.

    Args:
        session: An open session.
        plan: What is to be done with the table.
    """

    compares_rows: ClassVar[bool] = False

    def __init__(self, session: Session, plan: TablePlan) -> None:
        super().__init__(session, mysql_columns, plan)
        self._session = session
        session.execute("START TRANSACTION READ ONLY")

    def values(self, column: Column) -> MysqlValues:
        return MysqlValues(column, int(self._session.rows("SELECT @@max_allowed_packet")[0][0]))

    def unique_keys(self) -> list[tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for index, column in self._session.rows(_UNIQUE, [self.plan.table]):
            found.setdefault(index, []).append(column)
        return list(dict.fromkeys(map(tuple, found.values())))

    def not_tried(self) -> list[str]:
        found: list[str] = []
        for query, what in ((_CHECKS, "CHECK constraints"), (_REFERENCES, "foreign keys"), (_TRIGGERS, "triggers")):
            ((count,),) = self._session.rows(query, [self.plan.table])
            found += [f"{count} {what}"] if count else []
        return found

    def refusal(self, *, is_new: bool) -> str:
        return ""  # rights are granted to patterns and roles, and only the server can tell what follows from them
