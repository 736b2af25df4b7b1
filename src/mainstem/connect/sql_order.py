"""The order of a query's rows, and positions in it: how many rows come before, or the last key that was read."""

from __future__ import annotations

import math
import re
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

from mainstem.connect.query_source import Parameters
from mainstem.connect.rows import class_of, shown
from mainstem.connect.table_columns import quoted
from mainstem.endpoints import Position
from mainstem.errors import ConnectError


class UndecodedText(bytes):
    """A text of the database that is not in its encoding."""


class RowOrder(ABC):
    """The order of the rows in one read.

    Args:
        url: The database, for error messages.
        query: The query.
        parameters: Values for its placeholders.
        start: Where to begin.

    Attributes:
        query: The query that gives the rows in this order.
        parameters: Values for its placeholders.
        row: How many rows come before the next.
        passed_over: How many rows of the query must be passed over to begin with.
    """

    def __init__(self, url: str, query: str, parameters: Parameters, start: Position | None) -> None:
        self.url = url
        self.query = query
        self.parameters = parameters
        self.row: int = 0 if start is None else _row_of(start)
        self.passed_over: int = 0

    @abstractmethod
    def begin(self, connection: sqlite3.Connection) -> sqlite3.Cursor:
        """Run the query.

        Raises:
            ConnectError: If it cannot be gone on with from the start.
            sqlite3.Error: If the database failed.
        """

    @abstractmethod
    def check_names(self, names: Sequence[str]) -> None:
        """See that the order can be had of rows with these columns.

        Raises:
            ConnectError: If not.
        """

    @abstractmethod
    def go_on(self, rows: Sequence[Sequence[Any]]) -> Position:
        """Count the next rows, and return the position after them.

        Raises:
            ConnectError: If it would be none to begin at.
        """


class CountedRows(RowOrder):
    """The rows as the query gives them; positions are numbers of rows."""

    def __init__(self, url: str, query: str, parameters: Parameters, start: Position | None) -> None:
        super().__init__(url, query, parameters, start)
        if start is not None and "key" in start:
            raise ConnectError(f"{start!r} is the position of a source with a key, and this one has none: give key=")
        self.passed_over = self.row

    def begin(self, connection: sqlite3.Connection) -> sqlite3.Cursor:
        return connection.execute(self.query, self.parameters)

    def check_names(self, names: Sequence[str]) -> None:
        pass  # any will do

    def go_on(self, rows: Sequence[Sequence[Any]]) -> Position:
        self.row += len(rows)
        return {"row": self.row}


