"""``TableSink``: records into a table of a database."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, TypeAlias, get_args, overload

import anyio
from anyio.to_thread import run_sync
from typing_extensions import TypeVar

from mainstem.connect.record_type import model_of
from mainstem.connect.rejects import settle_rejects
from mainstem.connect.sqlite import database_errors, database_path, open_database, when_unlocked
from mainstem.connect.sqlite_columns import check_identifier, declare
from mainstem.connect.table_load import TableLoad, TablePlan
from mainstem.context import PipelineContext
from mainstem.endpoints import LoadReport, Position, SinkStage, SinkTransaction
from mainstem.errors import ConnectError
from mainstem.records import field_hints
from mainstem.type_hints import iterable_of

T_contra = TypeVar("T_contra", contravariant=True)
R = TypeVar("R")

Mode: TypeAlias = Literal["insert", "upsert", "replace"]


class TableSink(SinkStage[T_contra]):
    """Write records to a table, all in one transaction: others see all of them or, if it fails, none.

    Records are mappings or of a record type, and all have the same keys. Where there is no such table, it is made:
    from the annotations of ``record_type`` or of the records (a field that may be ``None`` may be NULL, every other is
    NOT NULL), or else from the values of the first records. Where there is one, its columns must have the records'
    keys; columns that no record has get their default.

    No value is stored that SQLite would change. ``int``, ``float``, ``str``, ``bytes`` and ``None`` are themselves,
    ``bool`` is 0 or 1 (in a column BOOLEAN), ``datetime``, ``date`` and ``time`` are ISO text with their offset,
    ``Decimal`` and ``UUID`` are text, an ``Enum`` is its value; ``SqlSource(..., record_type=...)`` gives them back as
    they were, but for -0.0, which SQLite stores as 0.0. Everything else (NaN, an integer over 64 bits, a text with NUL
    or half a surrogate pair, a number for a TEXT column, a text for a numeric one, ``3.0`` for an INTEGER one, other
    objects) and what a constraint of the table refuses fails the load, and nothing is stored; with
    ``continue_on_error`` such a record is recorded in ``context.errors``, and all others are stored.

    While it loads, others can read the database and not write it; it waits up to 30 seconds for its turn. Foreign keys
    are enforced. The file of a new database stays, empty, if the load fails.

    Args:
        url: The database: ``sqlite:///relative.db`` or ``sqlite:////absolute.db``.
        table: The table's name, any text; it is quoted.
        key: The column or columns that name a record: the PRIMARY KEY of a table that is made, and what ``upsert``
            goes by.
        mode: ``"insert"`` adds the records; ``"upsert"`` adds those whose key is new and updates the others;
            ``"replace"`` empties the table first, in the same transaction.
        record_type: What the records are, if the table is to be made from its annotations before any record is seen.
        continue_on_error: Whether to record what the table does not take and go on.
        name: The stage's name in reports.

    Raises:
        ConnectError: If ``url`` is not one of those.
        TypeError: If ``record_type`` is none, or has a field that cannot be stored unchanged.
        ValueError: If a name cannot be one, ``mode`` is none of those, ``upsert`` has no key, or the key is no field.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from mainstem import Pipeline
        >>> with TemporaryDirectory() as folder:
        ...     url = f"sqlite:///{folder}/shop.db"
        ...     pipeline = Pipeline("load").add_stage(TableSink(url, "people", key="id"))
        ...     report = pipeline.run([{"id": 1, "name": "Ada"}]).unwrap()
        ...     report.records_loaded, report.guarantee.value
        (1, 'at-least-once')
    """

    chunk_size = 5000  # each write goes through a thread, which costs as much as inserting some 100 rows

    @overload
    def __init__(
        self: TableSink[Any],
        url: str,
        table: str,
        *,
        key: str | Sequence[str] | None = None,
        mode: Mode = "insert",
        record_type: None = None,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: TableSink[R],
        url: str,
        table: str,
        *,
        key: str | Sequence[str] | None = None,
        mode: Mode = "insert",
        record_type: type[R],
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    def __init__(
        self,
        url: str,
        table: str,
        *,
        key: str | Sequence[str] | None = None,
        mode: Mode = "insert",
        record_type: type[Any] | None = None,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None:
        if database_path(url) is None:
            raise ConnectError(
                f"{url}: a database in memory is gone when the load ends: name a file, sqlite:///file.db"
            )
        check_identifier("the name of a table", table)
        names = (key,) if isinstance(key, str) else tuple(key or ())
        for each in names:
            check_identifier("the name of a key column", each)
        if mode not in get_args(Mode):
            raise ValueError(f"mode must be 'insert', 'upsert' or 'replace', not {mode!r}")
        if mode == "upsert" and not names:
            raise ValueError("mode 'upsert' goes by a key: give key='the column that names a record'")
        if len(set(names)) != len(names):
            raise ValueError(f"the key names a column twice: {names!r}")
        self._model = None if record_type is None else model_of(record_type, "TableSink")
        columns = None
        if self._model is not None:
            hints = field_hints(self._model) or {}
            if set(names) - set(hints):
                raise ValueError(
                    f"the key {names!r} is no field of {self._model.__name__}, which has {', '.join(hints)}"
                )
            columns = [declare(field, hint, names) for field, hint in hints.items()]
        self._url = url
        self._plan = TablePlan(table, names, mode, columns)
        self._continue_on_error = continue_on_error
        if name is not None:
            self.name = name

    def _hints(self) -> tuple[Any, Any]:
        return iterable_of(Any if self._model is None else self._model), LoadReport

    @property
    def target(self) -> str:
        return f"{self._url}, table {self._plan.table}"

    async def begin(self, context: PipelineContext) -> SinkTransaction[T_contra]:
        connection = await run_sync(partial(open_database, self._url, create=True))
        load = TableLoad(connection, self._url, self._plan, go_on=self._continue_on_error)
        try:
            with database_errors(self._url):
                await when_unlocked(connection, load.begin)
                await run_sync(load.prepare)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await run_sync(load.abort)
            raise
        return _TableTransaction(load, context, self.name, self._url, self._continue_on_error)


class _TableTransaction(SinkTransaction[T_contra]):
    """The load, in threads, so that neither the disk nor another connection's lock stops the event loop."""

    def __init__(self, load: TableLoad, context: PipelineContext, stage: str, url: str, go_on: bool) -> None:
        self._load = load
        self._context = context
        self._stage = stage
        self._url = url
        self._go_on = go_on

    async def write(self, records: Sequence[T_contra]) -> int:
        with database_errors(self._url):
            rejects = await run_sync(self._load.write, records)
        return settle_rejects(rejects, self._context, self._stage, go_on=self._go_on)

    async def commit(self, position: Position | None = None) -> None:
        with database_errors(self._url):
            await run_sync(self._load.commit)

    async def abort(self) -> None:
        with database_errors(self._url):
            await run_sync(self._load.abort)
