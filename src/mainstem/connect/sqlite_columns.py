"""Tables of SQLite: their names, their columns, and which column takes which values."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import Any
from uuid import UUID

from mainstem.connect.rows import class_of
from mainstem.connect.table_columns import check_identifier as check_identifier  # which is as SQLite has it
from mainstem.connect.table_columns import check_key, members_of, quoted
from mainstem.errors import ConnectError


class Affinity(Enum):
    """What SQLite turns values into when it stores them in a column.

    Source: "Determination Of Column Affinity" in SQLite's "Datatypes In SQLite".
    """

    TEXT = "numbers become text"
    NUMERIC = "texts that look like numbers, and whole floats, become numbers and integers"
    INTEGER = "as NUMERIC"
    REAL = "numbers become floats"
    BLOB = "nothing changes"

    @classmethod
    def of(cls, declared: str) -> Affinity:
        """Return the affinity of a column that was declared with that type."""
        kind = declared.upper()
        for affinity, parts in (
            (cls.INTEGER, ("INT",)),
            (cls.TEXT, ("CHAR", "CLOB", "TEXT")),
            (cls.BLOB, ("BLOB",)),
            (cls.REAL, ("REAL", "FLOA", "DOUB")),
        ):
            if any(part in kind for part in parts):
                return affinity
        return cls.NUMERIC if kind else cls.BLOB


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name.
        declared: Its declared type; may be empty.
        nullable: Whether it takes ``None``.
        key: Whether it is part of the key, which is never ``None``.
        needed: Whether a record must have it.
    """

    name: str
    declared: str
    nullable: bool = True
    key: bool = False
    needed: bool = False

    @property
    def affinity(self) -> Affinity:
        """What SQLite does to values in it."""
        return Affinity.of(self.declared)


_DECLARED: dict[type, str] = {
    bool: "BOOLEAN",
    int: "INTEGER",
    float: "REAL",
    str: "TEXT",
    bytes: "BLOB",
    datetime: "TEXT",
    date: "TEXT",
    time: "TEXT",
    Decimal: "TEXT",
    UUID: "TEXT",
}


def declare(name: str, hint: Any, key: Sequence[str]) -> Column:
    """Return the column for a field with that annotation.

    Raises:
        TypeError: If values of that type cannot be stored unchanged.
    """
    kinds: set[type[Any]] = set()
    for member in members_of(hint):
        if member in (Any, object):
            kinds |= {NoneType, object}
        elif isinstance(member, type) and issubclass(member, Enum):
            values: list[Any] = [each.value for each in member]
            kinds |= set(map(type, values))
        elif isinstance(member, type):
            kinds.add(member)
        else:
            raise TypeError(f"field {name!r} has an annotation that is no type: {member!r}")
    unknown = [kind for kind in kinds - {NoneType, object} if not _declared_as(kind)]
    if unknown:
        raise TypeError(
            f"field {name!r} has the type {unknown[0].__name__}, which SQLite cannot hold unchanged: "
            f"turn it into a text or number before, or leave it out"
        )
    return Column(name, _declared_for(kinds), NoneType in kinds and name not in key, name in key)


def _declared_as(kind: type[Any]) -> str:
    if kind in _DECLARED:
        return _DECLARED[kind]
    return next((_DECLARED[base] for base in (int, float, str) if issubclass(kind, base)), "")


def _declared_for(kinds: set[type[Any]]) -> str:
    """Return the declared type for values of several classes: none at all, which changes nothing, where they differ."""
    found = {_declared_as(kind) for kind in kinds if kind is not NoneType}
    if found == {"INTEGER", "REAL"}:
        return "REAL"
    if found == {"BOOLEAN", "INTEGER"}:
        return "INTEGER"
    return found.pop() if len(found) == 1 else ""


def infer(name: str, values: Iterable[Any], key: Sequence[str]) -> Column:
    """Return the column for such values; what cannot be stored is passed over."""
    kinds: set[type[Any]] = set()
    for value in values:
        while issubclass(class_of(value), Enum):
            value = value.value
        if _declared_as(class_of(value)):
            kinds.add(class_of(value))
    return Column(name, _declared_for(kinds), name not in key, name in key)


def declaration(column: Column) -> str:
    """Return a column's type and whether it takes NULL."""
    return " ".join(filter(None, (column.declared, "" if column.nullable else "NOT NULL")))


def create_statement(table: str, columns: Sequence[Column], key: Sequence[str]) -> str:
    """Return the statement that makes a table."""
    parts = [f"{quoted(each.name)} {declaration(each)}".rstrip() for each in columns]
    if key:
        parts.append(f"PRIMARY KEY ({', '.join(map(quoted, key))})")
    return f"CREATE TABLE {quoted(table)} ({', '.join(parts)})"


def find_columns(connection: sqlite3.Connection, table: str, key: Sequence[str]) -> list[Column] | None:
    """Return the columns of a table that can be written; ``None`` if there is no such table.

    Raises:
        ConnectError: If it is a view, or lacks a column of the key.
    """
    found = connection.execute(
        "SELECT type FROM sqlite_master WHERE name = ? COLLATE NOCASE AND type IN ('table', 'view')", (table,)
    ).fetchone()
    if found is None:
        return None
    if found[0] == "view":
        raise ConnectError(f"{table!r} is a view, and records are written to tables: name its table")
    described = connection.execute(
        'SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_xinfo(?) WHERE hidden = 0', (table,)
    ).fetchall()
    numbered = [declared.upper() for _, declared, _, _, pk in described if pk] == ["INTEGER"]
    columns = [
        Column(
            name,
            declared,
            nullable=not notnull,
            key=bool(pk) or name in key,
            needed=name in key or (bool(notnull) and default is None and not (pk and numbered)),
        )
        for name, declared, notnull, default, pk in described
    ]
    check_key(table, columns, key)
    return columns
