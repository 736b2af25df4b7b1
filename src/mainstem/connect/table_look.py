"""What a load would find in a database, and do to the table itself: for a plan, which moves no record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mainstem.connect.table_columns import C, Dialect, quoted
from mainstem.connect.table_diff import TableDiff
from mainstem.connect.table_plan import TablePlan
from mainstem.connect.table_reader import TableReader
from mainstem.errors import ConnectError
from mainstem.records import field_hints, is_record_type
from mainstem.typecheck import show


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLook:
    """What was seen.

    Attributes:
        exists: Whether there is such a table.
        columns: The type of each column that can be written, by its name, as a statement has it.
        changes: What would be done to the table before rows are written to it.
        problems: Why the load, or every record, would be refused.
        notes: What else is worth knowing of how records and table fit.
        refusal: Why the database would not let its user write; empty if it would.
        fields: The names of the records' fields, if they are known.
    """

    exists: bool
    columns: Mapping[str, str]
    changes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refusal: str = ""
    fields: tuple[str, ...] | None = None


def look_at_table(
    reader: TableReader[C], where: str, new_columns: list[C] | None, record_type: type[Any] | None
) -> TableLook:
    """Look at a table.

    Args:
        reader: What looks at it.
        where: The database, for error messages.
        new_columns: The columns for the sink's own record type, if it has one.
        record_type: What the records are, if it has none and that is known.
    """
    plan, dialect = reader.plan, reader.dialect
    problems: list[str] = []
    notes: list[str] = []
    wanted = new_columns
    if wanted is None and record_type is not None:
        try:
            wanted = _declared(dialect, record_type, plan.key)
        except TypeError as error:
            problems.append(str(error))
    there = reader.columns()
    diff: TableDiff[C] = TableDiff(reader, where, plan, new_columns)
    try:
        diff.prepare()
    except ConnectError as error:
        problems.append(str(error))
    changes = list(diff.changes.statements)
    if diff.changes.deletes:
        notes.append(f"the {diff.changes.deletes:,} rows that it has now are deleted")
    if there is None and new_columns is None:
        made = None if wanted is None else dialect.create_statement(plan.table, wanted, plan.key)
        changes.append(made or "the table is made, with columns for what the first records hold")
    elif there is not None and wanted is not None:
        added, misfit = _fit(diff, dialect, plan, there, wanted)
        changes += added
        problems += [each for each in misfit if not any(each in problem for problem in problems)]
        notes += _differences(reader, there, wanted)
    if there is not None and diff.changes.not_tried:
        notes.append(f"it has {', '.join(diff.changes.not_tried)}: what they do shows when rows are written")
    return TableLook(
        exists=there is not None,
        columns={each.name: reader.declared(each) for each in there or ()},
        changes=tuple(changes),
        problems=tuple(problems),
        notes=tuple(notes),
        refusal=reader.refusal(is_new=there is None),
        fields=None if wanted is None else tuple(each.name for each in wanted),
    )


def _declared(dialect: Dialect[C], record_type: type[Any], key: Sequence[str]) -> list[C] | None:
    """Return the columns for a record type; ``None`` if its fields are not known."""
    if record_type is not dict and not is_record_type(record_type):
        raise TypeError(
            f"records must be mappings, or of a record type as a dataclass, and {show(record_type)} is none"
        )
    model = None if record_type is dict else record_type
    hints = None if model is None else field_hints(model)
    return None if not hints else [dialect.declare(name, hint, key) for name, hint in hints.items()]


def _fit(
    diff: TableDiff[C], dialect: Dialect[C], plan: TablePlan, there: Sequence[C], wanted: Sequence[C]
) -> tuple[list[str], list[str]]:
    """Return what would be done to the columns of a table for such records, and why they would be refused."""
    known = {each.name for each in there}
    new = [each for each in wanted if each.name not in known]
    if plan.on_new_column == "add" and plan.model is None:
        added = [f"ALTER TABLE {quoted(plan.table)} ADD COLUMN {_added(dialect, each)}" for each in new]
        problem = diff.problem_with([each.name for each in wanted if each.name in known])
        return added, [problem] if problem else []
    problem = diff.problem_with([each.name for each in wanted])
    if problem and new and plan.on_new_column == "fail":
        problem += "; on_new_column='fail' ends the run there"
    return [], [problem] if problem else []


def _added(dialect: Dialect[C], column: C) -> str:
    return f"{quoted(column.name)} {dialect.declaration(column).removesuffix(' NOT NULL')}".rstrip()


def _differences(reader: TableReader[C], there: Sequence[C], wanted: Sequence[C]) -> list[str]:
    """Say which columns are of other types than would be made for the records, and which the records have not."""
    now = {each.name: reader.declared(each).removesuffix(" NOT NULL") for each in there}
    notes: list[str] = []
    for column in wanted:
        made = reader.declared(column).removesuffix(" NOT NULL")
        if column.name in now and now[column.name].lower() != made.lower():
            notes.append(
                f"column {column.name!r} is {now[column.name] or 'without a type'}, where one that is made for these "
                f"records would be {made or 'without a type'}: values that it would change are rejected"
            )
    left = [each.name for each in there if each.name not in {column.name for column in wanted}]
    if left:
        notes.append(f"columns that the records have not keep their default: {', '.join(map(repr, left))}")
    return notes
