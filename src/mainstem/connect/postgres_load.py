"""One load into a table of PostgreSQL: the statements of one transaction, in order."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mainstem.connect.postgres_columns import (
    Column,
    check_identifier,
    create_statement,
    declare,
    find_columns,
    infer,
    quoted,
)
from mainstem.connect.postgres_progress import BatchProgress
from mainstem.connect.postgres_values import PostgresValues, sent_types
from mainstem.connect.rejects import Reject, set_aside
from mainstem.connect.rows import Row, RowReader, class_of, keys_of
from mainstem.connect.sqlite_values import store_rows
from mainstem.connect.table_target import Batch, TableLoad, TablePlan
from mainstem.errors import ConnectError, ValidationError
from mainstem.faults import fault
from mainstem.postgres import Fault, fault_of
from mainstem.records import field_hints
from mainstem.secrets import redact_url

if TYPE_CHECKING:
    import psycopg

_STAGING = "mainstem_staging"
_ORDER = "mainstem_order"
_AT_ONCE = 20_000
"""Rows that are converted and copied at a time: many, for the server works on them while they are still being sent."""
_CHANGED_BY_DELETING = """
    SELECT conrelid::regclass::text,
           CASE confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' ELSE 'SET DEFAULT' END
    FROM pg_constraint WHERE contype = 'f' AND confrelid = to_regclass(%s) AND confdeltype IN ('c', 'n', 'd') LIMIT 1
