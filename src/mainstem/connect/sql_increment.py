"""How far incremental reads of a query are: the greatest value of a column, and which rows that have it were read.

A position is the mark, which is the greatest value of the cursor column that was read, with the keys of the rows read
that have it. Reading goes on with the rows that have a greater value, and those that have the same and another key: a
row that comes later with the very same value is not lost, and none is read twice. So what goes on after a position in a
run and what goes on after the last run are the same.

Of more than ``MOST_KEYS`` rows with one value only the last key is kept, for rows come in the key's order, and how many
they were: if there are more of them later, the run fails, because nobody could say which are new.

Source: the cursors of dlt's incremental loading, whose state too holds the rows at the last value.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, time, timedelta
from itertools import takewhile
from typing import Any

from mainstem.connect.rows import class_of, shown
from mainstem.connect.sql_marks import Marks, row_value
from mainstem.endpoints import Position
from mainstem.errors import ConnectError
from mainstem.store.codec import decode, encode

MOST_KEYS = 1000
"""Keys of rows with one value that a position holds of a run; of more, the last."""
_MOST_CARRIED = 20_000
_PARTS = ("row", "mark", "seen", "last", "count", "of")


class Increment:
    """How far one incremental read is.

    Args:
        where: The database, for error messages.
        cursor: The cursor column.
        key: The key columns.
        position: Where it begins: one that ``to_position`` or ``first_position`` gave.

    Attributes:
        row: Rows of the run that were read.
    """

    def __init__(self, where: str, cursor: str, key: Sequence[str], position: Position) -> None:
        self._where, self._cursor, self._key = where, cursor, tuple(key)
        row = position.get("row")
        if type(row) is not int or row < 0 or position.get("of") != self._of:
            raise ConnectError(
                f"{position!r} is no position in the rows of this query by {cursor!r}: were the database, cursor= or "
                "key= changed? To begin anew, give since="
            )
        try:
            self._take(position)
        except Exception as error:
            raise ConnectError(f"{position!r} is no position in the rows of this query: {error}") from error
        self.row = row
        self._behind: tuple[Any, ...] | None = None
        """The mark, last key, count and other keys that it began with, if only the last key of many is known."""
        if self._last is not None and self._since is None:
            self._behind = (self._mark, self._last, self._count, set(self._carried))

    @property
    def _of(self) -> str:
        return encode((self._where, self._cursor, *self._key))

    def _take(self, position: Position) -> None:
        self._mark: Any = _decoded(position.get("mark"))
        self._since: Any = _decoded(position.get("since"))
        self._carried: set[tuple[Any, ...]] = {tuple(key) for key in _decoded(position.get("seen")) or ()}
        self._last: tuple[Any, ...] | None = _decoded(position.get("last"))
        self._count = int(position.get("count", 0))
        self._now: list[tuple[Any, ...]] = []

    def to_position(self) -> Position:
        """Return where it is, as plain JSON values."""
        position: dict[str, Any] = {"row": self.row, "of": self._of}
        if self._since is not None and self.row == 0:
            position["since"] = encode(self._since)
        if self._mark is not None:
            position["mark"] = encode(self._mark)
        if self._carried or self._now:
            position["seen"] = encode([*self._carried, *self._now])
        if self._last is not None:
            position |= {"last": encode(self._last), "count": self._count}
        return position

    def query(self, query: str, marks: Marks, *, binary: bool) -> str:
        """Return the query that gives the rows which are left, in order.

        Args:
            query: The query that gives all rows.
            marks: What adds values to its parameters.
            binary: Whether texts are to be compared by their bytes, and lists of keys written with VALUES: in SQLite.
        """
        since = self._mark if self._since is None else self._since
        if since is None:
            cursor, keys = self._columns(marks, binary)
            return f"SELECT * FROM {marks.rows(query)} ORDER BY {', '.join([cursor, *keys])}"
        first = marks.add(since)
        parts = self._seen(marks, binary) if self._since is None else []
        cursor, keys = self._columns(marks, binary)
        left = f"({cursor} >= {first} OR {cursor} IS NULL)"  # a NULL is an error, and not to be passed over
        for condition in parts:
            nothing = " OR ".join(f"{name} IS NULL" for name in keys)
            left += f" AND (NOT ({condition.format(cursor=cursor, key=row_value(keys))}) OR {nothing})"
        return f"SELECT * FROM {marks.rows(query)} WHERE {left} ORDER BY {', '.join([cursor, *keys])}"

    def recount(self, query: str, marks: Marks, *, binary: bool) -> tuple[str, int] | None:
        """Return a query that counts the rows at or below the last key that this began behind, and how many they were.

        ``None`` if it did not begin behind one.
        """
        if self._behind is None:
            return None
        value, last, count, carried = self._behind
        mark = marks.add(value)
        below = row_value([marks.add(each) for each in last])
        others = self._listed(marks, carried, binary)
        cursor, keys = self._columns(marks, binary)
        where = f"{cursor} = {mark} AND {row_value(keys)} <= {below}"
        if others:
            where += f" AND {row_value(keys)} NOT IN {others}"
        return f"SELECT count(*) AS number FROM {marks.rows(query)} WHERE {where}", count

    def _seen(self, marks: Marks, binary: bool) -> list[str]:
        """Return what is true of the rows with the mark's value that were read."""
        conditions: list[str] = []
        if self._last is not None:
            mark = marks.add(self._mark)
            last = row_value([marks.add(value) for value in self._last])
            conditions.append(f"{{cursor}} = {_braced(mark)} AND {{key}} <= {_braced(last)}")
        if self._carried:
            mark = marks.add(self._mark)
            listed = self._listed(marks, self._carried, binary)
            conditions.append(f"{{cursor}} = {_braced(mark)} AND {{key}} IN {_braced(listed)}")
        return conditions

    def _listed(self, marks: Marks, keys: Collection[tuple[Any, ...]], binary: bool) -> str:
        parts = [row_value([marks.add(value) for value in key]) for key in sorted(keys, key=encode)]
        if not parts:
            return ""
        return f"({'VALUES ' if binary and len(self._key) > 1 else ''}{', '.join(parts)})"

    def _columns(self, marks: Marks, binary: bool) -> tuple[str, list[str]]:
        names = [marks.name(name) + (" COLLATE BINARY" if binary else "") for name in (self._cursor, *self._key)]
        return names[0], names[1:]

    def see(self, names: Sequence[str], rows: Sequence[Any]) -> None:
        """Take note of the next rows.

        Raises:
            ConnectError: If they lack the columns, or have NULL or one value twice in them.
        """
        for name in (self._cursor, *self._key):
            if name not in names:
                raise ConnectError(
                    f"{self._where}: the query has no column {name!r}, which its rows are to be read by; its columns "
                    f"are {', '.join(map(repr, names))}"
                )
        if not rows:
            return
        cursor, key = names.index(self._cursor), [names.index(name) for name in self._key]
        for at in (cursor, *key):
            if any(row[at] is None for row in rows):
                raise ConnectError(
                    f"{self._where}: {names[at]!r} is NULL in a row from row {self.row} on, and rows are to be read by "
                    "it: fill it in, or leave such rows out in the query"
                )
        kinds = {class_of(row[cursor]) for row in rows}
        if self.row and self._mark is not None:
            kinds.add(class_of(self._mark))
        if len(kinds) > 1 and not kinds <= {int, float}:
            raise ConnectError(
                f"{self._where}: {self._cursor!r} is of more than one type "
                f"({', '.join(sorted(kind.__name__ for kind in kinds))}), and has no greatest value: cast it in the "
                "query"
            )
        self._go_on(rows, cursor, key)

    def _go_on(self, rows: Sequence[Any], cursor: int, key: Sequence[int]) -> None:
        final = rows[-1][cursor]
        at_final = [tuple(row[at] for at in key) for row in takewhile(lambda row: row[cursor] == final, reversed(rows))]
        at_final.reverse()
        if final != self._mark or self._since is not None:
            self._mark, self._since = final, None
            self._carried = set[tuple[Any, ...]]()
            self._now, self._last, self._count = [], None, 0
        together = [*self._now, *at_final]
        if len(set(together)) < len(together):
            raise ConnectError(
                f"{self._where}: two rows with {self._cursor!r} = {shown(final)} share a key "
                f"({', '.join(map(repr, self._key))}), and could not be told apart: give key= the columns that no two "
                "rows share"
            )
        self._now = together
        if len(together) > MOST_KEYS:
            self._last, self._count, self._now = together[-1], self._count + len(together), []
        if len(self._carried) > _MOST_CARRIED:
            raise ConnectError(
                f"{self._where}: more than {_MOST_CARRIED:,} rows came one by one with {self._cursor!r} = "
                f"{shown(final)}: a cursor with finer values is needed"
            )
        self.row += len(rows)


