"""``TableSink``: records into a table of a database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args, overload

from anyio.to_thread import run_sync
from typing_extensions import TypeVar

from mainstem.connect.record_type import model_of
from mainstem.connect.rejects import settle_rejects
from mainstem.connect.sqlite_table import SqliteTable
from mainstem.connect.table_columns import key_of
from mainstem.connect.table_diff import TableChanges, TableDiff
from mainstem.connect.table_load import TableLoad
from mainstem.connect.table_look import TableLook
from mainstem.connect.table_plan import PROGRESS_TABLE, Batch, Mode, OnNewColumn, TablePlan
from mainstem.connect.table_target import TableTarget
from mainstem.context import PipelineContext
from mainstem.datasets import Dataset, table_dataset
from mainstem.endpoints import Claim, LoadReport, Position, SinkStage, SinkTransaction
from mainstem.errors import ConnectError
from mainstem.records import field_hints
from mainstem.type_hints import iterable_of

T_contra = TypeVar("T_contra", contravariant=True)
R = TypeVar("R")


class TableSink(SinkStage[T_contra]):
    """Write records to a table, all in one transaction: others see all of them or, if it fails, none.

    Records are mappings or of a record type, and all have the same keys. Where there is no such table, it is made:
    from the annotations of ``record_type`` or of the records (a field that may be ``None`` may be NULL, every other is
    NOT NULL), or else from the values of the first records. Where there is one, its columns must have the records'
    keys; columns that no record has get their default.

    No value is stored that the database would change. In SQLite ``int``, ``float``, ``str``, ``bytes`` and ``None``
    are themselves, ``bool`` is 0 or 1 (in a column BOOLEAN), ``datetime``, ``date`` and ``time`` are ISO text with
    their offset, ``Decimal`` and ``UUID`` are text, an ``Enum`` is its value; ``SqlSource(..., record_type=...)``
    gives them back as they were, but for -0.0, which SQLite stores as 0.0. Everything else (NaN, an integer over 64
    bits, a text with NUL or half a surrogate pair, a number for a TEXT column, a text for a numeric one, ``3.0`` for an
    INTEGER one, other objects) and what a constraint of the table refuses fails the load, and nothing is stored; with
    ``continue_on_error`` such a record is recorded in ``context.errors``, and all others are stored.

    While it loads, others can read the database and not write it; it waits up to 30 seconds for its turn. Foreign keys
    are enforced. The file of a new database stays, empty, if the load fails.

    MariaDB and MySQL (``mainstem[sql]`` and a driver) are loaded with many rows in a statement, DuckDB
    (``mainstem[duckdb,frames]``) with tables of Arrow; ``mysql_values`` and ``duckdb_values`` state what each column
    takes, and what no column holds as it is, is refused. In MariaDB a table that is made stays, empty, if the load
    fails, and ``upsert`` needs a table with no other unique index than the key. A moment is a ``timestamp`` there, up
    to 2038. DuckDB is written by one process at a time.

    PostgreSQL (``mainstem[postgres]``) is loaded by binary COPY, for ``upsert`` by way of a temporary table, and others
    can write the table meanwhile. Its types take what Python has for them, ``jsonb`` dicts and lists; an aware
    ``datetime`` comes back as the same moment. Refused is what a column would round, cut off, pad or turn into another
    type, and NaN for ``numeric``. What a type that only the database knows, as an enum or ``inet``, makes of a value is
    the database's affair. Constraints are checked with the rows, those that are deferred as well.

    In a durable run each record is loaded exactly once, or is a reject. The run is written batch by batch, each in a
    transaction of its own, so others see the table grow; the number of the last batch is committed with its rows, in
    the table ``mainstem_progress`` of the same database. The first record of the run settles its columns for good, and
    the values of the first batch the types of a table that is made without ``record_type``. ``"replace"`` empties the
    table in the first batch. A row of ``mainstem_progress`` may be deleted once its run has completed.

    Args:
        url: The database: ``sqlite:///relative.db``, ``sqlite:////absolute.db``,
            ``postgresql://user:password@host:port/database``, ``mariadb+pymysql://`` or ``mysql+pymysql://`` with the
            same after it, or ``duckdb:///file.duckdb``.
        table: The table's name, any text; it is quoted, so a dot in it is part of the name. In PostgreSQL the
            ``search_path`` says in which schema it is: ``?options=-csearch_path%3Dsales`` at the end of the URL.
        key: The column or columns that name a record: the PRIMARY KEY of a table that is made, and what ``upsert``
            goes by.
        mode: ``"insert"`` adds the records; ``"upsert"`` adds those whose key is new and updates the others;
            ``"replace"`` empties the table first, in the same transaction.
        record_type: What the records are, if the table is to be made from its annotations before any record is seen.
        continue_on_error: Whether to record what the table does not take and go on.
        on_new_column: What becomes of a record with a key that the table has no column for: ``"reject"`` refuses it as
            any other that does not fit; ``"fail"`` fails the run even with ``continue_on_error``; ``"add"`` adds the
            column, in the same transaction, for what the record type or the values at hand say, and it may be NULL in
            all rows. Records may then have different keys: in an insert a column that one lacks gets its default, in an
            upsert it stays as it is. A key that is only ever ``None`` adds nothing. MariaDB and MySQL have no
            ``"add"``, for they commit what was written when a column is added.
        name: The stage's name in reports.

    Raises:
        ConnectError: If ``url`` is not one of those.
        MissingExtraError: When it loads, if ``mainstem[postgres]`` is needed and not installed.
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
        on_new_column: OnNewColumn = "reject",
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
        on_new_column: OnNewColumn = "reject",
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
        on_new_column: OnNewColumn = "reject",
        name: str | None = None,
    ) -> None:
        names = key_of(key)
        if mode not in get_args(Mode):
            raise ValueError(f"mode must be 'insert', 'upsert' or 'replace', not {mode!r}")
        if on_new_column not in get_args(OnNewColumn):
            raise ValueError(f"on_new_column must be 'add', 'reject' or 'fail', not {on_new_column!r}")
        if mode == "upsert" and not names:
            raise ValueError("mode 'upsert' goes by a key: give key='the column that names a record'")
        self._model = None if record_type is None else model_of(record_type, "TableSink")
        if self._model is not None:
            hints = field_hints(self._model) or {}
            if set(names) - set(hints):
                raise ValueError(
                    f"the key {names!r} is no field of {self._model.__name__}, which has {', '.join(hints)}"
                )
        self._table = _table_of(url, TablePlan(table, names, mode, self._model, continue_on_error, on_new_column))
        if table.lower() == PROGRESS_TABLE:
            raise ValueError(f"table {PROGRESS_TABLE!r} holds the progress of durable runs: name another")
        if name is not None:
            self.name = name

    def _hints(self) -> tuple[Any, Any]:
        return iterable_of(Any if self._model is None else self._model), LoadReport

    @property
    def target(self) -> str:
        return self._table.name

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        return (table_dataset(self._table.url, self._table.plan.table),)

    @property
    def replaces(self) -> bool:
        return self._table.plan.mode == "replace"

    @property
    def locked_file(self) -> Path | None:
        return self._table.locked_file

    async def check_access(self) -> str | None:
        look = await self.look()
        if look is None:
            return await self._table.reach()
        if look.refusal:
            raise ConnectError(f"{self.target}: {look.refusal}")
        return f"the table has {len(look.columns)} columns" if look.exists else "there is no such table yet"

    async def look(self, record_type: type[Any] | None = None) -> TableLook | None:
        """See what a load would find, and do to the table itself: nothing is changed.

        Args:
            record_type: What the records are, if the sink was not told; ``None`` if that is not known.

        Returns:
            What was seen; ``None`` of DuckDB.

        Raises:
            ConnectError: If the database cannot be reached or opened.
        """
        return await self._table.look(record_type)

    async def begin_diff(self, context: PipelineContext) -> TableDiffTransaction[T_contra] | None:
        """Begin what a preview does in the place of a load: SQLite and PostgreSQL say what it would change.

        Returns:
            A transaction that writes nothing, with the changes; ``None`` of other databases.

        Raises:
            ConnectError: If the database cannot be opened, or the table does not fit.
        """
        diff = await self._table.begin_diff()
        return None if diff is None else TableDiffTransaction(self._table, diff, context, self.name)

    async def begin(self, context: PipelineContext) -> SinkTransaction[T_contra]:
        return await self._begin(context, None)

    async def claim(self, claim: Claim) -> int:
        return await self._table.claim(claim)

    async def begin_batch(self, context: PipelineContext, claim: Claim, sequence: int) -> SinkTransaction[T_contra]:
        return await self._begin(context, Batch(claim, sequence))

    async def _begin(self, context: PipelineContext, batch: Batch | None) -> SinkTransaction[T_contra]:
        return _TableTransaction(self._table, await self._table.begin(batch), context, self.name)


