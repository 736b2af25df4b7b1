"""``SqlSource`` on SQLite: the rows of a query."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import anyio
from anyio.to_thread import run_sync
from typing_extensions import TypeVar

from mainstem.connect.query_source import Parameters, QuerySource, check_names
from mainstem.connect.rejects import Reject, settle_rejects
from mainstem.connect.sql_order import CountedRows, KeyedRows, RowOrder, UndecodedText
from mainstem.connect.sqlite import database_errors, database_path, open_database, when_unlocked
from mainstem.connect.table_columns import check_identifier
from mainstem.context import PipelineContext
from mainstem.endpoints import CHUNK_SIZE, Position, SourceChunk
from mainstem.errors import ConnectError
from mainstem.options import check_count

T = TypeVar("T")


class SqliteSource(QuerySource[T]):
    """Reads the rows of a query from SQLite, in one transaction that cannot change it.

    Args:
        url: The database.
        query: The query.
        parameters: Values for its placeholders.
        key: The column or columns whose values no two rows share.
        record_type: What the records are.
        continue_on_error: Whether to record rows that cannot be read and go on.
        name: The stage's name in reports.

    Raises:
        ConnectError: If the URL is no file's.
    """

    def __init__(
        self,
        url: str,
        query: str,
        *,
        parameters: Parameters = (),
        key: str | Sequence[str] | None = None,
        record_type: type[Any] = dict,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None:
        self._path = database_path(url)
        super().__init__(url, query, parameters, key, record_type, continue_on_error, name, check_identifier)
        self._url = url

    @property
    def _database(self) -> str:
        return ":memory:" if self._path is None else str(self._path.absolute())

    def _order(self, start: Position | None) -> RowOrder:
        if self._key:
            return KeyedRows(self._url, self._query, self._parameters, start, self._key)
        return CountedRows(self._url, self._query, self._parameters, start)

    async def read(
        self, context: PipelineContext, *, start: Position | None = None, chunk_size: int = CHUNK_SIZE
    ) -> AsyncGenerator[SourceChunk[T], None]:
        check_count("chunk_size", chunk_size)
        order = self._order(start)
        connection = await run_sync(partial(open_database, self._url, create=False))
        try:
            with database_errors(self._url):
                cursor = await when_unlocked(connection, partial(_execute, connection, order))
                names = self._names_of(cursor)
                order.check_names(names)
                if order.passed_over:
                    await run_sync(_pass_over, connection, cursor, order.passed_over, self._url)
            while True:
                with database_errors(self._url):
                    rows, damaged = await run_sync(_fetch, connection, cursor, chunk_size)
                if not rows and not damaged:
                    return
                first = self._counted + order.row
                together = _in_order(rows, damaged)
                position = order.go_on(together)
                self._see(names, together)
                records, rejects = self._records_of(names, rows, _numbers_of(rows, damaged, first))
                rejects += [
                    Reject(first + at, _with_bytes(names, row), ConnectError(f"{self._url}, row {first + at}: {error}"))
                    for at, row, error in damaged
                ]
                failed = settle_rejects(
                    rejects, context, self.name, go_on=self._continue_on_error, first=context.chunk_start
                )
                yield SourceChunk(records, position, failed)
        finally:
            with anyio.CancelScope(shield=True):
                await run_sync(connection.close)

    def _names_of(self, cursor: sqlite3.Cursor) -> list[str]:
        names = [each[0] for each in cursor.description or ()]
        if not names:
            raise ConnectError(f"{self._url}: the query gives no rows: write a SELECT")
        check_names(names, self._url)
        return names


def _execute(connection: sqlite3.Connection, order: RowOrder) -> sqlite3.Cursor:
    connection.execute("PRAGMA query_only = ON")
    return order.begin(connection)


def _pass_over(connection: sqlite3.Connection, cursor: sqlite3.Cursor, count: int, url: str) -> None:
    connection.text_factory = bytes  # what is passed over need not be decoded
    passed = sum(1 for _ in islice(cursor, count))
    connection.text_factory = str
    if passed < count:
        raise ConnectError(
            f"{url}: cannot go on at row {count}: the query now gives {passed} rows; was the data replaced?"
        )


def _fetch(
    connection: sqlite3.Connection, cursor: sqlite3.Cursor, limit: int
) -> tuple[list[Any], list[tuple[int, Any, Exception]]]:
    """Fetch up to ``limit`` rows; those with text that cannot be decoded apart, with position and error."""
    rows: list[Any] = []
    damaged: list[tuple[int, Any, Exception]] = []
    while True:
        try:
            rows.extend(islice(cursor, limit - len(rows) - len(damaged)))
        except sqlite3.OperationalError as error:
            if hasattr(error, "sqlite_errorcode"):
                raise
            # The sqlite3 module could not decode a text. It has not gone on: the same row comes once more.
            connection.text_factory = _text_or_bytes
            damaged.append((len(rows) + len(damaged), next(cursor), error))
            connection.text_factory = str
        else:
            return rows, damaged


def _text_or_bytes(content: bytes) -> str | bytes:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return UndecodedText(content)


def _in_order(rows: list[Any], damaged: list[tuple[int, Any, Exception]]) -> list[Any]:
    """Return all rows, each at its position."""
    if not damaged:
        return rows
    together = list(rows)
    for at, row, _ in damaged:
        together.insert(at, row)
    return together


def _numbers_of(rows: list[Any], damaged: list[tuple[int, Any, Exception]], first: int) -> Sequence[int]:
    """Return the numbers of the rows, which count from ``first`` with the damaged ones among them."""
    if not damaged:
        return range(first, first + len(rows))
    skipped = {at for at, _, _ in damaged}
    return [first + at for at in range(len(rows) + len(damaged)) if at not in skipped]


def _with_bytes(names: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    """Return a damaged row as a record, with plain bytes for what is no text."""
    return {
        name: bytes(value) if isinstance(value, UndecodedText) else value
        for name, value in zip(names, row, strict=True)
    }
