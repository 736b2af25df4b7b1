"""One load into a table: what is the same in every database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from mainstem.connect.column_values import ColumnValues, store_columns, store_rows
from mainstem.connect.frame_rows import FrameRows
from mainstem.connect.rejects import Reject, set_aside
from mainstem.connect.rows import Row, RowReader, class_of, keys_of
from mainstem.connect.table_columns import C, Dialect, quoted
from mainstem.connect.table_plan import TablePlan
from mainstem.connect.table_progress import TableProgress
from mainstem.errors import ConnectError, ValidationError
from mainstem.faults import fault
from mainstem.frame_data import is_frame
from mainstem.records import field_hints

if TYPE_CHECKING:
    import polars

_ROWS_OF_FRAMES = 5000
"""Rows of a frame that are converted together, at least: each call of Polars costs as much as some hundred rows."""


class TableLoad(ABC, Generic[C]):
    """Writes records within one transaction. Its methods block, and are called one at a time.

    Args:
        connection: An open connection; ``commit`` and ``abort`` close it.
        dialect: The kind of database.
        where: The database, for error messages.
        plan: What to do.
        new_columns: The columns of a table that is made, if a record type gives them.
        progress: The progress of a durable run that this is a batch of, if it is one.
    """

    at_once: ClassVar[int]
    """Records that are converted and inserted together."""

    def __init__(
        self,
        connection: Any,
        dialect: Dialect[C],
        where: str,
        plan: TablePlan,
        new_columns: list[C] | None,
        progress: TableProgress | None,
    ) -> None:
        self.connection = connection
        self._dialect = dialect
        self._where = where
        self._plan = plan
        self._new_columns = new_columns
        self._progress = progress
        self._columns: list[C] | None = None
        self._values: Sequence[ColumnValues] = ()
        self._reader: RowReader | None = None
        self._written: list[str] | None = None
        self.fatal: Reject | None = None
        """A record that nothing may go on past."""

    def prepare(self) -> None:
        """Look at the table, make it if a record type says how, and empty it if it is to be replaced.

        Raises:
            LeaseLostError: If somebody with a later epoch has claimed the run.
            ConnectError: If the table does not fit.
        """
        plan, progress = self._plan, self._progress
        written = None if progress is None else progress.check()
        self._columns = self._find_columns()
        if self._columns is None:
            if written is not None:
                raise ConnectError(
                    f"{self._where}: table {plan.table!r} is gone, which batches of this run were written to: "
                    "bring it back, and resume the run"
                )
            if self._new_columns is not None:
                self._create(self._new_columns)
            return
        expected = written or [each.name for each in self._new_columns or ()]
        problem = self._misfit(expected) if expected else ""
        if problem:
            raise ConnectError(f"{self._where}: {problem}")
        if plan.mode == "replace" and (progress is None or progress.is_first):
            self._empty()
        if written is not None:
            self._use_columns(written)

    def _find_columns(self) -> list[C] | None:
        return self._dialect.find_columns(self.connection, self._plan.table, self._plan.key)

    def write(self, records: Sequence[Any]) -> list[Reject]:
        """Write a chunk.

        Returns:
            The records that the table does not take; all others are written. Without ``continue_on_error`` the first
            at least, and the transaction is to be aborted.

        Raises:
            ConnectError: If the table cannot be made.
            Exception: The driver's, if the database failed.
        """
        rejects: list[Reject] = []
        size = self.at_once
        if is_frame(records):
            records, size = FrameRows(records), max(size, _ROWS_OF_FRAMES)
        for first in range(0, len(records), size):
            part = records[first : first + size]
            rejects += [Reject(first + at, part[at], error) for at, error in self._write_part(part)]
            if self.fatal is not None:
                self.fatal = replace(self.fatal, index=first + self.fatal.index)
                break
            if rejects and not self._plan.continue_on_error:
                break
        return rejects

    def _write_part(self, records: Sequence[Any]) -> list[tuple[int, Exception]]:
        failures: list[tuple[int, Exception]] = []
        start = 0
        while self._reader is None and start < len(records):
            try:
                self._settle_columns(records, start)
            except ValidationError as error:
                failures.append((start, error))
                start += 1
        if start < len(records) and self._goes_on(failures):
            self._insert(records[start:] if start else records, range(start, len(records)), failures)
        return failures

    def _goes_on(self, failures: Sequence[tuple[int, Exception]]) -> bool:
        return self._plan.continue_on_error or not failures

    def _converted(
        self, records: Sequence[Any], positions: Sequence[int], failures: list[tuple[int, Exception]]
    ) -> tuple[list[Row], Sequence[int]]:
        """Return the rows of the records that can be converted, and their positions; the others are failures."""
        reader = self._reader
        assert reader is not None
        if isinstance(records, FrameRows) and set(records.frame.columns) == set(reader.columns):
            given = [self._values_of(records.frame[name]) for name in reader.columns]
            rows, unfit = store_columns(self._values, given)
            return rows, set_aside(positions, unfit, failures)
        rows, mismatched = reader.read(records)
        positions = set_aside(positions, mismatched, failures)
        rows, unfit = store_rows(self._values, rows)
        return rows, set_aside(positions, unfit, failures)

    def _values_of(self, column: polars.Series) -> list[Any]:
        """Return the values of a frame's column, in the form that converting them takes least for."""
        return column.to_list()

    def _settle_columns(self, records: Sequence[Any], start: int) -> None:
        """Take the load's columns from the first record that fits the table, and make the table if there is none.

        Raises:
            ValidationError: If this record does not fit it.
        """
        keys = keys_of(records[start])
        problem = self._misfit(keys)
        if problem:
            raise ValidationError(problem)
        if self._columns is None:
            self._create(self._inferred(records[start:] if start else records, keys))
        self._use_columns(keys)

    def _inferred(self, records: Sequence[Any], keys: Sequence[str]) -> list[C]:
        """Return the columns of a new table for such records.

        Raises:
            ValidationError: If a key cannot be the name of a column.
            ConnectError: If there are no columns for them.
        """
        dialect, key = self._dialect, self._plan.key
        try:
            for each in keys:
                dialect.check_identifier("the name of a column", each)
        except ValueError as error:
            raise ValidationError(str(error)) from error
        hints = field_hints(class_of(records[0]))
        try:
            if hints is not None and set(hints) == set(keys):
                return [dialect.declare(name, hints[name], key) for name in keys]
            rows, _ = RowReader(keys, "the table").read(records)
            columns = zip(*rows, strict=True)
            return [dialect.infer(name, values, key) for name, values in zip(keys, columns, strict=True)]
        except TypeError as error:
            raise ConnectError(f"{self._where}: cannot make table {self._plan.table!r}: {error}") from error

    def _create(self, columns: list[C]) -> None:
        self.connection.execute(self._dialect.create_statement(self._plan.table, columns, self._plan.key))
        self._columns = columns

    def _misfit(self, keys: Sequence[str]) -> str:
        """Say why records with these keys cannot be written; empty if they can."""
        columns = self._columns
        table = f"table {self._plan.table!r}"
        needed = self._plan.key if columns is None else [each.name for each in columns if each.needed]
        known = keys if columns is None else [each.name for each in columns]
        described = "" if columns is None else f"; its columns are {', '.join(map(repr, known))}"
        for name in keys:
            if name not in known:
                return f"{table} has no column {name!r}, which the records have{described}"
        for name in needed:
            if name not in keys:
                return f"{table} needs column {name!r}, which the records lack{described}"
        return "" if keys else "the record has no fields"

    def _use_columns(self, keys: Sequence[str]) -> None:
        """Take these columns for those of all records."""
        columns = {each.name: each for each in self._columns or ()}
        self._values = self._insert_into([columns[name] for name in keys])
        self._reader = RowReader(keys, f"table {self._plan.table!r}")
        before = self._written or []
        self._written = [*before, *(name for name in keys if name not in before)]

    def _updates(self, columns: Sequence[C]) -> str:
        """Return what an upsert sets in a row whose key is there already."""
        key = self._plan.key
        changed = [each.name for each in columns if each.name not in key] or key[:1]
        return ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in changed)

    def _empty(self) -> None:
        """Delete all rows, unless that would delete or change those of other tables.

        Raises:
            ConnectError: If it would.
        """
        table = self._plan.table
        referring = self._changed_by_deleting()
        if referring is not None:
            raise ConnectError(
                f"{self._where}: to replace the content of {table!r} would change {referring[0]}, which refers to it "
                f"with ON DELETE {referring[1]}: use mode 'upsert', or drop that clause"
            )
        self.connection.execute(f"DELETE FROM {quoted(table)}")

    @abstractmethod
    def _changed_by_deleting(self) -> tuple[str, str] | None:
        """Return a table whose rows go or change with those of this one, and by which clause; ``None`` if none does."""

    @abstractmethod
    def _insert_into(self, columns: Sequence[C]) -> Sequence[ColumnValues]:
        """Make ready to insert rows of these columns, and return what checks and converts their values."""

    @abstractmethod
    def _insert(self, records: Sequence[Any], positions: Sequence[int], failures: list[tuple[int, Exception]]) -> None:
        """Insert the records at these positions, but for those that the table does not take, which are failures."""

    def commit(self) -> None:
        """Commit, with the number of the batch if it is one, and close; if that fails, call ``abort``.

        Raises:
            LeaseLostError: If the batch is not the next one any more.
            Exception: The driver's, if the database cannot.
        """
        if self._progress is not None:
            self._progress.advance(self._written)
        fault("target commits")
        self._commit()

    @abstractmethod
    def _commit(self) -> None:
        """Commit what has been written, and close."""

    @abstractmethod
    def abort(self) -> None:
        """Roll back and close. Once it is committed or aborted, this does nothing."""