class KeyedRows(RowOrder):
    """The rows in the order of a key; positions are values of it, and rows up to there are not looked at again.

    Args:
        key: The key's columns.

    Source: keyset pagination, the "seek method" of Markus Winand's "Use The Index, Luke".
    """

    def __init__(
        self, url: str, query: str, parameters: Parameters, start: Position | None, key: Sequence[str]
    ) -> None:
        super().__init__(url, query, parameters, start)
        self._key = key
        self._indexes: list[int] = []
        self._last: tuple[Any, ...] | None = None if start is None or self.row == 0 else _values_of(start, len(key))
        # BINARY, so that what is equal here is equal there; qualified, because SQLite takes an unknown name for a text.
        columns = ", ".join(f'"query".{quoted(name)} COLLATE BINARY' for name in key)
        # On lines of its own, because the query may end with a comment.
        rows = f'FROM (\n{query.rstrip().rstrip(";")}\n) AS "query"'
        if self._last is not None:
            names, self.parameters = _with_values(parameters, self._last)
            self._same = f"SELECT 1 {rows} WHERE ({columns}) = ({', '.join(names)}) LIMIT 2"
            rows += f" WHERE ({columns}) > ({', '.join(names)})"
        self.query = f"SELECT * {rows} ORDER BY {columns}"

    def begin(self, connection: sqlite3.Connection) -> sqlite3.Cursor:
        # A row that came in the next chunk would be left out now.
        if self._last is not None and len(connection.execute(self._same, self.parameters).fetchall()) > 1:
            raise self._twice(self._last)
        return connection.execute(self.query, self.parameters)

    def check_names(self, names: Sequence[str]) -> None:
        lowered = {name.lower() for name in names}
        for name in names:  # of two columns of one name in parentheses SQLite calls the second "name:1"
            repeated = re.fullmatch(r"(.+):[0-9]+", name, re.DOTALL)
            if repeated and repeated[1].lower() in lowered:
                raise ConnectError(
                    f"{self.url}: the query names column {repeated[1]!r} more than once: rename one with AS"
                )
        for name in self._key:
            if name not in names:
                raise ConnectError(
                    f"{self.url}: the query has no column {name!r}, which is to be its key; "
                    f"its columns are {', '.join(map(repr, names))}"
                )
        self._indexes = [names.index(name) for name in self._key]

    def go_on(self, rows: Sequence[Sequence[Any]]) -> Position:
        keys = [tuple(row[index] for index in self._indexes) for row in rows]
        if self._last is not None:
            keys.insert(0, self._last)
        for name, values in zip(self._key, zip(*keys, strict=True), strict=True):
            self._check_values(name, values)
        if len(set(keys)) < len(keys):  # equal ones follow one another
            raise self._twice(next(after for before, after in pairwise(keys) if before == after))
        self._last = keys[-1]
        self.row += len(rows)
        return {"row": self.row, "key": [_to_json(value) for value in self._last]}

    def _check_values(self, name: str, values: Sequence[Any]) -> None:
        kinds = {_KINDS.get(class_of(value), "") for value in values}
        problem = ""
        if class_of(None) in map(type, values):
            problem = "is NULL"
        elif class_of(UndecodedText()) in map(type, values):
            problem = "is a text that is not in the database's encoding"
        elif len(kinds) > 1:
            problem = f"is of more than one type ({' and '.join(sorted(kinds))})"
        elif "number" in kinds and not all(map(math.isfinite, values)):
            problem = "is infinite"
        if problem:
            raise ConnectError(
                f"{self.url}: {name!r}, which is to be the key, {problem} in a row from row {self.row} on, and cannot "
                "say where to go on: leave such rows out, or give another key="
            )

    def _twice(self, key: tuple[Any, ...]) -> ConnectError:
        return ConnectError(
            f"{self.url}: more than one row has the key {shown(key)} in {', '.join(map(repr, self._key))}, and reading "
            "could not go on between them: give key= the columns that no two rows share"
        )


_KINDS = {int: "number", float: "number", str: "text", bytes: "bytes"}


def _with_values(parameters: Parameters, values: Sequence[Any]) -> tuple[list[str], Parameters]:
    """Return placeholders for the values, and the parameters with them."""
    if not isinstance(parameters, Mapping):
        return ["?"] * len(values), [*parameters, *values]
    stem = "mainstem_key"
    while any(name.startswith(stem) for name in parameters):
        stem += "_"
    named = {f"{stem}{at}": value for at, value in enumerate(values)}
    return [f":{name}" for name in named], {**parameters, **named}


def _to_json(value: Any) -> Any:
    return {"bytes": value.hex()} if isinstance(value, bytes) else value


def _row_of(position: Position) -> int:
    row = position.get("row")
    if type(row) is not int or row < 0:
        raise ConnectError(f"{position!r} is no position in the rows of a query: it needs row")
    return row


def _values_of(position: Position, count: int) -> tuple[Any, ...]:
    values: Any = position.get("key")
    if not isinstance(values, list) or len(cast("list[Any]", values)) != count:  # type: ignore[redundant-cast]
        raise ConnectError(f"{position!r} is no position in the rows of a query with a key of {count} columns")
    try:
        return tuple(map(_from_json, cast("list[Any]", values)))  # type: ignore[redundant-cast]
    except (KeyError, TypeError, ValueError) as error:
        raise ConnectError(f"{position!r} is no position in the rows of a query: {error!r}") from error


def _from_json(value: Any) -> Any:
    return bytes.fromhex(cast("Any", value)["bytes"]) if isinstance(value, dict) else value