"""


class PostgresLoad(TableLoad):
    """Writes records to a table of PostgreSQL, by binary COPY.

    Args:
        connection: An open connection outside a transaction, which begins one by itself and does not commit;
            ``commit`` and ``abort`` close it.
        url: The database, for error messages.
        plan: What to do.
        new_columns: The columns of a table that is made, if a record type gives them.
        batch: The batch of a durable run that this is, if it is one.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
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
        self._columns: list[Column] | None = None
        self._reader: RowReader | None = None
        self._values: list[PostgresValues] = []
        self._types: list[str] | None = None
        self._copy_into = ""
        self._merge = ""

    def prepare(self) -> None:
        """Look at the table, make it if a record type says how, and empty it if it is to be replaced.

        Raises:
            LeaseLostError: If somebody with a later epoch has claimed the run.
            ConnectError: If the table does not fit.
        """
        plan, progress = self._plan, self._progress
        written = None
        if progress is not None:
            self._connection.autocommit = True
            written = progress.enter()
            self._connection.autocommit = False
        self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        self._columns = find_columns(self._connection, plan.table, plan.key)
        if self._columns is None:
            if written is not None:
                raise ConnectError(
                    f"{redact_url(self._url)}: table {plan.table!r} is gone, which batches of this run were written "
                    "to: bring it back, and resume the run"
                )
            if self._new_columns is not None:
                self._create(self._new_columns)
            return
        expected = written or [each.name for each in self._new_columns or ()]
        problem = self._misfit(expected) if expected else ""
        if problem:
            raise ConnectError(f"{redact_url(self._url)}: {problem}")
        if plan.mode == "replace" and (progress is None or progress.is_first):
            self._empty()
        if written is not None:
            self._use_columns(written)

    def _execute(self, statement: str, values: Sequence[Any] = ()) -> Any:
        """Run a statement whose text is put together of quoted names and nothing of the data."""
        text: Any = statement
        return self._connection.execute(text, values) if values else self._connection.execute(text)

    def _create(self, columns: list[Column]) -> None:
        self._execute(create_statement(self._plan.table, columns, self._plan.key))
        self._columns = columns

    def _empty(self) -> None:
        """Delete all rows, unless that would delete or change those of other tables.

        Raises:
            ConnectError: If it would.
        """
        table = self._plan.table
        referring = self._execute(_CHANGED_BY_DELETING, (quoted(table),)).fetchone()
        if referring is not None:
            raise ConnectError(
                f"{redact_url(self._url)}: to replace the content of {table!r} would change {referring[0]}, which "
                f"refers to it with ON DELETE {referring[1]}: use mode 'upsert', or drop that clause"
            )
        self._execute(f"DELETE FROM {quoted(table)}")

    def write(self, records: Sequence[Any]) -> list[Reject]:
        rejects: list[Reject] = []
        for first in range(0, len(records), _AT_ONCE):
            part = records[first : first + _AT_ONCE]
            rejects += [Reject(first + at, part[at], error) for at, error in self._write_part(part)]
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
        if self._reader is not None:
            rows, mismatched = self._reader.read(records[start:] if start else records)
            positions = set_aside(range(start, len(records)), mismatched, failures)
            values: Any = self._values
            rows, unfit = store_rows(values, rows)
            positions = set_aside(positions, unfit, failures)
            if self._plan.continue_on_error or not failures:
                set_aside(positions, self._insert(rows), failures)
        return failures

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
            self._create(self._inferred(records[start:], keys))
        self._use_columns(keys)

    def _inferred(self, records: Sequence[Any], keys: Sequence[str]) -> list[Column]:
        """Return the columns of a new table for such records.

        Raises:
            ValidationError: If a key cannot be the name of a column.
            ConnectError: If there are no columns for them.
        """
        plan = self._plan
        try:
            for each in keys:
                check_identifier("the name of a column", each)
        except ValueError as error:
            raise ValidationError(str(error)) from error
        hints = field_hints(class_of(records[0]))
        try:
            if hints is not None and set(hints) == set(keys):
                return [declare(name, hints[name], plan.key) for name in keys]
            rows, _ = RowReader(keys, "the table").read(records)
            columns = zip(*rows, strict=True)
            return [infer(name, values, plan.key) for name, values in zip(keys, columns, strict=True)]
        except TypeError as error:
            raise ConnectError(f"{redact_url(self._url)}: cannot make table {plan.table!r}: {error}") from error

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
        by_name = {each.name: each for each in self._columns or ()}
        columns = [by_name[name] for name in keys]
        self._values = [PostgresValues(each) for each in columns]
        self._types = sent_types(columns)
        into, names = quoted(self._plan.table), ", ".join(map(quoted, keys))
        if self._plan.mode == "upsert":
            self._stage(into, names, keys)
            into = _STAGING
        text_format = "" if self._types is None else " (FORMAT BINARY)"
        self._copy_into = f"COPY {into} ({names}) FROM STDIN{text_format}"
        self._reader = RowReader(keys, f"table {self._plan.table!r}")

    def _stage(self, table: str, names: str, keys: Sequence[str]) -> None:
        """Make the table that rows are copied to before they are merged; of those with one key, the last counts."""
        self._execute(f"CREATE TEMPORARY TABLE {_STAGING} ON COMMIT DROP AS SELECT {names} FROM {table} WITH NO DATA")
        self._execute(f"ALTER TABLE {_STAGING} ADD COLUMN {_ORDER} BIGINT GENERATED ALWAYS AS IDENTITY")
        key = ", ".join(map(quoted, self._plan.key))
        changed = [name for name in keys if name not in self._plan.key] or self._plan.key[:1]
        updates = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in changed)
        self._merge = (
            f"INSERT INTO {table} ({names}) SELECT {names} FROM (SELECT DISTINCT ON ({key}) * FROM {_STAGING} "
            f"ORDER BY {key}, {_ORDER} DESC) AS latest ORDER BY {_ORDER} ON CONFLICT ({key}) DO UPDATE SET {updates}"
        )

    def _insert(self, rows: list[Row]) -> list[tuple[int, Exception]]:
        """Insert the rows; where the database refuses some, halves of them, until the ones it refuses stand alone."""
        failures: list[tuple[int, Exception]] = []
        waiting = [(0, len(rows))] if rows else []
        while waiting:
            start, stop = waiting.pop()
            error = self._try(rows[start:stop])
            if error is None:
                continue
            if stop - start == 1 or not self._plan.continue_on_error:
                refused = ValidationError(f"table {self._plan.table!r} does not take the record: {_reason(error)}")
                refused.__cause__ = error
                failures.append((start, refused))
                if not self._plan.continue_on_error and stop - start > 1:
                    failures = self._first_of(rows, start, stop)
                continue
            middle = (start + stop) // 2
            waiting += [(middle, stop), (start, middle)]
        return sorted(failures, key=lambda failure: failure[0])

    def _first_of(self, rows: list[Row], start: int, stop: int) -> list[tuple[int, Exception]]:
        """Find the first row that is refused, the rows being refused together."""
        while stop - start > 1:
            middle = (start + stop) // 2
            if self._try(rows[start:middle]) is None:
                start = middle
            else:
                stop = middle
        error = self._try(rows[start:stop])
        refused = ValidationError(
            f"table {self._plan.table!r} does not take the record: {'' if error is None else _reason(error)}"
        )
        refused.__cause__ = error
        return [(start, refused)]

    def _try(self, rows: Sequence[Row]) -> psycopg.Error | None:
        """Insert rows, all or none.

        Returns:
            Why they are refused, if that is because of what they hold.

        Raises:
            psycopg.Error: If it is not.
        """
        import psycopg

        try:
            with self._connection.transaction(), self._connection.cursor() as cursor:
                text: Any = self._copy_into
                with cursor.copy(text) as copy:
                    if self._types is not None:
                        copy.set_types(self._types)
                    write_row = copy.write_row
                    for row in rows:
                        write_row(row)
                if self._merge:
                    self._execute(self._merge)
                    self._execute(f"TRUNCATE {_STAGING}")
        except psycopg.Error as error:
            if fault_of(error) is Fault.DATA:
                return error
            raise
        return None

    def commit(self) -> None:
        if self._progress is not None:
            self._progress.advance(None if self._reader is None else self._reader.columns)
        fault("target commits")
        self._connection.commit()
        self._connection.close()

    def abort(self) -> None:
        if not self._connection.closed:
            with suppress(Exception):  # a connection that is lost cannot roll back, and need not
                self._connection.rollback()
            self._connection.close()


def _reason(error: psycopg.Error) -> str:
    diagnosis = error.diag
    parts = [diagnosis.message_primary or str(error), diagnosis.message_detail]
    return ": ".join(part for part in parts if part)
