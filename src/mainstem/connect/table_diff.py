"""A load that writes nothing: it finds out what each record would do to a table, by the same steps as one that does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from mainstem.connect.column_values import ColumnValues
from mainstem.connect.rejects import set_aside
from mainstem.connect.rows import Row
from mainstem.connect.table_columns import C, quoted
from mainstem.connect.table_evolution import EvolvingLoad, columns_for
from mainstem.connect.table_plan import TablePlan
from mainstem.connect.table_reader import TableReader
from mainstem.errors import ValidationError

ChangeKind: TypeAlias = Literal["insert", "update", "unchanged"]
SAMPLES = 5
"""Changes of each kind that are kept to be shown."""


@dataclass(frozen=True, slots=True)
class RowChange:
    """What a record would do to a row.

    Attributes:
        kind: Whether there is such a row, and whether it would be another.
        after: What would be written, by column.
        before: What the row has in these columns now; ``None`` if there is none.
    """

    kind: ChangeKind
    after: dict[str, Any]
    before: dict[str, Any] | None = None


@dataclass(slots=True)
class TableChanges:
    """What a load would do to a table.

    Attributes:
        inserts: Rows that would be new.
        updates: Rows that would be others.
        unchanged: Rows that would be written as they are.
        deletes: Rows that would be deleted before.
        statements: What would be done to the table itself.
        samples: Some of the changes, a few of each kind.
        not_tried: What the database checks or does when rows are written, which shows only then.
    """

    inserts: int = 0
    updates: int = 0
    unchanged: int = 0
    deletes: int = 0
    statements: list[str] = field(default_factory=list[str])
    samples: list[RowChange] = field(default_factory=list[RowChange])
    not_tried: list[str] = field(default_factory=list[str])

    def add(self, change: RowChange) -> None:
        """Count a change."""
        counted = self.inserts if change.kind == "insert" else self.updates
        counted = self.unchanged if change.kind == "unchanged" else counted
        if counted < SAMPLES:
            self.samples.append(change)
        self.inserts += change.kind == "insert"
        self.updates += change.kind == "update"
        self.unchanged += change.kind == "unchanged"


class TableDiff(EvolvingLoad[C]):
    """Compares records with a table.

    Records go through the same checks and conversions as in a load, and those that would be rejected by them, by a key
    or by another unique index are.

    Args:
        reader: What looks at the table; ``commit`` and ``abort`` close it.
        where: The database, for error messages.
        plan: What a load is to do.
        new_columns: The columns of a table that is made, if a record type gives them.
    """

    at_once = 500

    def __init__(self, reader: TableReader[C], where: str, plan: TablePlan, new_columns: list[C] | None) -> None:
        super().__init__(reader.connection, reader.dialect, where, plan, new_columns, None)
        self._table_reader = reader
        self.changes = TableChanges()
        self._into: Sequence[C] = ()
        self._names: tuple[str, ...] = ()
        self._there: frozenset[str] = frozenset()
        """The columns that the database has now."""
        self._unique: list[tuple[str, ...]] = []
        self._rows: dict[tuple[str, ...], dict[Any, dict[str, Any]]] = {}
        """The rows that would have been written, by the values of each unique key."""
        self._is_empty = False

    @property
    def columns(self) -> list[C] | None:
        """The columns of the table, as they are now or would be; ``None`` if nobody knows them yet."""
        return self._columns

    def prepare(self) -> None:
        self.changes.not_tried = self._table_reader.not_tried()
        self._unique = self._table_reader.unique_keys()
        super().prepare()

    def problem_with(self, keys: Sequence[str]) -> str:
        """Say why records with these keys cannot be written; empty if they can."""
        return self._misfit(keys)

    def _find_columns(self) -> list[C] | None:
        columns = self._table_reader.columns()
        self._there = frozenset(each.name for each in columns or ())
        self._is_empty = columns is None
        return columns

    def _create(self, columns: list[C]) -> None:
        plan = self._plan
        self.changes.statements.append(self._dialect.create_statement(plan.table, columns, plan.key))
        self._columns = columns
        self._unique = [plan.key] if plan.key else []

    def _empty(self) -> None:
        self.changes.deletes = self._table_reader.count()
        self.changes.statements.append(f"DELETE FROM {quoted(self._plan.table)}")
        self._is_empty = True

    def _changed_by_deleting(self) -> tuple[str, str] | None:
        return None  # not asked, for nothing is deleted

    def _add_columns(self, names: Sequence[str], run: Sequence[Any]) -> None:
        known = [each.name for each in self._columns or ()]
        added = columns_for(self._dialect, names, run, known)
        for column in added:
            self.changes.statements.append(
                f"ALTER TABLE {quoted(self._plan.table)} ADD COLUMN {quoted(column.name)} "
                f"{self._dialect.declaration(column)}"
            )
        self._columns = [*(self._columns or ()), *added]

    def _insert_into(self, columns: Sequence[C]) -> Sequence[ColumnValues]:
        self._into, self._names = columns, tuple(each.name for each in columns)
        return list(map(self._table_reader.values, columns))

    def _insert(self, records: Sequence[Any], positions: Sequence[int], failures: list[tuple[int, Exception]]) -> None:
        rows, positions = self._converted(records, positions, failures)
        if self._table_reader.converts_first and not self._goes_on(failures):
            return
        refused: list[tuple[int, Exception]] = []
        for at, row in enumerate(rows):
            try:
                self.changes.add(self._change(row))
            except ValidationError as error:
                refused.append((at, error))
                if not self._plan.continue_on_error:
                    break
        set_aside(positions, refused, failures)

    def _change(self, row: Row) -> RowChange:
        """Return what a row would change.

        Raises:
            ValidationError: If there is another with the same unique values.
        """
        after = dict(zip(self._names, row, strict=True))
        for column, value in zip(self._into, row, strict=True):
            problem = self._table_reader.problem_with(column, value)
            if problem:
                raise ValidationError(
                    f"table {self._plan.table!r} does not take the record: column {column.name!r}: {problem}"
                )
        key = self._plan.key if self._plan.mode == "upsert" else ()
        before = self._row_with(key, after) if key else None
        for unique in self._unique:
            other = None if unique == key else self._row_with(unique, after)
            if other is not None and (before is None or other != before):
                values = ", ".join(f"{name} = {after[name]!r:.100}" for name in unique)
                raise ValidationError(
                    f"table {self._plan.table!r} does not take the record: a row with {values} is there already"
                )
        whole = {**(before or {}), **after}
        keys: set[tuple[str, ...]] = {*self._unique, *([key] if key else [])}
        for columns in keys:
            if all(whole.get(name) is not None for name in columns):
                self._rows.setdefault(columns, {})[_hashable([whole[name] for name in columns])] = whole
        if before is None:
            return RowChange("insert", after)
        kind: ChangeKind = "unchanged" if all(_same(before[name], after[name]) for name in after) else "update"
        return RowChange(kind, after, before)

    def _row_with(self, columns: Sequence[str], row: dict[str, Any]) -> dict[str, Any] | None:
        """Return the row that has the same values in some columns; ``None`` if there is none, or one is NULL."""
        values = [row.get(name) for name in columns]
        if any(value is None for value in values):
            return None
        written = self._rows.get(tuple(columns), {}).get(_hashable(values))
        if written is not None or self._is_empty or not self._there.issuperset(columns):
            return None if written is None else {name: written.get(name) for name in self._names}
        there = [name for name in self._names if name in self._there]
        found = self._table_reader.find(there, columns, values)
        return None if found is None else dict.fromkeys(self._names) | dict(zip(there, found, strict=True))

    def _commit(self) -> None:
        self._table_reader.close()

    def abort(self) -> None:
        self._table_reader.close()


def _hashable(values: Sequence[Any]) -> Any:
    try:
        hash(tuple(values))
    except TypeError:  # a list, or an object of JSON
        return repr(values)
    return tuple(values)


def _same(before: Any, after: Any) -> bool:
    """Whether a value is written as it is there; a document of JSON comes wrapped."""
    after = getattr(after, "obj", after)
    return bool(before == after) or (before != before and after != after)
