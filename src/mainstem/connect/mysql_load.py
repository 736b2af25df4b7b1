"""One load into a table of MariaDB or MySQL: the statements of one transaction, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mainstem.connect import mysql_columns
from mainstem.connect.column_values import ColumnValues
from mainstem.connect.mysql_columns import Column
from mainstem.connect.mysql_progress import BatchProgress
from mainstem.connect.mysql_session import Session
from mainstem.connect.mysql_trial import Trial
from mainstem.connect.mysql_values import MysqlValues
from mainstem.connect.rejects import set_aside
from mainstem.connect.rows import Row
from mainstem.connect.sqlalchemy_engine import fault_of, reason_of
from mainstem.connect.table_columns import quoted
from mainstem.connect.table_evolution import EvolvingLoad
from mainstem.connect.table_plan import Batch, TablePlan
from mainstem.errors import ConnectError, ValidationError, describe_error
from mainstem.postgres import Fault
from mainstem.secrets import redact_url

_SAVEPOINT = "mainstem"
_ROOM = 64 * 1024
"""Bytes of a statement besides its largest value, of which each byte may need two."""
_CHANGED_BY_DELETING = """
    SELECT table_name, delete_rule FROM information_schema.referential_constraints
    WHERE unique_constraint_schema = DATABASE() AND referenced_table_name = %s
    AND delete_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT') LIMIT 1
"""
_UNIQUE_INDEXES = """
    SELECT index_name, column_name FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = %s AND non_unique = 0 ORDER BY index_name, seq_in_index
"""


class MysqlLoad(EvolvingLoad[Column]):
    """Writes records to a table of MariaDB or MySQL, many in a statement.

    Making the table is not part of the transaction: the database commits at it.

    Args:
        session: An open session outside a transaction; ``commit`` and ``abort`` close it.
        url: The database, for error messages.
        plan: What to do.
        new_columns: The columns of a table that is made, if a record type gives them.
        batch: The batch of a durable run that this is, if it is one.
    """

    at_once = 5000

    def __init__(
        self,
        session: Session,
        url: str,
        plan: TablePlan,
        new_columns: list[Column] | None,
        batch: Batch | None,
    ) -> None:
        where = redact_url(url)
        progress = None if batch is None else BatchProgress(session, where, batch)
        super().__init__(session, mysql_columns, where, plan, new_columns, progress)
        self._session = session
        self._statement = ""
        self._trials: dict[int, Trial] = {}
        self._largest = 0

    def prepare(self) -> None:
        self._largest = (int(self._session.rows("SELECT @@max_allowed_packet")[0][0]) - _ROOM) // 2
        super().prepare()

    def _changed_by_deleting(self) -> tuple[str, str] | None:
        found = self._session.rows(_CHANGED_BY_DELETING, [self._plan.table])
        return (repr(found[0][0]), str(found[0][1])) if found else None

    def _insert_into(self, columns: Sequence[Column]) -> Sequence[ColumnValues]:
        plan = self._plan
        # A percent sign is doubled, because values are put in the places of others.
        names = ", ".join(quoted(each.name) for each in columns)
        statement = f"INSERT INTO {quoted(plan.table)} ({names}) VALUES ".replace("%", "%%")
        statement += f"({', '.join(['%s'] * len(columns))})"
        if plan.mode == "upsert":
            self._check_unique_indexes()
            statement += f" ON DUPLICATE KEY UPDATE {self._updates(columns)}".replace("%", "%%")
        self._statement = statement
        values = [MysqlValues(each, self._largest) for each in columns]
        self._trials = {
            at: Trial(self._session, plan.table, column, at)
            for at, (column, check) in enumerate(zip(columns, values, strict=True))
            if not check.is_known
        }
        return values

    def _updates(self, columns: Sequence[Column]) -> str:
        key = self._plan.key
        changed = [each.name for each in columns if each.name not in key] or key[:1]
        return ", ".join(f"{quoted(name)} = VALUES({quoted(name)})" for name in changed)

    def _check_unique_indexes(self) -> None:
        """See that a row that is there already can only be found by the key: the database goes by any unique index.

        Raises:
            ConnectError: If not.
        """
        table, key = self._plan.table, self._plan.key
        indexes: dict[str, list[str]] = {}
        for index, column in self._session.rows(_UNIQUE_INDEXES, [table]):
            indexes.setdefault(str(index), []).append(str(column))
        if not any(set(columns) == set(key) for columns in indexes.values()):
            raise ConnectError(
                f"{self._where}: to upsert by {', '.join(map(repr, key))}, table {table!r} must have a primary key or "
                "unique index of just that"
            )
        other = next((index for index, columns in indexes.items() if set(columns) != set(key)), None)
        if other is not None:
            raise ConnectError(
                f"{self._where}: table {table!r} has another unique index, {other!r}, and ON DUPLICATE KEY UPDATE "
                "would change a row that shares only its values: drop it, or use mode 'insert'"
            )

    def _insert(self, records: Sequence[Any], positions: Sequence[int], failures: list[tuple[int, Exception]]) -> None:
        rows, positions = self._converted(records, positions, failures)
        if rows and self._trials and self._goes_on(failures):
            rows, positions = self._tried(rows, positions, failures)
        if rows and self._goes_on(failures):
            set_aside(positions, self._insert_by_halves(rows, 0), failures)

    def _tried(
        self, rows: list[Row], positions: Sequence[int], failures: list[tuple[int, Exception]]
    ) -> tuple[list[Row], Sequence[int]]:
        problems: dict[int, Exception] = {}
        for at, trial in self._trials.items():
            for position, error in trial.problems([row[at] for row in rows]):
                problems.setdefault(position, error)
        if not problems:
            return rows, positions
        kept = set_aside(positions, sorted(problems.items()), failures)
        return [row for at, row in enumerate(rows) if at not in problems], kept

    def _insert_by_halves(self, rows: list[Row], first: int) -> list[tuple[int, Exception]]:
        """Insert the rows, and find those that are refused by trying halves; positions count from ``first``."""
        error = self._try(rows)
        if error is None:
            return []
        if len(rows) == 1:
            refused = ValidationError(f"table {self._plan.table!r} does not take the record: {_reason(error)}")
            refused.__cause__ = error
            return [(first, refused)]
        failures: list[tuple[int, Exception]] = []
        middle = len(rows) // 2
        for start, half in ((0, rows[:middle]), (middle, rows[middle:])):
            if self._goes_on(failures):
                failures += self._insert_by_halves(half, first + start)
        return failures

    def _try(self, rows: list[Row]) -> Exception | None:
        """Insert rows, all or none.

        Returns:
            Why they are refused, if that is because of what they hold.

        Raises:
            sqlalchemy.exc.DBAPIError: If it is not.
        """
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        session = self._session
        session.execute(f"SAVEPOINT {_SAVEPOINT}")
        try:
            session.execute(self._statement, rows)
        except DBAPIError as error:
            if fault_of(error) is not Fault.DATA:
                raise
            failure: Exception = error
        except SQLAlchemyError:
            raise
        except Exception as error:  # the driver has no form for a value, or its own methods raise
            failure = error
        else:
            session.execute(f"RELEASE SAVEPOINT {_SAVEPOINT}")
            return None
        session.execute(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
        return failure

    def _commit(self) -> None:
        self._session.commit()
        self._session.close()

    def abort(self) -> None:
        self._session.close()


def _reason(error: Exception) -> str:
    from sqlalchemy.exc import DBAPIError

    return reason_of(error) if isinstance(error, DBAPIError) else describe_error(error)
