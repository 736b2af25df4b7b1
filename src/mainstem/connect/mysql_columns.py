"""Tables of MariaDB and MySQL: their names, their columns, and the columns that are made for fields of Python types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from mainstem.connect import table_columns
from mainstem.connect.made_columns import MadeColumns
from mainstem.connect.table_columns import check_key, quoted
from mainstem.errors import ConnectError

if TYPE_CHECKING:
    from mainstem.connect.mysql_session import Session

LONGEST_NAME = 64
"""Characters of an identifier."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name.
        kind: The name of its type, without length and the like.
        declared: Its type as a statement has it.
        nullable: Whether it takes ``None``.
        needed: Whether a record must have it.
        length: The most characters of a text, or bytes.
        octets: The most bytes, also of a text.
        charset: The character set of a text; empty if it is none.
        precision: The most digits, of a decimal.
        scale: How many of them are after the point.
        fraction: The most digits of a fraction of a second.
        unsigned: Whether a number is not negative.
    """

    name: str
    kind: str
    declared: str
    nullable: bool = True
    needed: bool = False
    length: int | None = None
    octets: int | None = None
    charset: str = ""
    precision: int | None = None
    scale: int = 0
    fraction: int = 0
    unsigned: bool = False


def check_identifier(what: str, name: object) -> None:
    """Check that something can be the name of a table or column, as it is.

    Raises:
        ValueError: If it is no text, is empty, too long, ends with a space, or has a character that names cannot have.
    """
    table_columns.check_identifier(what, name)
    text = str(name)
    if len(text) > LONGEST_NAME:
        raise ValueError(f"{what} has {len(text)} characters, and MariaDB takes {LONGEST_NAME}: {name!r:.200}")
    if text != text.rstrip() or any(ord(character) > 0xFFFF for character in text):
        raise ValueError(
            f"{what} ends with a space or has a character outside Unicode's basic plane, which MariaDB does not take: "
            f"{name!r:.200}"
        )


_TEXT = "longtext CHARACTER SET utf8mb4"
_KEY_LENGTH = 512
"""Characters, or bytes, of a text in a key; several share the 3072 bytes that an index may have."""
_MADE = MadeColumns[tuple[str, str]](
    {
        bool: ("tinyint", "tinyint(1)"),
        int: ("bigint", "bigint"),
        float: ("double", "double"),
        str: ("longtext", _TEXT),
        bytes: ("longblob", "longblob"),
        datetime: ("timestamp", "timestamp(6)"),
        date: ("date", "date"),
        time: ("time", "time(6)"),
        Decimal: ("decimal", "decimal(65,30)"),
        UUID: ("varchar", "varchar(36) CHARACTER SET ascii"),
    },
    naive=("datetime", "datetime(6)"),
    described=itemgetter(1),
)
_IN_KEYS = {
    "longtext": ("varchar", "varchar({}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
    "longblob": ("varbinary", "varbinary({})"),
}
_LIMITS: dict[str, dict[str, Any]] = {
    "datetime": {"fraction": 6},
    "timestamp": {"fraction": 6},
    "time": {"fraction": 6},
    "decimal": {"precision": 65, "scale": 30},
}


def declare(name: str, hint: Any, key: Sequence[str]) -> Column:
    """Return the column that is made for a field with that annotation.

    Raises:
        TypeError: If there is none that holds such values.
    """
    made, nullable = _MADE.declared(name, hint)
    return _column(name, made, nullable, key)


def infer(name: str, values: Iterable[Any], key: Sequence[str]) -> Column:
    """Return the column that is made for most of such values: those it does not take are refused one by one.

    Raises:
        TypeError: If there is none that holds any of them.
    """
    return _column(name, _MADE.inferred(name, values), True, key)


def _column(name: str, made: tuple[str, str], nullable: bool, key: Sequence[str]) -> Column:
    length = None
    if name in key and made[0] in _IN_KEYS:
        length = min(_KEY_LENGTH, 740 // len(key))
        kind, declared = _IN_KEYS[made[0]]
        made = kind, declared.format(length)
    return Column(name, *made, nullable=nullable and name not in key, length=length, **_LIMITS.get(made[0], {}))


def create_statement(table: str, columns: Sequence[Column], key: Sequence[str]) -> str:
    """Return the statement that makes a table."""
    parts = [f"{quoted(each.name)} {declaration(each)}" for each in columns]
    if key:
        parts.append(f"PRIMARY KEY ({', '.join(map(quoted, key))})")
    return f"CREATE TABLE {quoted(table)} ({', '.join(parts)}) ENGINE=InnoDB"


def declaration(column: Column) -> str:
    """Return a column's type and whether it takes NULL; a timestamp that does not say so changes by itself."""
    return f"{column.declared} {'NULL' if column.nullable else 'NOT NULL'}"


_FIND_TABLE = """
    SELECT t.table_type, coalesce(e.transactions, 'NO'), t.engine FROM information_schema.tables t
    LEFT JOIN information_schema.engines e ON e.engine = t.engine
    WHERE t.table_schema = DATABASE() AND t.table_name = %s
"""
_FIND_COLUMNS = """
    SELECT column_name, data_type, column_type, is_nullable, column_default, extra, character_maximum_length,
           character_octet_length, character_set_name, numeric_precision, numeric_scale, datetime_precision
    FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = %s ORDER BY ordinal_position
"""


def find_columns(connection: Session, table: str, key: Sequence[str]) -> list[Column] | None:
    """Return the columns of a table that can be written; ``None`` if there is no such table.

    Raises:
        ConnectError: If it is a view, keeps no transactions, or lacks a column of the key.
    """
    found = connection.rows(_FIND_TABLE, [table])
    if not found:
        return None
    ((kind, transactions, engine),) = found
    if kind != "BASE TABLE":
        raise ConnectError(f"{table!r} is no table but a view or the like: name its table")
    if transactions != "YES":
        raise ConnectError(
            f"table {table!r} is kept by {engine}, which cannot undo a load that fails: "
            f"ALTER TABLE {quoted(table)} ENGINE=InnoDB"
        )
    columns = [_described(row, key) for row in connection.rows(_FIND_COLUMNS, [table]) if "GENERATED" not in row[5]]
    check_key(table, columns, key)
    return columns


def _described(row: Sequence[Any], key: Sequence[str]) -> Column:
    name, kind, declared, nullable, default, extra, length, octets, charset, precision, scale, fraction = row
    has_default = default is not None or "auto_increment" in str(extra).lower()
    return Column(
        name,
        str(kind).lower(),
        str(declared),
        nullable=nullable == "YES",
        needed=name in key or (nullable != "YES" and not has_default),
        length=None if length is None else int(length),
        octets=None if octets is None else int(octets),
        charset=charset or "",
        precision=None if precision is None else int(precision),
        scale=int(scale or 0),
        fraction=int(fraction or 0),
        unsigned="unsigned" in str(declared).lower(),
    )
