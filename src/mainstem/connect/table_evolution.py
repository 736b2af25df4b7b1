"""Records with keys that are no columns of their table yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, cast

from mainstem.connect.frame_rows import FrameRows
from mainstem.connect.rejects import Reject
from mainstem.connect.rows import class_of, keys_of
from mainstem.connect.table_columns import C, Dialect, quoted
from mainstem.connect.table_load import TableLoad
from mainstem.errors import ValidationError
from mainstem.records import field_hints, field_reader


class EvolvingLoad(TableLoad[C]):
    """A load that adds columns, or fails at once, where ``on_new_column`` says so."""

    def _write_part(self, records: Sequence[Any]) -> list[tuple[int, Exception]]:
        if self._plan.on_new_column == "add":
            return self._write_runs(records)
        failures = super()._write_part(records)
        if self._plan.on_new_column == "fail":
            for at, error in failures:
                if self._new_names(records[at]):
                    self.fatal = Reject(at, records[at], error)
                    return [each for each in failures if each[0] < at]
        return failures

    def _write_runs(self, records: Sequence[Any]) -> list[tuple[int, Exception]]:
        """Write neighbours that have the same keys together, and add the columns that the table lacks."""
        failures: list[tuple[int, Exception]] = []
        for start, end in runs_of(records):
            run = records[start:end]
            try:
                self._fit_columns(run)
            except ValidationError as error:
                failures += [(at, error) for at in range(start, end)]
            else:
                self._insert(self._without_new(run), range(start, end), failures)
            if not self._goes_on(failures):
                break
        return failures

    def _fit_columns(self, run: Sequence[Any]) -> None:
        """Make the columns of these records, which have the same keys, those that are written.

        Raises:
            ValidationError: If they do not fit the table.
        """
        if self._columns is None:
            self._settle_columns(run, 0)
            return
        new = self._new_names(run[0])
        if new:
            self._add_columns(new, run)
        known = {each.name for each in self._columns}
        keys = [name for name in keys_of(run[0]) if name in known]
        if self._reader is None or set(self._reader.columns) != set(keys):
            problem = self._misfit(keys)
            if problem:
                raise ValidationError(problem)
            self._use_columns(keys)

    def _add_columns(self, names: Sequence[str], run: Sequence[Any]) -> None:
        dialect, table = self._dialect, self._plan.table
        added = columns_for(dialect, names, run, [each.name for each in self._columns or ()])
        for column in added:
            self.connection.execute(
                f"ALTER TABLE {quoted(table)} ADD COLUMN {quoted(column.name)} {dialect.declaration(column)}"
            )
        if added:
            self._columns = dialect.find_columns(self.connection, table, self._plan.key)

    def _without_new(self, run: Sequence[Any]) -> Sequence[Any]:
        """Return the records without the keys that have no column, because they are None in all of them."""
        new = self._new_names(run[0])
        if not new:
            return run
        if isinstance(run, FrameRows):
            return FrameRows(run.frame.drop(new))
        read = field_reader(class_of(run[0]))
        return [{name: value for name, value in read(record).items() if name not in new} for record in run]

    def _new_names(self, record: Any) -> list[str]:
        """Return the keys of a record that the table has no columns for."""
        try:
            keys = keys_of(record)
        except ValidationError:
            return []
        known = {each.name for each in self._columns or ()}
        return [name for name in keys if name not in known] if self._columns is not None else []


def runs_of(records: Sequence[Any]) -> Iterator[tuple[int, int]]:
    """Give the records in runs of neighbours that have the same keys: where each begins, and where it ends.

    Their order stays, for of two records with one key the later counts.
    """
    if isinstance(records, FrameRows):
        yield 0, len(records)
        return
    start = 0
    for _, run in groupby(records, _key_set):
        length = sum(1 for _ in run)
        yield start, start + length
        start += length


def _key_set(record: Any) -> Any:
    if type(record) is dict:
        return frozenset(cast("dict[Any, Any]", record))  # type: ignore[redundant-cast]
    try:
        return frozenset(keys_of(record))
    except ValidationError:
        return None  # which is found again, with its reason


def columns_for(dialect: Dialect[C], names: Sequence[str], records: Sequence[Any], taken: Sequence[str]) -> list[C]:
    """Return the columns that are to be added for keys of some records; none for a key that is None in all of them.

    Args:
        dialect: The kind of database.
        names: The keys.
        records: The records.
        taken: The names of the columns that are there.

    Raises:
        ValidationError: If a key cannot be the name of a column, or there is no column for its values.
    """
    hints = field_hints(class_of(records[0])) or {}
    read = None if isinstance(records, FrameRows) else field_reader(class_of(records[0]))
    columns: list[C] = []
    for name in names:
        try:
            dialect.check_identifier("the name of a column", name)
            values = _values(records, name, read)
            if all(value is None for value in values):
                continue
            column = dialect.declare(name, hints[name], ()) if name in hints else dialect.infer(name, values, ())
        except (TypeError, ValueError) as error:
            raise ValidationError(f"no column can be added for {name!r}: {error}") from error
        lowered = name.lower()
        twin = next((each for each in [*taken, *(other.name for other in columns)] if each.lower() == lowered), None)
        if twin is not None:
            raise ValidationError(f"no column can be added for {name!r}: there is {twin!r}, which differs in case only")
        made: Any = column
        columns.append(replace(made, nullable=True))  # rows that are there have no value of it
    return columns


def _values(records: Sequence[Any], name: str, read: Any) -> list[Any]:
    if isinstance(records, FrameRows):
        return records.frame[name].to_list()
    return [read(record).get(name) for record in records]
