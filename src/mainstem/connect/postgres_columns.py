"""Tables of PostgreSQL: their names, their columns, and the columns that are made for fields of Python types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from mainstem.connect import table_columns
from mainstem.connect.made_columns import MadeColumns
from mainstem.connect.table_columns import check_key, quoted
from mainstem.errors import ConnectError

if TYPE_CHECKING:
    import psycopg

LONGEST_NAME = 63
"""Bytes of an identifier; PostgreSQL cuts off what is beyond, so two names might become one."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name.
        kind: The name of its type, as ``pg_type`` has it; of a domain, that of the type below it.
        declared: Its type as a statement has it.
        nullable: Whether it takes ``None``.
        needed: Whether a record must have it.
        length: The most characters it takes, of a ``varchar`` or ``char``.
        precision: The most digits, of a ``numeric``.
        scale: How many of them are after the point.
        fraction: The most digits of a fraction of a second, if they are limited.
        element: The name of the type of an array's elements.
    """

    name: str
    kind: str
    declared: str
    nullable: bool = True
    needed: bool = False
    length: int | None = None
    precision: int | None = None
    scale: int = 0
    fraction: int | None = None
    element: str | None = None


def check_identifier(what: str, name: object) -> None:
    """Check that something can be the name of a table or column, as it is.

    Raises:
        ValueError: If it is no text, is empty, too long, or has NUL or half a surrogate pair in it.
    """
    table_columns.check_identifier(what, name)
    length = len(str(name).encode("utf-8"))
    if length > LONGEST_NAME:
        raise ValueError(f"{what} has {length} bytes, and PostgreSQL cuts it off after {LONGEST_NAME}: {name!r:.200}")


_MADE = MadeColumns[tuple[str, str]](
    {
        bool: ("bool", "boolean"),
        int: ("int8", "bigint"),
        float: ("float8", "double precision"),
        str: ("text", "text"),
        bytes: ("bytea", "bytea"),
        datetime: ("timestamptz", "timestamp with time zone"),
        date: ("date", "date"),
        time: ("time", "time"),
        timedelta: ("interval", "interval"),
        Decimal: ("numeric", "numeric"),
        UUID: ("uuid", "uuid"),
        dict: ("jsonb", "jsonb"),
        list: ("jsonb", "jsonb"),
    },
    naive=("timestamp", "timestamp"),
    described=itemgetter(1),
)


def declare(name: str, hint: Any, key: Sequence[str]) -> Column:
    """Return the column that is made for a field with that annotation.

    Raises:
        TypeError: If there is none that holds such values.
    """
    made, nullable = _MADE.declared(name, hint)
    return Column(name, *made, nullable and name not in key)


def infer(name: str, values: Iterable[Any], key: Sequence[str]) -> Column:
    """Return the column that is made for most of such values: those it does not take are refused one by one.

    Raises:
        TypeError: If there is none that holds any of them.
    """
    return Column(name, *_MADE.inferred(name, values), name not in key)


def declaration(column: Column) -> str:
    """Return a column's type and whether it takes NULL."""
    return f"{column.declared}{'' if column.nullable else ' NOT NULL'}"


def create_statement(table: str, columns: Sequence[Column], key: Sequence[str]) -> str:
    """Return the statement that makes a table."""
    parts = [f"{quoted(each.name)} {declaration(each)}" for each in columns]
    if key:
        parts.append(f"PRIMARY KEY ({', '.join(map(quoted, key))})")
    return f"CREATE TABLE {quoted(table)} ({', '.join(parts)})"


def _limits(kind: str, modifier: int) -> dict[str, Any]:
    """Return the fields of a ``Column`` that a type modifier, as ``pg_attribute`` has it, says."""
    if modifier < 0:
        return {}
    if kind in ("varchar", "bpchar"):
        return {"length": modifier - 4}
    if kind == "numeric":
        return {"precision": modifier - 4 >> 16, "scale": ((modifier - 4 & 0x7FF) ^ 0x400) - 0x400}
    if kind in ("timestamp", "timestamptz", "time"):
        return {"fraction": modifier}
    if kind == "interval" and modifier & 0xFFFF != 0xFFFF:
        return {"fraction": modifier & 0xFFFF}
    return {}


_FIND = """
    SELECT c.relkind, a.attname, base.name, format_type(a.atttypid, a.atttypmod), a.attnotnull,
           a.atthasdef OR a.attidentity <> '', a.attgenerated <> '' OR a.attidentity = 'a', base.modifier, base.element
    FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN LATERAL (
        WITH RECURSIVE below (type, modifier) AS (
            SELECT a.atttypid, a.atttypmod
            UNION ALL
            SELECT d.typbasetype, d.typtypmod FROM below JOIN pg_type d ON d.oid = below.type WHERE d.typtype = 'd'
        )
        SELECT t.typname AS name, below.modifier, e.typname AS element
        FROM below JOIN pg_type t ON t.oid = below.type AND t.typtype <> 'd'
        LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
    ) base ON true
    WHERE c.oid = to_regclass(%s) ORDER BY a.attnum
"""


def find_columns(connection: psycopg.Connection[Any], table: str, key: Sequence[str]) -> list[Column] | None:
    """Return the columns of a table that can be written; ``None`` if there is no such table.

    Raises:
        ConnectError: If it is a view or the like, or lacks a column of the key.
    """
    rows = connection.execute(_FIND, (quoted(table),)).fetchall()
    if not rows:
        return None
    if rows[0][0] not in ("r", "p"):
        raise ConnectError(f"{table!r} is no table but a view or the like: name its table")
    columns: list[Column] = []
    for _, name, kind, declared, notnull, has_default, generated, modifier, element in rows:
        if name is None or generated:
            continue
        column = Column(
            name,
            kind,
            declared,
            nullable=not notnull,
            needed=name in key or (notnull and not has_default),
            element=element,
        )
        columns.append(replace(column, **_limits(element or kind, modifier)))
    check_key(table, columns, key)
    return columns
