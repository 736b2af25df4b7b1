"""One load into a table of PostgreSQL: the statements of one transaction, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mainstem.connect import postgres_columns
from mainstem.connect.column_values import ColumnValues
from mainstem.connect.frame_rows import FrameRows
from mainstem.connect.postgres_columns import Column
from mainstem.connect.postgres_frames import encoded
from mainstem.connect.postgres_progress import BatchProgress
from mainstem.connect.postgres_values import PostgresValues, sent_types
from mainstem.connect.rejects import set_aside
from mainstem.connect.rows import Row
from mainstem.connect.table_columns import quoted
from mainstem.connect.table_evolution import EvolvingLoad
from mainstem.connect.table_plan import Batch, TablePlan
from mainstem.errors import ValidationError, describe_error
from mainstem.postgres import Fault, fault_of
from mainstem.secrets import redact_url

if TYPE_CHECKING:
    import psycopg

_STAGING = "mainstem_staging"
_ORDER = "mainstem_order"
_CONVERTED_AT_ONCE = 500
"""Rows that are held at a time: below the 700 allocations after which the garbage collector looks."""
_CHANGED_BY_DELETING = """
    SELECT conrelid::regclass::text,
           CASE confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' ELSE 'SET DEFAULT' END
    FROM pg_constraint WHERE contype = 'f' AND confrelid = to_regclass(%s) AND confdeltype IN ('c', 'n', 'd') LIMIT 1
