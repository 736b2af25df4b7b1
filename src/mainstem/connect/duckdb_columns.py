"""Tables of DuckDB: their names, their columns, and the columns that are made for fields of Python types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from mainstem.connect.rows import class_of
from mainstem.connect.table_columns import check_identifier as check_identifier  # which is as DuckDB has it
from mainstem.connect.table_columns import check_key, members_of, quoted
from mainstem.errors import ConnectError

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name.
        declared: Its type as a statement has it.
        nullable: Whether it takes ``None``.
        needed: Whether a record must have it.
        default: Its default as an expression; ``None`` if it has none.
    """

    name: str
    declared: str
    nullable: bool = True
    needed: bool = False
    default: str | None = None


_MADE: dict[type[Any], str] = {
    bool: "BOOLEAN",
    int: "BIGINT",
    float: "DOUBLE",
    str: "VARCHAR",
    bytes: "BLOB",
    datetime: "TIMESTAMP WITH TIME ZONE",
    date: "DATE",
    time: "TIME",
    timedelta: "INTERVAL",
    Decimal: "DECIMAL(38,18)",
    UUID: "UUID",
}
_NAIVE = "TIMESTAMP"


def declare(name: str, hint: Any, key: Sequence[str]) -> Column:
    """Return the column that is made for a field with that annotation.

    Raises:
        TypeError: If there is none that holds such values.
    """
    kinds: set[type[Any]] = set()
    for member in members_of(hint):
        if isinstance(member, type) and issubclass(member, Enum):
            kinds |= {class_of(each.value) for each in member}
        elif isinstance(member, type) and member is not object:
            kinds.add(member)
        else:
            raise TypeError(
                f"field {name!r} is annotated with {member!r}, for which no column can be made: say its type"
            )
    found: set[str] = set()
    for each in kinds - {NoneType}:
        made = _made_for(each)
        if made is None:
            raise TypeError(
                f"field {name!r} has the type {each.__name__}, for which no column can be made: turn it into a text or "
                "number before, or leave it out"
            )
        found.add(made)
    if found == {_MADE[int], _MADE[float]}:
        found = {_MADE[float]}
    if not found:
        raise TypeError(f"field {name!r} is always None, and no column can be made for it: make the table before")
    if len(found) > 1:
        raise TypeError(
            f"field {name!r} would need columns of several types ({', '.join(sorted(found))}): make the table before"
        )
    return Column(name, found.pop(), NoneType in kinds and name not in key)


def infer(name: str, values: Iterable[Any], key: Sequence[str]) -> Column:
    """Return the column that is made for most of such values: those it does not take are refused one by one.

    Raises:
        TypeError: If there is none that holds any of them.
    """
    made = Counter[str]()
    for value in values:
        while issubclass(class_of(value), Enum):
            value = value.value
        found = _made_for(class_of(value))
        if found == _MADE[datetime] and value.tzinfo is None:
            found = _NAIVE
        if found is not None:
            made[found] += 1
    if not made:
        raise TypeError(
            f"no value of field {name!r} says what column is to be made for it: make the table before, or give "
            "record_type="
        )
    best = _MADE[float] if set(made) == {_MADE[int], _MADE[float]} else made.most_common(1)[0][0]
    return Column(name, best, name not in key)


def _made_for(kind: type[Any]) -> str | None:
    if kind in _MADE:
        return _MADE[kind]
    return next((made for base, made in _MADE.items() if issubclass(kind, base)), None)


def declaration(column: Column) -> str:
    """Return a column's type and whether it takes NULL."""
    return f"{column.declared}{'' if column.nullable else ' NOT NULL'}"


def create_statement(table: str, columns: Sequence[Column], key: Sequence[str]) -> str:
    """Return the statement that makes a table."""
    parts = [f"{quoted(each.name)} {declaration(each)}" for each in columns]
    if key:
        parts.append(f"PRIMARY KEY ({', '.join(map(quoted, key))})")
    return f"CREATE TABLE {quoted(table)} ({', '.join(parts)})"


_HERE = "database_name = current_database() AND schema_name = current_schema()"
_FIND_VIEW = f"SELECT count(*) FROM duckdb_views() WHERE {_HERE} AND lower(view_name) = lower(?)"
_FIND = f"""
    SELECT column_name, data_type, is_nullable, column_default FROM duckdb_columns()
    WHERE {_HERE} AND lower(table_name) = lower(?) ORDER BY column_index
"""
_GENERATED = f"""
    SELECT sql FROM duckdb_tables() WHERE {_HERE} AND lower(table_name) = lower(?)
"""


def find_columns(connection: duckdb.DuckDBPyConnection, table: str, key: Sequence[str]) -> list[Column] | None:
    """Return the columns of a table that can be written; ``None`` if there is no such table.

    Raises:
        ConnectError: If it is a view, or lacks a column of the key.
    """
    ((views,),) = connection.execute(_FIND_VIEW, [table]).fetchall()
    if views:
        raise ConnectError(f"{table!r} is a view, and records are written to tables: name its table")
    rows = connection.execute(_FIND, [table]).fetchall()
    if not rows:
        return None
    ((sql,),) = connection.execute(_GENERATED, [table]).fetchall()
    columns = [
        Column(name, declared, nullable, name in key or (not nullable and default is None), default)
        for name, declared, nullable, default in rows
        if not _is_generated(name, sql or "")
    ]
    check_key(table, columns, key)
    return columns


def _is_generated(name: str, sql: str) -> bool:
    """Say whether a column is computed, which only the statement that made the table tells apart from a default."""
    import re

    named = rf'(?:{re.escape(quoted(name))}|(?<![\w"]){re.escape(name)}(?![\w"]))'
    return re.search(rf"{named}\s+[^,()]*(?:\([^()]*\))?[^,()]*\bGENERATED\s+ALWAYS\b", sql, re.IGNORECASE) is not None
