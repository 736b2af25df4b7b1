"""``PostgresSource``: the rows of a query in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, Literal, cast, overload

import anyio
from anyio.to_thread import run_sync
from typing_extensions import TypeVar

from mainstem.connect.postgres_columns import check_identifier
from mainstem.connect.postgres_frame_reader import PostgresFrameReader, require_adbc
from mainstem.connect.query_source import Parameters, QuerySource, check_names
from mainstem.connect.rejects import settle_rejects
from mainstem.connect.table_columns import quoted
from mainstem.context import PipelineContext
from mainstem.endpoints import CHUNK_SIZE, Output_co, Position, SourceChunk
from mainstem.errors import ConnectError
from mainstem.frame_data import import_polars
from mainstem.options import check_count
from mainstem.postgres import open_connection, postgres_errors
from mainstem.secrets import redact_url
from mainstem.store.codec import decode, encode

if TYPE_CHECKING:
    import polars
    import psycopg

T = TypeVar("T")
R = TypeVar("R")

_CURSOR = "mainstem_rows"


class PostgresSource(QuerySource[T, Output_co], Generic[T, Output_co]):
    """Read the rows of a query, in order, a chunk at a time, in one read-only transaction.

    The rows stay on the server until they are wanted. A position is the number of rows before it; to start there the
    query is run again and the server passes over them, so give it an ``ORDER BY`` that leaves no choice if it is ever
    to be resumed. With a ``key``, rows come in the key's order, and a position is a value of it, where reading starts
    at once if there is an index; no two rows may share a key, and none of it may be NULL.

    A row that its record type refuses fails the run. With ``continue_on_error`` it is recorded in ``context.errors``
    with its number, and the rest is read; ``read_again`` takes such a row, mended, as a dict.

    With ``as_frames`` the rows come column by column, a few megabytes at a time. A ``numeric`` with a precision is a
    decimal then; one without, and UUIDs, JSON and enumerations are texts. A column of a type that frames do not hold is
    refused, and a value that they do not (an infinite day, say) is an error: leave it out in the query.

    Args:
        url: The database: ``postgresql://user:password@host:port/database``.
        query: A ``SELECT``.
        parameters: Values for its placeholders: a sequence for ``%s``, a mapping for ``%(name)s``. Never put values
            into the query's text.
        key: The column or columns of the query whose values no two rows share, to go on after a value of them.
        record_type: What the records are: ``dict``, or a dataclass, ``TypedDict``, msgspec ``Struct`` or pydantic
            model, into which the rows are parsed.
        as_frames: Whether to give frames of Polars, and not records; their columns have the types of the query's.
        continue_on_error: Whether to record rows that cannot be parsed and go on.
        name: The stage's name in reports.

    Raises:
        MissingExtraError: If the record type needs ``mainstem[models]``, or ``as_frames``
            ``mainstem[postgres-frames]``, which is not installed.
        TypeError: If ``record_type`` is none, or is given with ``as_frames``.
        ValueError: If the key cannot be one.

    Source: PostgreSQL's ``DECLARE CURSOR``; keyset pagination, the "seek method" of Markus Winand.

    Example:
        >>> from mainstem import LoadReport, Pipeline
        >>> from mainstem.connect import CsvSink
        >>> source = PostgresSource("postgresql://localhost/shop", "SELECT id, name FROM people", key="id")
        >>> export = Pipeline[None, LoadReport]("export").add_stage(source).add_stage(CsvSink("people.csv"))
    """

    called = "PostgresSource"

    @overload
    def __init__(
        self: PostgresSource[dict[str, Any]],
        url: str,
        query: str,
        *,
        parameters: Parameters = ...,
        key: str | Sequence[str] | None = None,
        record_type: type[dict[Any, Any]] = ...,
        as_frames: Literal[False] = ...,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: PostgresSource[R],
        url: str,
        query: str,
        *,
        parameters: Parameters = ...,
        key: str | Sequence[str] | None = None,
        record_type: type[R],
        as_frames: Literal[False] = ...,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: PostgresSource[Any, polars.DataFrame],
        url: str,
        query: str,
        *,
        parameters: Parameters = ...,
        key: str | Sequence[str] | None = None,
        as_frames: Literal[True],
        name: str | None = None,
    ) -> None: ...
    def __init__(
        self,
        url: str,
        query: str,
        *,
        parameters: Parameters = (),
        key: str | Sequence[str] | None = None,
        record_type: type[Any] = dict,
        as_frames: bool = False,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None:
        if url.partition("://")[0] not in ("postgresql", "postgres"):
            raise ConnectError(f"{redact_url(url)} is no URL of PostgreSQL: it begins with postgresql://")
        super().__init__(
            redact_url(url), query, parameters, key, record_type, continue_on_error, name, check_identifier
        )
        self._url = url
        self._as_frames = as_frames
        if as_frames:
            require_adbc()
            if self._model is not None:
                raise TypeError("PostgresSource(as_frames=True) gives the columns of the query: leave record_type out")

    def _hints(self) -> tuple[Any, Any]:
        if self._as_frames:
            return None, import_polars("PostgresSource(as_frames=True)").DataFrame
        return super()._hints()

    @property
    def _database(self) -> str:
        return self._where

    async def read(
        self, context: PipelineContext, *, start: Position | None = None, chunk_size: int = CHUNK_SIZE
    ) -> AsyncGenerator[SourceChunk[T], None]:
        check_count("chunk_size", chunk_size)
        reading = _Reading(self._url, self._query, self._parameters, self._key, start)
        if self._as_frames:
            async for chunk in self._read_frames(reading):
                yield chunk
            return
        await run_sync(reading.open)
        try:
            while rows := await run_sync(reading.fetch, chunk_size):
                first = reading.row
                position = reading.go_on_with(rows)
                self._see(reading.names, rows)
                numbers = range(self._counted + first, self._counted + reading.row)
                records, rejects = self._records_of(reading.names, rows, numbers)
                failed = settle_rejects(
                    rejects, context, self.name, go_on=self._continue_on_error, first=context.chunk_start
                )
                yield SourceChunk(records, position, failed)
        finally:
            with anyio.CancelScope(shield=True):
                await run_sync(reading.close)

    async def _read_frames(self, reading: _Reading) -> AsyncGenerator[SourceChunk[T], None]:
        frames = reading.frames()
        await run_sync(frames.open)
        try:
            while (frame := await run_sync(frames.fetch)) is not None:
                position = reading.go_on(frame.height, frame.select(self._key).rows() if self._key else [])
                yield SourceChunk(cast("Any", frame), position)
        finally:
            with anyio.CancelScope(shield=True):
                await run_sync(frames.close)


class _Reading:
    """One read: its connection, its cursor, and how far it is. Its methods block."""

    def __init__(
        self, url: str, query: str, parameters: Parameters, key: tuple[str, ...], start: Position | None
    ) -> None:
        self._url, self._key = url, key
        self._connection: psycopg.Connection[Any] | None = None
        self._cursor: Any = None
        self.names: list[str] = []
        self._indexes: list[int] = []
        self.row, self._last = _start_of(start, len(key))
        self._passed_over = self.row if not key else 0
        self._query, self._parameters = self._ordered(query, parameters)

    def _ordered(self, query: str, parameters: Parameters) -> tuple[str, Parameters]:
        if not self._key:
            return query, parameters
        columns = ", ".join(f"query.{quoted(name)}" for name in self._key)
        if parameters or self._last is not None:
            columns = columns.replace("%", "%%")
            query = query if parameters else query.replace("%", "%%")  # which without parameters is just a character
        # On lines of its own, because the query may end with a comment.
        ordered = f"SELECT * FROM (\n{query.rstrip().rstrip(';')}\n) AS query"
        if self._last is None:
            return f"{ordered} ORDER BY {columns}", parameters
        if isinstance(parameters, Mapping):
            names = {f"mainstem_key_{at}": value for at, value in enumerate(self._last)}
            marks, parameters = [f"%({name})s" for name in names], {**parameters, **names}
        else:
            marks, parameters = ["%s"] * len(self._last), [*parameters, *self._last]
        return f"{ordered} WHERE ({columns}) > ({', '.join(marks)}) ORDER BY {columns}", parameters

    def open(self) -> None:
        """Run the query.

        Raises:
            ConnectError: If it cannot be run, or cannot be gone on with from the start.
        """
        import psycopg

        connection = self._connection = open_connection(self._url)
        try:
            with postgres_errors(self._url):
                connection.read_only = True
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                cursor = self._cursor = connection.cursor(_CURSOR)
                text: Any = self._query
                cursor.execute(text, self._parameters or None)
                self._take_names([each.name for each in cursor.description or ()])
                if self._passed_over:
                    self._pass_over(connection, cursor)
        except psycopg.Error as error:
            self.close()
            raise ConnectError(f"{redact_url(self._url)}: {str(error).strip()}") from error
        except BaseException:
            self.close()
            raise

    def _pass_over(self, connection: psycopg.Connection[Any], cursor: Any) -> None:
        statement: Any = f"MOVE FORWARD {self._passed_over:d} IN {_CURSOR}"
        passed = connection.execute(statement).statusmessage or "MOVE 0"
        if int(passed.split()[-1]) < self._passed_over:
            raise ConnectError(
                f"{redact_url(self._url)}: cannot go on at row {self._passed_over}: the query now gives fewer rows; "
                "was the data replaced?"
            )

    def _take_names(self, names: list[str]) -> None:
        check_names(names, redact_url(self._url))
        self.names, self._indexes = names, [names.index(name) for name in self._key]

    def fetch(self, limit: int) -> list[Any]:
        """Return the next rows."""
        import psycopg

        try:
            with postgres_errors(self._url):
                rows: list[Any] = self._cursor.fetchmany(limit)
                return rows
        except psycopg.Error as error:  # a value that the query computes, say
            raise ConnectError(f"{redact_url(self._url)}, row {self.row} or after: {str(error).strip()}") from error

    def frames(self) -> PostgresFrameReader:
        """Return what reads the same rows as frames."""
        return PostgresFrameReader(self._url, self._query, self._parameters, self._passed_over)

    def go_on_with(self, rows: Sequence[Any]) -> Position:
        """Count rows that were fetched, and return the position after them: see ``go_on``."""
        return self.go_on(len(rows), [tuple(row[index] for index in self._indexes) for row in rows])

    def go_on(self, rows: int, keys: list[tuple[Any, ...]]) -> Position:
        """Count rows, and return the position after them.

        Args:
            rows: How many they are.
            keys: Their keys, if there is a key.

        Raises:
            ConnectError: If it would be none to begin at.
        """
        self.row += rows
        if not self._key:
            return {"row": self.row}
        if self._last is not None:
            keys.insert(0, self._last)
        if any(None in key for key in keys):
            raise ConnectError(
                f"{redact_url(self._url)}: a row before row {self.row} has NULL in its key, which cannot say where to "
                "go on: leave such rows out, or give another key="
            )
        if any(before == after for before, after in pairwise(keys)):
            raise ConnectError(
                f"{redact_url(self._url)}: two rows before row {self.row} share a key, and reading could not go on "
                "between them: give key= the columns that no two rows share"
            )
        self._last = keys[-1]
        return {"row": self.row, "key": encode(self._last)}

    def close(self) -> None:
        """End the transaction, and close the connection."""
        connection, self._connection = self._connection, None
        cursor, self._cursor = self._cursor, None
        if connection is None:
            return
        with suppress(Exception):  # a connection that is lost cannot close it, and need not
            if cursor is not None:
                cursor.close()
        connection.close()


def _start_of(start: Position | None, columns: int) -> tuple[int, tuple[Any, ...] | None]:
    """Return how many rows come before a position, and the last key there."""
    if start is None:
        return 0, None
    row, key = start.get("row"), start.get("key")
    if type(row) is not int or row < 0 or (key is None) != (columns == 0):
        raise ConnectError(f"{start!r} is no position in the rows of this query: was its key changed?")
    if key is None:
        return row, None
    last: Any = decode(str(key))
    if not isinstance(last, tuple) or len(cast("tuple[Any, ...]", last)) != columns:  # type: ignore[redundant-cast]
        raise ConnectError(f"{start!r} is no position in the rows of a query with a key of {columns} columns")
    return row, cast("tuple[Any, ...]", last)  # type: ignore[redundant-cast]
