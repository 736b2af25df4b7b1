"""``SqlSource``: the rows of a query."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import partial
from itertools import islice, repeat
from typing import Any, TypeAlias, overload

import anyio
from anyio.to_thread import run_sync
from typing_extensions import TypeVar

from mainstem.connect.record_type import model_of
from mainstem.connect.rejects import Reject, settle_rejects
from mainstem.connect.sqlite import database_errors, database_path, open_database, when_unlocked
from mainstem.context import PipelineContext
from mainstem.endpoints import CHUNK_SIZE, Position, SourceChunk, SourceStage
from mainstem.errors import ConnectError
from mainstem.options import check_count
from mainstem.records import parse_each, record_parser
from mainstem.type_hints import list_of

T = TypeVar("T")
R = TypeVar("R")

Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any]


class SqlSource(SourceStage[T]):
    """Read the rows of a query, in order, a chunk at a time; the database cannot be changed by it.

    A position is the number of rows before it. To start there the query is run again and the rows before are passed
    over, so give it an ``ORDER BY`` that leaves no choice if it is ever to be resumed. The read is one transaction: it
    sees the database as it was at the beginning.

    A row that cannot be read (text that is not in the database's encoding, a value that its field's type refuses)
    fails the run. With ``continue_on_error`` it is recorded in ``context.errors`` with its number, and the rest is
    read.

    Args:
        url: The database: ``sqlite:///relative.db`` or ``sqlite:////absolute.db``.
        query: A statement that gives rows.
        parameters: Values for its placeholders: a sequence for ``?``, a mapping for ``:name``. Never put values into
            the query's text.
        record_type: What the records are: ``dict``, or a dataclass, ``TypedDict``, msgspec ``Struct`` or pydantic
            model, into which the rows are parsed.
        continue_on_error: Whether to record rows that cannot be read and go on.
        name: The stage's name in reports.

    Raises:
        ConnectError: If ``url`` is not one of those.
        MissingExtraError: If the record type needs ``mainstem[models]``, which is not installed.
        TypeError: If ``record_type`` is none.

    Example:
        >>> from mainstem import Pipeline
        >>> source = SqlSource("sqlite:///:memory:", "SELECT ? AS name, 36 AS age", parameters=["Ada"])
        >>> Pipeline[None, list[dict[str, object]]]("people").add_stage(source).run().data
        [{'name': 'Ada', 'age': 36}]
    """

    @overload
    def __init__(
        self: SqlSource[dict[str, Any]],
        url: str,
        query: str,
        *,
        parameters: Parameters = ...,
        record_type: type[dict[Any, Any]] = ...,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: SqlSource[R],
        url: str,
        query: str,
        *,
        parameters: Parameters = ...,
        record_type: type[R],
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    def __init__(
        self,
        url: str,
        query: str,
        *,
        parameters: Parameters = (),
        record_type: type[Any] = dict,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None:
        database_path(url)
        self._url = url
        self._query = query
        self._parameters = parameters
        self._model = model_of(record_type, "SqlSource")
        self._parse = None if self._model is None else record_parser(self._model)
        self._continue_on_error = continue_on_error
        if name is not None:
            self.name = name

    def _hints(self) -> tuple[Any, Any]:
        return None, list_of(dict[str, Any] if self._model is None else self._model)

    async def read(
        self, context: PipelineContext, *, start: Position | None = None, chunk_size: int = CHUNK_SIZE
    ) -> AsyncGenerator[SourceChunk[T], None]:
        check_count("chunk_size", chunk_size)
        first = 0 if start is None else _row_of(start)
        connection = await run_sync(partial(open_database, self._url, create=False))
        try:
            with database_errors(self._url):
                cursor = await when_unlocked(connection, partial(self._execute, connection))
                names = self._names_of(cursor)
                if first:
                    await run_sync(_pass_over, connection, cursor, first, self._url)
            while True:
                with database_errors(self._url):
                    rows, damaged = await run_sync(_fetch, connection, cursor, chunk_size)
                count = len(rows) + len(damaged)
                if not count:
                    return
                records, rejects = self._records_of(names, rows, damaged, first)
                failed = settle_rejects(
                    rejects, context, self.name, go_on=self._continue_on_error, first=context.chunk_start
                )
                first += count
                yield SourceChunk(records, {"row": first}, failed)
        finally:
            with anyio.CancelScope(shield=True):
                await run_sync(connection.close)

    def _execute(self, connection: sqlite3.Connection) -> sqlite3.Cursor:
        connection.execute("PRAGMA query_only = ON")
        return connection.execute(self._query, self._parameters)

    def _names_of(self, cursor: sqlite3.Cursor) -> list[str]:
        names = [each[0] for each in cursor.description or ()]
        if not names:
            raise ConnectError(f"{self._url}: the query gives no rows: write a SELECT")
        repeated = [name for at, name in enumerate(names) if name in names[:at]]
        if repeated:
            raise ConnectError(
                f"{self._url}: the query names column {repeated[0]!r} more than once: rename one with AS"
            )
        return names

    def _records_of(
        self, names: Sequence[str], rows: list[Any], damaged: list[tuple[int, Any, Exception]], first: int
    ) -> tuple[list[Any], list[Reject]]:
        """Make records of the rows; positions count from ``first``."""
        rejects = [
            Reject(
                first + at, dict(zip(names, row, strict=True)), ConnectError(f"{self._url}, row {first + at}: {error}")
            )
            for at, row, error in damaged
        ]
        records: list[Any] = list(map(dict, map(zip, repeat(names), rows)))
        if self._parse is None:
            return records, rejects
        parsed, failures = parse_each(self._parse, records)
        skipped = {at for at, _, _ in damaged}
        positions = [at for at in range(len(rows) + len(damaged)) if at not in skipped] if failures else []
        for at, error in failures:
            problem = type(error)(f"{self._url}, row {first + positions[at]}: {error}")
            problem.__cause__ = error
            rejects.append(Reject(first + positions[at], records[at], problem))
        return parsed, rejects


def _row_of(position: Position) -> int:
    row = position.get("row")
    if type(row) is not int or row < 0:
        raise ConnectError(f"{position!r} is no position in the rows of a query: it needs row")
    return row


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
        return content