def first_position(
    where: str, cursor: str, key: Sequence[str], previous: Position | None, initial: Any, lag: timedelta
) -> Position:
    """Return where a new run begins.

    Args:
        where: The database.
        cursor: The cursor column.
        key: The key columns.
        previous: Where the last run ended; ``None`` if there was none.
        initial: The value from which on the first run reads; ``None`` for all rows.
        lag: How far before the mark reading begins.

    Raises:
        ConnectError: If the last run was of something else, or there is no such value before the mark.
    """
    of = encode((where, cursor, *key))
    if previous is None:
        return {"row": 0, "of": of, **({} if initial is None else {"mark": encode(initial)})}
    Increment(where, cursor, key, previous)
    position: dict[str, Any] = {part: previous[part] for part in _PARTS if part in previous} | {"row": 0}
    if lag and "mark" in position:
        # Kept beside the mark, which stays what it is if no row comes.
        position["since"] = encode(before(_decoded(position["mark"]), lag, where, cursor))
    return position


def before(mark: Any, lag: timedelta, where: str, cursor: str) -> Any:
    """Return the value of a cursor that lies so much before another: of a date, a time, or an ISO text of one.

    Raises:
        ConnectError: If the cursor is no time.
    """
    if isinstance(mark, datetime):
        return mark - lag
    if class_of(mark) is date:
        return (datetime.combine(mark, time()) - lag).date()
    if isinstance(mark, str):
        try:
            if len(mark) <= len("2026-01-01"):
                return before(date.fromisoformat(mark), lag, where, cursor).isoformat()
            return (datetime.fromisoformat(mark) - lag).isoformat(mark[10])
        except ValueError:
            pass
    raise ConnectError(
        f"{where}: lag= says how long before the mark reading begins, and {shown(mark)} in {cursor!r} is no time: "
        "leave lag out"
    )


def _decoded(text: Any) -> Any:
    return None if text is None else decode(str(text))


def _braced(text: str) -> str:
    """Return a text that ``str.format`` leaves as it is."""
    return text.replace("{", "{{").replace("}", "}}")
