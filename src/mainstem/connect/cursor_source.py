"""Sources that read the rows of a query through a cursor of the database's driver: one way for several databases."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise
from typing import Any, cast

import anyio
from anyio.to_thread import run_sync
from typing_extensions import TypeVar

from mainstem.connect.query_source import Parameters, QuerySource, check_names
from mainstem.connect.rejects import settle_rejects
from mainstem.connect.rows import shown
from mainstem.connect.sql_marks import Marks, row_value
from mainstem.context import PipelineContext
from mainstem.endpoints import CHUNK_SIZE, Position, SourceChunk
from mainstem.errors import ConnectError
from mainstem.options import check_count
from mainstem.store.codec import decode, encode

T = TypeVar("T")


class QueryCursor(ABC):
    """An open connection that reads one query at a time. Its methods block.

    Each raises ``ConnectionLostError`` if the same may succeed later, and ``ConnectError`` if not.
    """

    @abstractmethod
    def execute(self, query: str, parameters: Parameters) -> list[str]:
        """Run a query, and return the names of its columns; none if it gives no rows."""

    @abstractmethod
    def fetch(self, limit: int) -> Sequence[Any]:
        """Return the next rows, no more than ``limit``; none at the end."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection, whatever has not been read."""


class CursorSource(QuerySource[T]):
    """Reads the rows of a query in order, a chunk at a time, in one transaction that is never committed."""

    @abstractmethod
    def _connect(self) -> QueryCursor:
        """Open a connection.

        Raises:
            ConnectionLostError: If it can be had later.
            ConnectError: If it cannot be had.
        """

    @abstractmethod
    def new_marks(self) -> Marks:
        """Return what adds values to the query's parameters."""

    async def read(
        self, context: PipelineContext, *, start: Position | None = None, chunk_size: int = CHUNK_SIZE
    ) -> AsyncGenerator[SourceChunk[T], None]:
        check_count("chunk_size", chunk_size)
        reading = _Reading(self._where, self._query, self._parameters, self._key, start, self.new_marks)
        cursor = await run_sync(self._connect)
        try:
            await run_sync(reading.begin, cursor)
            while rows := await run_sync(cursor.fetch, chunk_size):
                first = reading.row
                position = reading.go_on(rows)
                self._see(reading.names, rows)
                numbers = range(self._counted + first, self._counted + reading.row)
                records, rejects = self._records_of(reading.names, rows, numbers)
                failed = settle_rejects(
                    rejects, context, self.name, go_on=self._continue_on_error, first=context.chunk_start
                )
                yield SourceChunk(records, position, failed)
        finally:
            with anyio.CancelScope(shield=True):
                await run_sync(cursor.close)


class _Reading:
    """How far one read is."""

    def __init__(
        self,
        where: str,
        query: str,
        parameters: Parameters,
        key: tuple[str, ...],
        start: Position | None,
        marks: Any,
    ) -> None:
        self._where, self._key = where, key
        self.names: list[str] = []
        self._indexes: list[int] = []
        self.row, self._last = _start_of(start, len(key))
        self._passed_over = self.row if not key else 0
        self._same, self._query, self._parameters = "", query, parameters
        if not key:
            return
        added: Marks = marks()
        values = [] if self._last is None else [added.add(value) for value in self._last]
        columns, rows = added.qualified(key), added.rows(query)
        order = ", ".join(columns)
        after = ""
        if values:
            self._same = f"SELECT 1 FROM {rows} WHERE {row_value(columns)} = {row_value(values)} LIMIT 2"
            after = f" WHERE {row_value(columns)} > {row_value(values)}"
        self._query = f"SELECT * FROM {rows}{after} ORDER BY {order}"
        self._parameters = added.parameters

    def begin(self, cursor: QueryCursor) -> None:
        """Run the query, and pass over what was read.

        Raises:
            ConnectError: If it cannot be run, or cannot be gone on with from the start.
        """
        if self._same and self._last is not None:
            cursor.execute(self._same, self._parameters)
            # A row that came in the next chunk would be left out now; also one that is equal to the database only.
            if len(cursor.fetch(3)) > 1:
                raise self._twice(self._last)
        self.names = cursor.execute(self._query, self._parameters)
        if not self.names:
            raise ConnectError(f"{self._where}: the query gives no rows: write a SELECT")
        check_names(self.names, self._where)
        for name in self._key:
            if name not in self.names:
                raise ConnectError(
                    f"{self._where}: the query has no column {name!r}, which is to be its key; "
                    f"its columns are {', '.join(map(repr, self.names))}"
                )
        self._indexes = [self.names.index(name) for name in self._key]
        passed = 0
        while passed < self._passed_over:
            rows = cursor.fetch(min(CHUNK_SIZE, self._passed_over - passed))
            if not rows:
                raise ConnectError(
                    f"{self._where}: cannot go on at row {self._passed_over}: the query now gives {passed} rows; "
                    "was the data replaced?"
                )
            passed += len(rows)

    def go_on(self, rows: Sequence[Any]) -> Position:
        """Count the rows, and return the position after them.

        Raises:
            ConnectError: If it would be none to begin at.
        """
        self.row += len(rows)
        if not self._key:
            return {"row": self.row}
        keys = [tuple(row[index] for index in self._indexes) for row in rows]
        if self._last is not None:
            keys.insert(0, self._last)
        if any(None in key for key in keys):
            raise ConnectError(
                f"{self._where}: a row before row {self.row} has NULL in its key, which cannot say where to go on: "
                "leave such rows out, or give another key="
            )
        repeated = next((before for before, after in pairwise(keys) if before == after), None)
        if repeated is not None:
            raise self._twice(repeated)
        self._last = keys[-1]
        return {"row": self.row, "key": encode(self._last)}

    def _twice(self, key: tuple[Any, ...]) -> ConnectError:
        return ConnectError(
            f"{self._where}: more than one row has the key {shown(key)} in {', '.join(map(repr, self._key))}, and "
            "reading could not go on between them: give key= the columns that no two rows share"
        )


def _start_of(start: Position | None, columns: int) -> tuple[int, tuple[Any, ...] | None]:
    """Return how many rows come before a position, and the last key there."""
    if start is None:
        return 0, None
    row, key = start.get("row"), start.get("key")
    if type(row) is not int or row < 0 or (row > 0 and (key is None) != (columns == 0)):
        raise ConnectError(f"{start!r} is no position in the rows of this query: was its key changed?")
    if key is None or row == 0:
        return row, None
    last: Any = decode(str(key))
    if not isinstance(last, tuple) or len(cast("tuple[Any, ...]", last)) != columns:  # type: ignore[redundant-cast]
        raise ConnectError(f"{start!r} is no position in the rows of a query with a key of {columns} columns")
    return row, cast("tuple[Any, ...]", last)  # type: ignore[redundant-cast]
