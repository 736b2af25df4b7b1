"""One load into a table of SQLite: the statements of one transaction, in order."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mainstem.connect import sqlite_columns
from mainstem.connect.column_values import ColumnValues
from mainstem.connect.rejects import set_aside
from mainstem.connect.sqlite import begin_writing
from mainstem.connect.sqlite_columns import Column
from mainstem.connect.sqlite_frames import iso_texts
from mainstem.connect.sqlite_insert import RowInserter
from mainstem.connect.sqlite_progress import BatchProgress
from mainstem.connect.sqlite_values import SqliteValues
from mainstem.connect.table_columns import quoted
from mainstem.connect.table_evolution import EvolvingLoad
from mainstem.connect.table_plan import Batch, TablePlan
from mainstem.errors import ConnectError

if TYPE_CHECKING:
    import polars

_CHANGED_BY_DELETING = """
    SELECT m.name, f.on_delete FROM sqlite_master AS m, pragma_foreign_key_list(m.name) AS f
    WHERE m.type = 'table' AND f."table" = ? COLLATE NOCASE AND f.on_delete IN ('CASCADE', 'SET NULL', 'SET DEFAULT')
"""
_COUNT_TRIGGERS = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE"


class SqliteLoad(EvolvingLoad[Column]):
    """Writes records to a table of SQLite.

    Args:
        connection: An open connection outside a transaction; ``commit`` and ``abort`` close it.
        url: The database, for error messages.
        plan: What to do.
        new_columns: The columns of a table that is made, if a record type gives them.
        batch: The batch of a durable run that this is, if it is one.
    """

    at_once = 500  # below the 700 allocations after which the garbage collector looks

    def __init__(
        self,
        connection: sqlite3.Connection,
        url: str,
        plan: TablePlan,
        new_columns: list[Column] | None,
        batch: Batch | None,
    ) -> None:
        progress = None if batch is None else BatchProgress(connection, url, batch)
        super().__init__(connection, sqlite_columns, url, plan, new_columns, progress)
        self._inserter: RowInserter | None = None
        self._closed = False

    def begin(self) -> None:
        """Begin the transaction, with the right to write.

        Raises:
            sqlite3.OperationalError: If another connection has it; call again then.
        """
        self.connection.execute("PRAGMA foreign_keys = ON")
        begin_writing(self.connection)

    def _empty(self) -> None:
        # Rows that others refer to may come back before the end, which is when it counts.
        self.connection.execute("PRAGMA defer_foreign_keys = ON")
        super()._empty()

    def _changed_by_deleting(self) -> tuple[str, str] | None:
        referring = self.connection.execute(_CHANGED_BY_DELETING, (self._plan.table,)).fetchone()
        return None if referring is None else (repr(referring[0]), referring[1])

    def _insert_into(self, columns: Sequence[Column]) -> Sequence[ColumnValues]:
        plan = self._plan
        names = ", ".join(quoted(each.name) for each in columns)
        # OR ABORT, because a table may have been declared to pass over or replace rows in conflict.
        statement = f"INSERT OR ABORT INTO {quoted(plan.table)} ({names}) VALUES ({', '.join('?' * len(columns))})"
        if plan.mode == "upsert":
            statement += f" ON CONFLICT ({', '.join(map(quoted, plan.key))}) DO UPDATE SET {self._updates(columns)}"
        self.connection.execute(f"EXPLAIN {statement}", [None] * len(columns))
        has_triggers = bool(self.connection.execute(_COUNT_TRIGGERS, (plan.table,)).fetchone()[0])
        self._inserter = RowInserter(self.connection, self._where, plan, statement, has_triggers=has_triggers)
        return list(map(SqliteValues, columns))

    def _values_of(self, column: polars.Series) -> list[Any]:
        return iso_texts(column) if column.dtype.is_temporal() else column.to_list()

    def _insert(self, records: Sequence[Any], positions: Sequence[int], failures: list[tuple[int, Exception]]) -> None:
        assert self._inserter is not None
        rows, positions = self._converted(records, positions, failures)
        if self._goes_on(failures):
            set_aside(positions, self._inserter.insert(rows), failures)

    def commit(self) -> None:
        if not self.connection.in_transaction:
            raise ConnectError(f"{self._where}: a trigger ended the transaction: nothing is stored")
        super().commit()

    def _commit(self) -> None:
        self.connection.execute("COMMIT")
        self._close()

    def abort(self) -> None:
        if self._closed:
            return
        try:
            # After some errors, such as a full disk, SQLite has rolled back by itself.
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        finally:
            self._close()

    def _close(self) -> None:
        self._closed = True
        self.connection.close()
