"""One load into a table of DuckDB: the statements of one transaction, in order."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

from mainstem.connect import duckdb_columns
from mainstem.connect.arrow_values import load_arrow
from mainstem.connect.column_values import ColumnValues
from mainstem.connect.duckdb_checks import CHUNK, ORDER, Check, checks_of, refused
from mainstem.connect.duckdb_columns import Column
from mainstem.connect.duckdb_frames import arrow_columns
from mainstem.connect.duckdb_progress import BatchProgress
from mainstem.connect.duckdb_values import DuckdbValues
from mainstem.connect.frame_rows import FrameRows
from mainstem.connect.rejects import set_aside
from mainstem.connect.table_columns import quoted
from mainstem.connect.table_evolution import EvolvingLoad
from mainstem.connect.table_plan import Batch, TablePlan
from mainstem.errors import ValidationError

if TYPE_CHECKING:
    import duckdb


class DuckdbLoad(EvolvingLoad[Column]):
    """Writes records to a table of DuckDB, as tables of Arrow.

    Args:
        connection: An open connection outside a transaction; ``commit`` and ``abort`` close it.
        lock: The lock of those who write the file, which is held; it is let go with the connection.
        url: The database, for error messages.
        plan: What to do.
        new_columns: The columns of a table that is made, if a record type gives them.
        batch: The batch of a durable run that this is, if it is one.

    Raises:
        MissingExtraError: If ``mainstem[frames]`` is not installed.
    """

    at_once = 65_536

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        lock: Lock,
        url: str,
        plan: TablePlan,
        new_columns: list[Column] | None,
        batch: Batch | None,
    ) -> None:
        progress = None if batch is None else BatchProgress(connection, url, batch)
        super().__init__(connection, duckdb_columns, url, plan, new_columns, progress)
        self._arrow = load_arrow("Loading tables of DuckDB")
        self._lock: Lock | None = lock
        self._trial: duckdb.DuckDBPyConnection | None = None
        self._into: list[DuckdbValues] = []
        self._checks: list[Check] = []
        self._statement = ""

    def begin(self) -> None:
        """Begin the transaction."""
        self.connection.execute("BEGIN")

    def _changed_by_deleting(self) -> tuple[str, str] | None:
        return None  # DuckDB has no ON DELETE clause but RESTRICT

    def _insert_into(self, columns: Sequence[Column]) -> Sequence[ColumnValues]:
        plan = self._plan
        names = ", ".join(quoted(each.name) for each in columns)
        # Named by the relation, for a column may be called as the one that numbers the rows.
        statement = f"INSERT INTO {quoted(plan.table)} ({names}) SELECT {names} FROM {CHUNK}"
        if plan.mode == "upsert":
            key = ", ".join(map(quoted, plan.key))
            statement += (
                f" QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {ORDER} DESC) = 1 ORDER BY {ORDER} "
                f"ON CONFLICT ({key}) DO {self._update(columns)}"
            )
        else:
            statement += f" ORDER BY {ORDER}"
        self._statement = statement
        self._checks = checks_of(self.connection, plan, self._columns or (), columns)
        self._into = [DuckdbValues(each, self._cast_to(each)) for each in columns]
        return self._into

    def _update(self, columns: Sequence[Column]) -> str:
        changed = [quoted(each.name) for each in columns if each.name not in self._plan.key]
        return f"UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in changed)}" if changed else "NOTHING"

    def _cast_to(self, column: Column) -> Any:
        """Return what casts a value, outside the transaction, which would not survive an error."""

        def cast(value: Any) -> Any:
            import duckdb

            trial: Any = self._trial or self.connection.cursor()
            self._trial = trial
            try:
                found = trial.execute(f"SELECT CAST(? AS {column.declared})", [value]).fetchall()
            except duckdb.Error as error:
                raise ValueError(str(error).strip().splitlines()[0]) from error
            return found[0][0]

        return cast

    def _insert(self, records: Sequence[Any], positions: Sequence[int], failures: list[tuple[int, Exception]]) -> None:
        table = self._table_of_frame(records)
        if table is None:
            rows, positions = self._converted(records, positions, failures)
            if not rows or not self._goes_on(failures):
                return
            arrays = [
                self._arrow.array(values, values_of.arrow_type(self._arrow))
                for values_of, values in zip(self._into, zip(*rows, strict=True), strict=True)
            ]
            table = self._table(arrays)
        self._insert_table(table, positions, failures)

    def _table_of_frame(self, records: Sequence[Any]) -> Any:
        """Return the columns of a frame as they are handed over; ``None`` if each value is to be looked at."""
        reader = self._reader
        assert reader is not None
        if not isinstance(records, FrameRows) or set(records.frame.columns) != set(reader.columns):
            return None
        columns = [each for name in reader.columns for each in self._columns or () if each.name == name]
        arrays = arrow_columns(self._arrow, records.frame, columns, self._into)
        return None if arrays is None else self._table(arrays)

    def _table(self, arrays: Sequence[Any]) -> Any:
        assert self._reader is not None
        numbers = self._arrow.array(range(len(arrays[0])), self._arrow.int64())
        return self._arrow.table([*arrays, numbers], names=[*self._reader.columns, ORDER])

    def _insert_table(self, table: Any, positions: Sequence[int], failures: list[tuple[int, Exception]]) -> None:
        connection, rows = self.connection, table

        def remove(numbers: set[int]) -> None:
            nonlocal rows
            keep = [number.as_py() not in numbers for number in rows.column(ORDER)]
            rows = rows.filter(self._arrow.array(keep))
            connection.register(CHUNK, rows)

        connection.register(CHUNK, rows)
        try:
            problems = refused(lambda query: connection.execute(query).fetchall(), self._checks, remove)
            found = [
                (number, ValidationError(f"table {self._plan.table!r} does not take the record: {why}"))
                for number, why in sorted(problems.items())
            ]
            set_aside(positions, list(found), failures)
            if rows.num_rows and self._goes_on(failures):
                connection.execute(self._statement)
        finally:
            connection.unregister(CHUNK)

    def _commit(self) -> None:
        self.connection.execute("COMMIT")
        self.abort()

    def abort(self) -> None:
        lock, self._lock = self._lock, None
        if lock is None:
            return
        try:
            if self._trial is not None:
                self._trial.close()
            self.connection.close()  # which rolls back
        finally:
            lock.release()