"""


class PostgresLoad(EvolvingLoad[Column]):
    """Writes records to a table of PostgreSQL, by binary COPY.

    Args:
        connection: An open connection outside a transaction, in autocommit mode, so that whoever waits for the server
            waits once for several statements; ``commit`` and ``abort`` close it.
        url: The database, for error messages.
        plan: What to do.
        new_columns: The columns of a table that is made, if a record type gives them.
        batch: The batch of a durable run that this is, if it is one.
    """

    at_once = 20_000  # many, for the server works on them while they are still being sent

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        url: str,
        plan: TablePlan,
        new_columns: list[Column] | None,
        batch: Batch | None,
    ) -> None:
        where = redact_url(url)
        progress = None if batch is None else BatchProgress(connection, where, batch)
        super().__init__(connection, postgres_columns, where, plan, new_columns, progress)
        self._types: list[str] | None = None
        self._into: Sequence[Column] = ()
        self._copy_into = ""
        self._merge = ""

    def _find_columns(self) -> list[Column] | None:
        self.connection.execute("BEGIN; SET CONSTRAINTS ALL IMMEDIATE")
        return super()._find_columns()

    def _changed_by_deleting(self) -> tuple[str, str] | None:
        referring: tuple[str, str] | None
        referring = self.connection.execute(_CHANGED_BY_DELETING, (quoted(self._plan.table),)).fetchone()
        return referring

    def _insert_into(self, columns: Sequence[Column]) -> Sequence[ColumnValues]:
        self._types, self._into = sent_types(columns), columns
        into, names = quoted(self._plan.table), ", ".join(quoted(each.name) for each in columns)
        if self._plan.mode == "upsert":
            self._stage(into, names, columns)
            into = _STAGING
        text_format = "" if self._types is None else " (FORMAT BINARY)"
        self._copy_into = f"COPY {into} ({names}) FROM STDIN{text_format}"
        return list(map(PostgresValues, columns))

    def _stage(self, table: str, names: str, columns: Sequence[Column]) -> None:
        """Make the table that rows are copied to before they are merged; of those with one key, the last counts."""
        execute = self.connection.execute
        execute(f"DROP TABLE IF EXISTS {_STAGING}")  # of records with other keys
        execute(f"CREATE TEMPORARY TABLE {_STAGING} ON COMMIT DROP AS SELECT {names} FROM {table} WITH NO DATA")
        execute(f"ALTER TABLE {_STAGING} ADD COLUMN {_ORDER} BIGINT GENERATED ALWAYS AS IDENTITY")
        key = ", ".join(map(quoted, self._plan.key))
        self._merge = (
            f"INSERT INTO {table} ({names}) SELECT {names} FROM (SELECT DISTINCT ON ({key}) * FROM {_STAGING} "
            f"ORDER BY {key}, {_ORDER} DESC) AS latest ORDER BY {_ORDER} ON CONFLICT ({key}) "
            f"DO UPDATE SET {self._updates(columns)}"
        )

    def _insert(self, records: Sequence[Any], positions: Sequence[int], failures: list[tuple[int, Exception]]) -> None:
        """Insert the records, which are converted while they are sent: no row is kept, and the server need not wait.

        If the database refuses some, they are converted again, and it is tried with halves of them.
        """
        unfit: list[tuple[int, Exception]] = []
        blocks = self._encoded(records) if isinstance(records, FrameRows) else None
        error = self._try(self._parts(records, positions, unfit) if blocks is None else blocks)
        if error is not None:
            unfit = []
            rows, positions = self._converted(records, positions, unfit)
            set_aside(positions, self._insert_by_halves(rows, 0, error), unfit)
        failures += unfit

    def _encoded(self, rows: FrameRows) -> Iterator[bytes] | None:
        """Return the rows of a frame as they are sent; ``None`` if each is to be looked at."""
        assert self._reader is not None
        if self._types is None or set(rows.frame.columns) != set(self._reader.columns):
            return None
        return encoded(rows.frame, self._into)

    def _parts(
        self, records: Sequence[Any], positions: Sequence[int], failures: list[tuple[int, Exception]]
    ) -> Iterator[list[Row]]:
        for first in range(0, len(records), _CONVERTED_AT_ONCE):
            part = slice(first, first + _CONVERTED_AT_ONCE)
            yield self._converted(records[part], positions[part], failures)[0]

    def _insert_by_halves(self, rows: list[Row], first: int, error: Exception) -> list[tuple[int, Exception]]:
        """Insert rows that were refused together, in halves, until those that the database refuses stand alone."""
        if len(rows) == 1:
            refused = ValidationError(f"table {self._plan.table!r} does not take the record: {_reason(error)}")
            refused.__cause__ = error
            return [(first, refused)]
        failures: list[tuple[int, Exception]] = []
        middle = len(rows) // 2
        for start, half in ((0, rows[:middle]), (middle, rows[middle:])):
            why = self._try([half]) if half and self._goes_on(failures) else None
            if why is not None:
                failures += self._insert_by_halves(half, first + start, why)
        return failures

    def _try(self, parts: Iterable[list[Row] | bytes]) -> Exception | None:
        """Insert rows, or blocks of rows that are encoded already, all or none.

        Returns:
            Why they are refused, if that is because of what they hold.

        Raises:
            psycopg.Error: If it is not.
        """
        import psycopg

        try:
            with self.connection.transaction(), self.connection.cursor() as cursor:
                with cursor.copy(self._copy_into) as copy:
                    if self._types is not None:
                        copy.set_types(self._types)
                    for rows in parts:
                        _send(copy, rows)
                if self._merge:
                    self.connection.execute(self._merge)
                    self.connection.execute(f"TRUNCATE {_STAGING}")
        except ValidationError as error:
            return error
        except psycopg.Error as error:
            if fault_of(error) is Fault.DATA:
                return error
            raise
        return None

    def _commit(self) -> None:
        self.connection.commit()
        self.connection.close()

    def abort(self) -> None:
        if not self.connection.closed:
            with suppress(Exception):  # a connection that is lost cannot roll back, and need not
                self.connection.rollback()
            self.connection.close()


def _send(copy: psycopg.Copy, rows: list[Row] | bytes) -> None:
    """Send rows to the server.

    Raises:
        ValidationError: If the driver has no form for a value, of a type that only the database knows.
        psycopg.OperationalError: If the connection is lost.
    """
    import psycopg

    if isinstance(rows, bytes):
        copy.write(rows)
        return
    write_row = copy.write_row
    try:
        for row in rows:
            write_row(row)
    except psycopg.OperationalError:
        raise
    except Exception as error:  # a value's own methods may raise anything
        raise ValidationError(describe_error(error)) from error


def _reason(error: Exception) -> str:
    import psycopg

    if not isinstance(error, psycopg.Error):
        return str(error)
    diagnosis = error.diag
    parts = [diagnosis.message_primary or str(error), diagnosis.message_detail]
    return ": ".join(part for part in parts if part)
