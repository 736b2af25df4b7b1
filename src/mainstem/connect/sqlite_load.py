"""One load into a table of SQLite: the statements of one transaction, in order."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from mainstem.connect.rejects import Reject, set_aside
from mainstem.connect.rows import RowReader, class_of, keys_of
from mainstem.connect.sqlite import begin_writing
from mainstem.connect.sqlite_columns import (
    Column,
    check_identifier,
    create_statement,
    declare,
    find_columns,
    infer,
    quoted,
)
from mainstem.connect.sqlite_insert import RowInserter
from mainstem.connect.sqlite_progress import BatchProgress
from mainstem.connect.sqlite_values import ColumnValues, store_rows
from mainstem.connect.table_target import Batch, TableLoad, TablePlan
from mainstem.errors import ConnectError, ValidationError
from mainstem.faults import fault
from mainstem.records import field_hints

_CHANGED_BY_DELETING = """
    SELECT m.name, f.on_delete FROM sqlite_master AS m, pragma_foreign_key_list(m.name) AS f
    WHERE m.type = 'table' AND f."table" = ? COLLATE NOCASE AND f.on_delete IN ('CASCADE', 'SET NULL', 'SET DEFAULT')
"""


_AT_ONCE = 500
"""Rows that are converted and inserted at a time: below the 700 allocations after which the garbage collector looks."""


class SqliteLoad(TableLoad):
    """Writes records to a table of SQLite.

    Args:
        connection: An open connection outside a transaction; ``commit`` and ``abort`` close it.
        url: The database, for error messages.
        plan: What to do.
        new_columns: The columns of a table that is made, if a record type gives them.
        batch: The batch of a durable run that this is, if it is one.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        url: str,
        plan: TablePlan,
        new_columns: list[Column] | None,
        batch: Batch | None,
    ) -> None:
        self._connection = connection
        self._url = url
        self._plan = plan
        self._new_columns = new_columns
        self._progress = None if batch is None else BatchProgress(connection, url, batch)
        self._go_on = plan.continue_on_error
        self._columns: list[Column] | None = None
        self._reader: RowReader | None = None
        self._inserter: RowInserter | None = None
        self._values: list[ColumnValues] = []
        self._has_triggers = False
        self._closed = False

    def begin(self) -> None:
        """Begin the transaction, with the right to write.

        Raises:
            sqlite3.OperationalError: If another connection has it; call again then.
        """
        self._connection.execute("PRAGMA foreign_keys = ON")
        begin_writing(self._connection)

    def prepare(self) -> None:
        """Look at the table, make it if a record type says how, and empty it if it is to be replaced.

        Raises:
            LeaseLostError: If somebody with a later epoch has claimed the run.
            ConnectError: If the table does not fit.
        """
        plan, progress = self._plan, self._progress
        written = None if progress is None else progress.check()
        self._columns = find_columns(self._connection, plan.table, plan.key)
        if self._columns is None:
            if written is not None:
                raise ConnectError(
                    f"{self._url}: table {plan.table!r} is gone, which batches of this run were written to: "
                    "bring it back, and resume the run"
                )
            if self._new_columns is not None:
                self._create(self._new_columns)
            return
        expected = written or [each.name for each in self._new_columns or ()]
        problem = self._misfit(expected) if expected else ""
        if problem:
            raise ConnectError(f"{self._url}: {problem}")
        triggers = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE"
        self._has_triggers = bool(self._connection.execute(triggers, (plan.table,)).fetchone()[0])
        if plan.mode == "replace" and (progress is None or progress.is_first):
            self._empty()
        if written is not None:
            self._use_columns(written)

    def _create(self, columns: list[Column]) -> None:
        self._connection.execute(create_statement(self._plan.table, columns, self._plan.key))
        self._columns = columns

    def _empty(self) -> None:
        """Delete all rows, unless that would delete or change those of other tables.

        Raises:
            ConnectError: If it would.
        """
        table = self._plan.table
        referring = self._connection.execute(_CHANGED_BY_DELETING, (table,)).fetchone()
        if referring is not None:
            raise ConnectError(
                f"{self._url}: to replace the content of {table!r} would change {referring[0]!r}, which refers to it "
                f"with ON DELETE {referring[1]}: use mode 'upsert', or drop that clause"
            )
        # Rows that others refer to may come back before the end, which is when it counts.
        self._connection.execute("PRAGMA defer_foreign_keys = ON")
        self._connection.execute(f"DELETE FROM {quoted(table)}")

    def write(self, records: Sequence[Any]) -> list[Reject]:
        """Write a chunk.

        Returns:
            The records that the table does not take; all others are written. Without ``continue_on_error`` the first
            at least, and the transaction is to be aborted.

        Raises:
            sqlite3.Error: If the database failed.
            ConnectError: If the table cannot be made, or a trigger ended the transaction.
        """
        rejects: list[Reject] = []
        for first in range(0, len(records), _AT_ONCE):
            part = records[first : first + _AT_ONCE]
            rejects += [Reject(first + at, part[at], error) for at, error in self._write_part(part)]
            if rejects and not self._go_on:
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
        if self._reader is not None and self._inserter is not None:
            rows, mismatched = self._reader.read(records[start:] if start else records)
            positions = set_aside(range(start, len(records)), mismatched, failures)
            rows, unfit = store_rows(self._values, rows)
            positions = set_aside(positions, unfit, failures)
            if self._go_on or not failures:
                set_aside(positions, self._inserter.insert(rows), failures)
        return failures

    def _settle_columns(self, records: Sequence[Any], start: int) -> None:
        """Take the load's columns from the first record that fits the table, and make the table if there is none.

        Raises:
            ValidationError: If this record does not fit it.
        """
        plan, record = self._plan, records[start]
        keys = keys_of(record)
        problem = self._misfit(keys)
        if problem:
            raise ValidationError(problem)
        if self._columns is None:
            try:
                for key in keys:
                    check_identifier("the name of a column", key)
            except ValueError as error:
                raise ValidationError(str(error)) from error
            hints = field_hints(class_of(record))
            try:
                if hints is not None and set(hints) == set(keys):
                    self._create([declare(name, hints[name], plan.key) for name in keys])
                else:
                    rows, _ = RowReader(keys, "the table").read(records[start:])
                    self._create(
                        [
                            infer(name, column, plan.key)
                            for name, column in zip(keys, zip(*rows, strict=True), strict=True)
                        ]
                    )
            except TypeError as error:
                raise ConnectError(f"{self._url}: cannot make table {plan.table!r}: {error}") from error
        self._use_columns(keys)

    def _use_columns(self, keys: Sequence[str]) -> None:
        """Take these columns for those of all records."""
        columns = {each.name: each for each in self._columns or ()}
        self._values = [ColumnValues(columns[name]) for name in keys]
        statement = self._insert_statement(keys)
        self._connection.execute(f"EXPLAIN {statement}", [None] * len(keys))
        self._inserter = RowInserter(
            self._connection, self._url, self._plan, statement, has_triggers=self._has_triggers
        )
        self._reader = RowReader(keys, f"table {self._plan.table!r}")

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

    def _insert_statement(self, keys: Sequence[str]) -> str:
        plan = self._plan
        names = ", ".join(map(quoted, keys))
        # OR ABORT, because a table may have been declared to pass over or replace rows in conflict.
        insert = f"INSERT OR ABORT INTO {quoted(plan.table)} ({names}) VALUES ({', '.join('?' * len(keys))})"
        if plan.mode != "upsert":
            return insert
        changed = [name for name in keys if name not in plan.key] or plan.key[:1]
        updates = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in changed)
        return f"{insert} ON CONFLICT ({', '.join(map(quoted, plan.key))}) DO UPDATE SET {updates}"

    def commit(self) -> None:
        """Commit, with the number of the batch if it is one, and close; if that fails, call ``abort``.

        Raises:
            LeaseLostError: If the batch is not the next one any more.
            ConnectError: If a trigger ended the transaction.
            sqlite3.Error: If the database cannot.
        """
        if not self._connection.in_transaction:
            raise ConnectError(f"{self._url}: a trigger ended the transaction: nothing is stored")
        if self._progress is not None:
            self._progress.advance(None if self._reader is None else self._reader.columns)
        fault("target commits")
        self._connection.execute("COMMIT")
        self._close()

    def abort(self) -> None:
        """Roll back and close. Once it is committed or aborted, this does nothing."""
        if self._closed:
            return
        try:
            # After some errors, such as a full disk, SQLite has rolled back by itself.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        finally:
            self._close()

    def _close(self) -> None:
        self._closed = True
        self._connection.close()
