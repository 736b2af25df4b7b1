"""Which values a column takes: exactly those that SQLite gives back as they were."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.connect.poison import RefusingFloat, RefusingInt, RefusingText

from mainstem import ValidationError
from mainstem.connect.column_values import store_rows
from mainstem.connect.sqlite_columns import Affinity, Column
from mainstem.connect.sqlite_values import SqliteValues, plain_value

DECLARED = ["TEXT", "INTEGER", "REAL", "NUMERIC", "BOOLEAN", "DATETIME", "BLOB", "", "VARCHAR(10)", "FLOATING POINT"]


class Level(IntEnum):
    HIGH = 9


class Shade(str, Enum):
    DARK = "dark"


class Odd(Enum):
    NOTHING = None
    LIST = [1]


class Float64(float):
    """As numpy's: a float and more."""


class Text(str):
    """As numpy's: a text and more."""


class Int64:
    """As numpy's: it can be used as an int, and is none."""

    def __index__(self) -> int:
        return 1

    __int__ = __index__


class Unfriendly:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __radd__(self, other: object) -> int:
        raise RuntimeError("no")


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        columns = ", ".join(f'"c{number}" {declared}' for number, declared in enumerate(DECLARED))
        connection.execute(f"CREATE TABLE t ({columns})")
        yield connection


def kept_by_sqlite(connection: sqlite3.Connection, declared: str, value: Any) -> bool:
    """Whether SQLite itself gives the value back as it was, in class and value; an int may become the equal float."""
    column = f"c{DECLARED.index(declared)}"
    connection.execute("DELETE FROM t")
    try:
        connection.execute(f"INSERT INTO t ({column}) VALUES (?)", (value,))
    except (OverflowError, UnicodeEncodeError):
        return False
    ((stored,),) = connection.execute(f"SELECT {column} FROM t").fetchall()
    same_class = type(stored) is type(value) or (isinstance(value, int) and type(stored) in (int, float))
    return same_class and stored == value and not (isinstance(value, bool) and isinstance(stored, float))


values = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.floats()
    | st.text(st.characters(codec=None), max_size=5)
    | st.from_regex(r"\A[ +-]?[0-9.]{0,3}(e[0-9])?[ \n]?\Z")
    | st.binary(max_size=5)
    | st.integers(-5, 5).map(float)
    | st.integers(2**53, 2**54)
)


@settings(deadline=None)  # files and databases take what time they take
@given(value=values, declared=st.sampled_from(DECLARED))
@example(value="a\0b", declared="TEXT")
@example(value=" 1 ", declared="NUMERIC")
@example(value="1e5", declared="DATETIME")
@example(value="0x10", declared="NUMERIC")
@example(value="\u0661", declared="NUMERIC")
@example(value=3.0, declared="FLOATING POINT")
@example(value=2**53 + 1, declared="REAL")
@example(value=1e300, declared="INTEGER")
@example(value=-0.0, declared="NUMERIC")
def test_no_value_is_taken_that_sqlite_would_change(connection: sqlite3.Connection, value: Any, declared: str) -> None:
    column = SqliteValues(Column("c", declared))
    try:
        stored = column.store(value)
    except ValidationError:
        return
    assert kept_by_sqlite(connection, declared, stored)
    assert stored == value
    assert type(stored) is type(value)


@settings(deadline=None)  # files and databases take what time they take
@given(value=values, declared=st.sampled_from(DECLARED))
def test_values_are_refused_only_where_sqlite_would_change_them(
    connection: sqlite3.Connection, value: Any, declared: str
) -> None:
    column = SqliteValues(Column("c", declared))
    try:
        column.store(value)
    except ValidationError:
        text_among_numbers = isinstance(value, str) and column._affinity in (Affinity.INTEGER, Affinity.REAL)
        large_whole_float = isinstance(value, float) and value.is_integer() and abs(value) >= 2**51
        assert (
            not kept_by_sqlite(connection, declared, value)
            or text_among_numbers
            or large_whole_float
            or (isinstance(value, str) and "\0" in value)
            or (isinstance(value, bool) and declared == "REAL")
        )


@settings(deadline=None)  # files and databases take what time they take
@given(column=st.lists(values, min_size=1, max_size=5), declared=st.sampled_from(DECLARED), key=st.booleans())
def test_a_column_at_once_is_the_same_as_value_by_value(column: list[Any], declared: str, key: bool) -> None:
    check = SqliteValues(Column("c", declared, key=key))
    one_by_one: list[Any] = []
    for value in column:
        try:
            one_by_one.append(check.store(value))
        except ValidationError:
            one_by_one.append(ValidationError)
    try:
        at_once: Any = list(check.store_all(tuple(column)))
    except ValidationError:
        assert ValidationError in one_by_one
        return
    for found, expected in zip(at_once, one_by_one, strict=True):
        if expected is ValidationError:
            # SQLite refuses these when they are bound, with the row known.
            assert found >= 2**63 or found < -(2**63) if isinstance(found, int) else has_surrogate(found)
        else:
            assert type(found) is type(expected)
            assert found == expected


def has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (Level.HIGH, 9),
        (Shade.DARK, "dark"),
        (Odd.NOTHING, None),
        (date(2024, 5, 1), "2024-05-01"),
        (datetime(2024, 5, 1), "2024-05-01T00:00:00"),
        (Decimal("1.10"), "1.10"),
        (Float64(1.5), 1.5),
        (Text("x"), "x"),
    ],
    ids=repr,
)
def test_forms_of_other_values(value: Any, stored: Any) -> None:
    plain = plain_value(value)
    assert (plain, type(plain)) == (stored, type(stored))


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        object(),
        timedelta(1),
        Odd.LIST,
        Int64(),
        bytearray(b"x"),
        1j,
        Unfriendly(),
        10**5000,
        type("D", (date,), {})(2024, 1, 1),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("declared", DECLARED)
def test_values_without_a_form_are_refused_with_column_value_and_type(value: Any, declared: str) -> None:
    rows = (
        [("x",), (value,), (None,)]
        if Affinity.of(declared) in (Affinity.TEXT, Affinity.BLOB)
        else [(1,), (value,), (None,)]
    )
    kept, failures = store_rows([SqliteValues(Column("the column", declared))], rows)
    if type(value) is int:  # known when it is bound
        kept, failures = [rows[0], rows[2]], [(1, failed(declared, value))]
    assert kept == [rows[0], rows[2]] or declared == "REAL"
    ((at, error),) = failures
    assert at == 1
    assert "column 'the column'" in str(error)
    assert f"({type(value).__name__})" in str(error)


def failed(declared: str, value: Any) -> Exception:
    with pytest.raises(ValidationError) as caught:
        SqliteValues(Column("the column", declared)).store(value)
    return caught.value


def test_a_column_of_numbers_that_adds_up_to_no_number_is_looked_at() -> None:
    check = SqliteValues(Column("c", "REAL"))
    assert check.store_all((math.inf, -math.inf, None)) == [math.inf, -math.inf, None]
    with pytest.raises(ValidationError, match="NULL"):
        check.store_all((1.0, math.nan, None))


def test_values_of_classes_of_their_own_are_stored_as_what_they_are_and_not_as_they_show_themselves() -> None:
    for declared, value, plain in (
        ("INTEGER", RefusingInt(5), 5),
        ("REAL", RefusingFloat(1.5), 1.5),
        ("TEXT", RefusingText("x"), "x"),
    ):
        stored = SqliteValues(Column("a", declared)).store(value)
        assert (type(stored), stored) == (type(plain), plain)
