"""Tables of DuckDB: their names, their columns, and the columns that are made for fields of Python types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from mainstem.connect.made_columns import MadeColumns
from mainstem.connect.table_columns import check_identifier as check_identifier  # which is as DuckDB has it
from mainstem.connect.table_columns import check_key, quoted
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


_MADE = MadeColumns[str](
    {
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
    },
    naive="TIMESTAMP",
    described=str,
)


def declare(name: str, hint: Any, key: Sequence[str]) -> Column:
    """Return the column that is made for a field with that annotation.

    Raises:
        TypeError: If there is none that holds such values.
    """
    made, nullable = _MADE.declared(name, hint)
    return Column(name, made, nullable and name not in key)


def infer(name: str, values: Iterable[Any], key: Sequence[str]) -> Column:
    """Return the column that is made for most of such values: those it does not take are refused one by one.

    Raises:
        TypeError: If there is none that holds any of them.
    """
    return Column(name, _MADE.inferred(name, values), name not in key)


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