def _table_of(url: str, plan: TablePlan) -> TableTarget[Any]:
    """Return the table for the kind of database that the URL names; modules that need an extra are imported late.

    Raises:
        ConnectError: If tables of it cannot be loaded.
    """
    scheme = url.partition("://")[0]
    if scheme in ("postgresql", "postgres"):
        from mainstem.connect.postgres_table import PostgresTable

        return PostgresTable(url, plan)
    if scheme == "sqlite" or "://" not in url:
        return SqliteTable(url, plan)
    if scheme == "duckdb":
        from mainstem.connect.duckdb_table import DuckdbTable

        return DuckdbTable(url, plan)
    from mainstem.connect.sqlalchemy_engine import KNOWN, check_url

    name = check_url(url, "Loading tables")
    if name not in ("mysql", "mariadb"):
        raise ConnectError(
            f"tables of {name} cannot be loaded, because nobody has stated what it changes in values: supported are "
            f"{KNOWN}; SqlSource reads from any"
        )
    from mainstem.connect.mysql_table import MysqlTable

    return MysqlTable(url, plan)


class _TableTransaction(SinkTransaction[T_contra]):
    """The load, in threads, so that neither the disk nor another connection's lock stops the event loop."""

    def __init__(self, table: TableTarget[Any], load: TableLoad[Any], context: PipelineContext, stage: str) -> None:
        self._table = table
        self._load = load
        self._context = context
        self._stage = stage

    async def write(self, records: Sequence[T_contra]) -> int:
        with self._table.errors():
            rejects = await run_sync(self._load.write, records)
        count = settle_rejects(rejects, self._context, self._stage, go_on=self._table.plan.continue_on_error)
        fatal = self._load.fatal
        return count if fatal is None else settle_rejects([fatal], self._context, self._stage, go_on=False)

    async def commit(self, position: Position | None = None) -> None:
        with self._table.errors():
            await run_sync(self._load.commit)

    async def abort(self) -> None:
        with self._table.errors():
            await run_sync(self._load.abort)


class TableDiffTransaction(_TableTransaction[T_contra]):
    """What ``begin_diff`` gives: a load that writes nothing, and knows what it would have changed."""

    def __init__(self, table: TableTarget[Any], diff: TableDiff[Any], context: PipelineContext, stage: str) -> None:
        super().__init__(table, diff, context, stage)
        self.changes: TableChanges = diff.changes
