"""Which rows the constraints of a table of DuckDB refuse, found before they are inserted.

After any error DuckDB goes on with nothing of the transaction, and it has no savepoints: so rows are not tried, but
asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mainstem.connect.duckdb_columns import Column
from mainstem.connect.table_columns import quoted
from mainstem.connect.table_plan import TablePlan

if TYPE_CHECKING:
    import duckdb

CHUNK = "mainstem_chunk"
ORDER = "mainstem_order"

_HERE = "database_name = current_database() AND schema_name = current_schema() AND lower(table_name) = lower(?)"
_CONSTRAINTS = f"""
    SELECT constraint_type, constraint_text, expression, constraint_column_names, referenced_table,
           referenced_column_names
    FROM duckdb_constraints() WHERE {_HERE}
"""
_INDEXES = f"SELECT index_name, expressions FROM duckdb_indexes() WHERE {_HERE} AND is_unique"


@dataclass(frozen=True, slots=True)
class Check:
    """A constraint.

    Attributes:
        described: What it says, for error messages.
        query: Gives the numbers of the rows, among those at hand, that it refuses.
    """

    described: str
    query: str


def checks_of(
    connection: duckdb.DuckDBPyConnection, plan: TablePlan, all_columns: Sequence[Column], columns: Sequence[Column]
) -> list[Check]:
    """Return the constraints of a table, in the order in which rows are to be held against them.

    Args:
        connection: A connection.
        plan: What is to be done.
        all_columns: All columns of the table.
        columns: Those that rows have.
    """
    written = {each.name for each in columns}
    rows = _rows(all_columns, written)
    plain: list[Check] = []
    unique: list[Check] = []
    found = connection.execute(_CONSTRAINTS, [plan.table]).fetchall()
    for kind, text, expression, names, other, other_names in found:
        if kind == "CHECK":
            plain.append(Check(text, f"SELECT {ORDER} FROM ({rows}) AS r WHERE NOT ({expression})"))
        elif kind == "FOREIGN KEY" and set(names) <= written:
            plain.append(Check(text, _foreign(rows, names, other, other_names)))
        elif kind in ("PRIMARY KEY", "UNIQUE") and set(names) <= written:
            unique += _unique(plan, rows, text, list(map(quoted, names)), list(map(quoted, names)), set(names))
    for name, expressions in connection.execute(_INDEXES, [plan.table]).fetchall():
        parts = _expressions(expressions)
        unique += _unique(plan, rows, f"unique index {name}", parts, parts, set())
    return [*plain, *unique]


def _rows(all_columns: Sequence[Column], written: set[str]) -> str:
    """Return a query that gives the rows at hand as they will be in the table, with defaults in the other columns."""
    parts = [
        f"CAST({quoted(each.name) if each.name in written else each.default or 'NULL'} AS {each.declared}) "
        f"AS {quoted(each.name)}"
        for each in all_columns
    ]
    return f"SELECT {ORDER}, {', '.join(parts)} FROM {CHUNK}"


def _expressions(text: str) -> list[str]:
    """Return the expressions of an index, from a text such as ``[a, '(lower(b))']``."""
    inner = text.strip()[1:-1]
    parts: list[str] = []
    depth, quote, start = 0, "", 0
    for at, character in enumerate(inner):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "," and depth == 0:
            parts.append(inner[start:at])
            start = at + 1
    parts.append(inner[start:])
    return [part.strip()[1:-1].replace("''", "'") if part.strip()[:1] == "'" else part.strip() for part in parts]


def _foreign(rows: str, names: Sequence[str], other: str, other_names: Sequence[str]) -> str:
    pairs = zip(names, other_names, strict=True)
    same = " AND ".join(f"o.{quoted(theirs)} = r.{quoted(ours)}" for ours, theirs in pairs)
    given = " AND ".join(f"r.{quoted(name)} IS NOT NULL" for name in names)
    return (
        f"SELECT {ORDER} FROM ({rows}) AS r WHERE {given} "
        f"AND NOT EXISTS (SELECT 1 FROM {quoted(other)} AS o WHERE {same})"
    )


def _unique(
    plan: TablePlan, rows: str, text: str, ours: Sequence[str], theirs: Sequence[str], names: set[str]
) -> list[Check]:
    """Return the checks that no row is there already with such values, and that no earlier one at hand has them."""
    upserts = plan.mode == "upsert"
    if upserts and names == set(plan.key):
        return []
    values = ", ".join(ours)
    mine = ", ".join(f"v{at}" for at in range(len(ours)))
    named = ", ".join(f"{each} AS v{at}" for at, each in enumerate(ours))
    stored = ", ".join(f"{each} AS v{at}" for at, each in enumerate(theirs))
    key = "".join(f", {quoted(each)} AS k{at}" for at, each in enumerate(plan.key)) if upserts else ""
    keys = " AND ".join(f"o.k{at} = r.k{at}" for at in range(len(plan.key))) if upserts else ""
    same = " AND ".join(f"o.v{at} = r.v{at}" for at in range(len(ours)))
    there = (
        f"SELECT {ORDER} FROM (SELECT {ORDER}, {named}{key} FROM ({rows})) AS r WHERE EXISTS (SELECT 1 FROM "
        f"(SELECT {stored}{key} FROM {quoted(plan.table)}) AS o WHERE {same}{f' AND NOT ({keys})' if keys else ''})"
    )
    given = " AND ".join(f"v{at} IS NOT NULL" for at in range(len(ours)))
    twice = (
        f"SELECT {ORDER} FROM (SELECT {ORDER}, {named} FROM ({rows})) AS r WHERE {given} "
        f"QUALIFY row_number() OVER (PARTITION BY {mine} ORDER BY {ORDER}) > 1"
    )
    described = f"{text}: a row with the same ({values}) "
    return [Check(f"{described}is there", there), Check(f"{described}came before", twice)]


def refused(
    run: Callable[[str], list[tuple[Any, ...]]], checks: Sequence[Check], remove: Callable[[set[int]], None]
) -> dict[int, str]:
    """Return the numbers of the rows that the constraints refuse, and why.

    Args:
        run: Runs a query.
        checks: The constraints.
        remove: Takes rows away, so that they are in nobody's way.
    """
    problems: dict[int, str] = {}
    for check in checks:
        found = {row[0] for row in run(check.query)}
        if found:
            problems |= dict.fromkeys(found, check.described)
            remove(found)
    return problems
