"""``SqlSource``: the rows of a query, or of a table."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any, overload

from typing_extensions import TypeVar

from mainstem.connect.fingerprints import json_value
from mainstem.connect.query_source import Parameters
from mainstem.connect.sql_backends import SqlBackend, backend_of
from mainstem.connect.sql_increment import Increment, first_position
from mainstem.connect.table_columns import check_identifier, key_of
from mainstem.context import PipelineContext
from mainstem.datasets import Dataset, table_dataset
from mainstem.endpoints import CHUNK_SIZE, Position, SourceChunk, SourceStage
from mainstem.errors import ConnectError
from mainstem.options import check_count
from mainstem.type_hints import list_of

T = TypeVar("T")
R = TypeVar("R")

_TABLE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


class SqlSource(SourceStage[T]):
    """Read the rows of a query, in order, a chunk at a time; the database is not changed by it.

    A position is the number of rows before it. To start there the query is run again and the rows before are passed
    over, so give it an ``ORDER BY`` that leaves no choice if it is ever to be resumed.

    With a ``key``, rows come in the key's order (in SQLite texts by their bytes, whatever the collation), and a
    position is a value of it, where reading starts at once if there is an index. The key must not be NULL, no two rows
    may share it, and in SQLite each of its columns must be of one type; else the run fails where that is seen. Rows
    that are added with a greater key are read by a run that is resumed, and rows that are deleted are not missed. The
    query stands in parentheses then, so it must be a ``SELECT``, and an ``ORDER BY`` of its own is of no use.

    With a ``cursor`` as well, a column whose value grows when a row is added or changed, each durable run reads only
    what is new: the rows whose cursor is at or after the greatest value that the last completed run of the pipeline
    read, but for those that it read with that value; at first the rows from ``initial`` on, or all. Rows come in the
    order of cursor and key. How far a run is moves with its commits, so a run that fails and is resumed leaves nothing
    out and doubles nothing. A row that is changed comes again, with its new cursor: load it with ``mode="upsert"``. A
    row whose transaction is committed later than another's with a greater cursor would be left out: ``lag`` lets each
    run begin so long before the mark, and what it finds there comes again, changed or not. A cursor of NULL is an
    error. A run that is not durable keeps no mark: it reads from ``since`` on.

    The read is one transaction: it sees the database as it was at the beginning. In SQLite, until it ends, nobody can
    commit to the database, unless its journal mode is WAL; so a durable run from a database into the same needs that
    mode. A durable run is resumed with the same database, query, parameters and key; their content may have changed.

    A row that cannot be read (text that is not in the database's encoding, a value that its field's type refuses)
    fails the run. With ``continue_on_error`` it is recorded in ``context.errors`` with its number, and the rest is
    read; ``read_again`` takes such a row, mended, as a dict.

    Args:
        url: The database: ``sqlite:///relative.db`` or ``sqlite:////absolute.db``, ``postgresql://user@host/database``
            (``mainstem[postgres]``), ``duckdb:///file.duckdb`` (the package ``duckdb``), or what else SQLAlchemy knows
            and has a driver for (``mainstem[sql]``), as ``mysql+pymysql://user:password@host/database`` or
            ``mariadb+pymysql://``. Moments of MariaDB and MySQL (``timestamp``) are ``datetime`` in UTC.
        query: A statement that gives rows, or the name of a table.
        parameters: Values for its placeholders, as the database's driver has them: for SQLite a sequence for ``?`` and
            a mapping for ``:name``, for PostgreSQL, MariaDB and MySQL ``%s`` and ``%(name)s``, for DuckDB ``?`` and
            ``$name``. Never put values into the query's text.
        key: The column or columns of the query whose values no two rows share, to go on after a value of them.
        cursor: The column of the query that tells new rows from old; ``None`` to read all in each run.
        initial: The value of it from which on the first run reads, as the column has it (in SQLite a text, say).
        lag: How long before the mark a run begins, if the cursor is a date, a time, or an ISO text of one.
        since: The value of the cursor from which on a run reads, whatever earlier ones have read.
        record_type: What the records are: ``dict``, or a dataclass, ``TypedDict``, msgspec ``Struct`` or pydantic
            model, into which the rows are parsed.
        continue_on_error: Whether to record rows that cannot be read and go on.
        name: The stage's name in reports.

    Raises:
        ConnectError: If ``url`` is not one of those.
        MissingExtraError: If the database or the record type needs an extra that is not installed.
        TypeError: If ``record_type`` is none.
        ValueError: If the key is no column's name, or names one twice, or there is a cursor without a key.

    Example:
        >>> from mainstem import Pipeline
        >>> source = SqlSource("sqlite:///:memory:", "SELECT ? AS name, 36 AS age", parameters=["Ada"])
        >>> Pipeline[None, list[dict[str, object]]]("people").add_stage(source).run().data
        [{'name': 'Ada', 'age': 36}]
    """

    not_in_shape = frozenset(("backend", "options", "rows", "table"))  # made of the other parameters

    @overload
    def __init__(
        self: SqlSource[dict[str, Any]],
        url: str,
        query: str,
        *,
        parameters: Parameters = ...,
        key: str | Sequence[str] | None = None,
        cursor: str | None = None,
        initial: Any = None,
        lag: timedelta = ...,
        since: Any = None,
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
        key: str | Sequence[str] | None = None,
        cursor: str | None = None,
        initial: Any = None,
        lag: timedelta = ...,
        since: Any = None,
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
        key: str | Sequence[str] | None = None,
        cursor: str | None = None,
        initial: Any = None,
        lag: timedelta = timedelta(0),
        since: Any = None,
        record_type: type[Any] = dict,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None:
        self._backend: SqlBackend = backend_of(url)
        self._table = query if _TABLE.fullmatch(query) else None
        if self._table is not None:
            query = f"SELECT * FROM {'.'.join(map(self._backend.quote, query.split('.')))}"
        self._url, self._query, self._parameters = url, query, parameters
        self._options: dict[str, Any] = {
            "key": key,
            "record_type": record_type,
            "continue_on_error": continue_on_error,
        }
        self._rows = self._backend.source(url, query, parameters, self._options)
        self._model = self._rows.model  # which the engine looks for here
        self._cursor, self._key = cursor, key_of(key)
        self._initial, self._since, self._lag = self._backend.bound(initial), self._backend.bound(since), lag
        self._check_increment()
        if name is not None:
            self.name = name

    def _check_increment(self) -> None:
        """Check what is said about reading only what is new.

        Raises:
            ValueError: If it does not go together.
        """
        if self._cursor is None:
            if self._initial is not None or self._since is not None or self._lag:
                raise ValueError(
                    "initial=, lag= and since= say from which value of a column to read: name it by cursor="
                )
            return
        check_identifier("the name of the cursor column", self._cursor)
        if not self._key:
            raise ValueError(
                f"rows with the same {self._cursor!r} are told apart by a key: give key= the column or columns that no "
                "two rows share"
            )
        if self._lag < timedelta(0):
            raise ValueError(f"lag= says how long before the mark a run begins, and cannot be {self._lag}")

    def _hints(self) -> tuple[Any, Any]:
        return None, list_of(dict[str, Any] if self._model is None else self._model)

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        """The table, if one was named; which tables a query reads is not known here."""
        return () if self._table is None else (table_dataset(self._url, self._table),)

    async def fingerprint(self) -> Mapping[str, Any]:
        found = dict(await self._rows.fingerprint())
        if self._cursor is not None:
            found |= {
                "cursor": self._cursor,
                "initial": json_value(self._initial),
                "lag": str(self._lag),
                "since": json_value(self._since),
            }
        return found

    async def check_access(self) -> str:
        # Asking for no rows of it has the database check the query, its names and the rights, and read none.
        query = f"SELECT * FROM ({self._query.rstrip().removesuffix(';')}\n) mainstem_check WHERE 1 = 0"
        rows = self._backend.source(self._url, query, self._parameters, {})
        async with aclosing(rows.read(PipelineContext())) as chunks:
            async for _ in chunks:
                pass
        return f"{rows.place}: the query can be run"

    def read_again(self, record: Any) -> T:
        again: T = self._rows.read_again(record)
        return again

    def start_after(self, previous: Position | None) -> Position | None:
        if self._cursor is None:
            return None
        where, since = self._rows.place, self._since
        if since is not None:
            return first_position(where, self._cursor, self._key, None, since, self._lag)
        return first_position(where, self._cursor, self._key, previous, self._initial, self._lag)

    async def read(
        self, context: PipelineContext, *, start: Position | None = None, chunk_size: int = CHUNK_SIZE
    ) -> AsyncGenerator[SourceChunk[T], None]:
        check_count("chunk_size", chunk_size)
        self._rows.name = self.name
        if self._cursor is None:
            chunks = self._rows.read(context, start=start, chunk_size=chunk_size)
        else:
            chunks = self._read_new(self._cursor, context, start, chunk_size)
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    async def _read_new(
        self, cursor: str, context: PipelineContext, start: Position | None, chunk_size: int
    ) -> AsyncGenerator[SourceChunk[T], None]:
        if start is None:
            if self._since is None:
                raise ConnectError(
                    f"{self._rows.place}: what an earlier run has read by {cursor!r} is known to a store only: run "
                    "durably, with store= and run_id=, or say since= which value to read"
                )
            start = self.start_after(None)
        assert start is not None
        where, backend = self._rows.place, self._backend
        increment = Increment(where, cursor, self._key, start)
        marks = backend.marks(self._parameters, self._rows)
        query = increment.query(self._query, marks, binary=backend.is_binary)
        options = {**self._options, "key": None, "name": self.name}
        rows: Any = backend.source(self._url, query, marks.parameters, options)
        rows.watched(increment.see, increment.row)
        async with aclosing(rows.read(context, chunk_size=chunk_size)) as chunks:
            async for chunk in chunks:
                yield SourceChunk(chunk.records, increment.to_position(), chunk.records_failed)
        await self._recount(increment)

    async def _recount(self, increment: Increment) -> None:
        """See that no rows came where only the last of many keys is known.

        Raises:
            ConnectError: If some did.
        """
        backend = self._backend
        marks = backend.marks(self._parameters, self._rows)
        found = increment.recount(self._query, marks, binary=backend.is_binary)
        if found is None:
            return
        query, known = found
        rows: Any = backend.source(self._url, query, marks.parameters, {})
        async with aclosing(rows.read(PipelineContext())) as chunks:
            counted = [record["number"] async for chunk in chunks for record in chunk.records]
        if counted[0] > known:
            raise ConnectError(
                f"{self._rows.place}: {counted[0] - known} rows came with a value of {self._cursor!r} that was read, "
                f"and with lesser keys than those: of {known} rows with one value nobody remembers which. Load them "
                "with since= that value, in mode 'upsert'"
            )
