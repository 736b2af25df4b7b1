"""The columns of a table: what is the same in every database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, LiteralString, NewType, Protocol, TypeVar, Union, get_args, get_origin

from mainstem.errors import ConnectError


class TableColumn(Protocol):
    """A column of a table, as far as every database has it."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def needed(self) -> bool:
        """Whether a record must have it."""
        ...


C = TypeVar("C", bound=TableColumn)


class Dialect(Protocol[C]):
    """What differs from database to database, and is a module for each: its names, its columns and their types."""

    def check_identifier(self, what: str, name: object) -> None:
        """Raise ``ValueError`` if something cannot be the name of a table or column."""
        ...

    def declare(self, name: str, hint: Any, key: Sequence[str]) -> C:
        """Return the column for a field with that annotation, or raise ``TypeError``."""
        ...

    def infer(self, name: str, values: Iterable[Any], key: Sequence[str]) -> C:
        """Return the column for such values, or raise ``TypeError``."""
        ...

    def create_statement(self, table: str, columns: Sequence[C], key: Sequence[str]) -> str:
        """Return the statement that makes a table."""
        ...

    def declaration(self, column: C) -> str:
        """Return a column's type and whether it takes NULL, as a statement has them."""
        ...

    def find_columns(self, connection: Any, table: str, key: Sequence[str]) -> list[C] | None:
        """Return the columns of a table that can be written; ``None`` if there is no such table."""
        ...


def check_identifier(what: str, name: object) -> None:
    """Check that something can be the name of a table or column.

    Raises:
        ValueError: If it is no text, is empty, or has NUL or half a surrogate pair in it.
    """
    if not isinstance(name, str) or not name or "\0" in name:
        raise ValueError(f"{what} must be a text that is not empty and has no NUL character in it, not {name!r:.200}")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"{what} has half a surrogate pair in it, which UTF-8 cannot hold: {name!r:.200}") from None


def key_of(key: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the key columns.

    Raises:
        ValueError: If one is named twice.
    """
    names = (key,) if isinstance(key, str) else tuple(key or ())
    if len(set(names)) != len(names):
        raise ValueError(f"the key names a column twice: {names!r}")
    return names


def quoted(name: str) -> str:
    """Return a name as an SQL identifier, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def check_key(table: str, columns: Sequence[TableColumn], key: Sequence[str]) -> None:
    """Check that a table has the columns of its key.

    Raises:
        ConnectError: If it lacks one.
    """
    names = [each.name for each in columns]
    for name in key:
        if name not in names:
            raise ConnectError(
                f"table {table!r} has no column {name!r}, which is to be its key; its columns are "
                f"{', '.join(map(repr, names))}"
            )


def members_of(hint: Any) -> Iterable[Any]:
    """Return the classes, and in place of ``Literal`` the classes of its values, that an annotation is made of.

    ``object`` stands for a type variable.
    """
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return [each for member in get_args(hint) for each in members_of(member)]
    if origin is Literal:
        return [member for value in get_args(hint) for member in members_of(type(value))]
    if isinstance(hint, NewType):
        return members_of(hint.__supertype__)
    if hint is LiteralString:
        return [str]
    if isinstance(hint, TypeVar):
        return [object]
    return [NoneType if hint is None else origin or hint]
