"""``TableSink`` on PostgreSQL refuses what a column would round, cut off, pad or turn into another type."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal, localcontext
from enum import IntEnum
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.connect.poison import RefusingClass, RefusingInt, RefusingText

from mainstem import Pipeline
from mainstem.connect import TableSink

pytestmark = pytest.mark.extras


class Subclass(datetime):
    """A point in time that may hold more, as those of pandas do."""


class Level(IntEnum):
    HIGH = 3


@pytest.fixture
def connection(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_url, autocommit=True) as opened:
        yield opened


def load(url: str, records: list[Any]) -> Any:
    return Pipeline[list[Any], Any]("load").add_stage(TableSink(url, "t", continue_on_error=True)).run(records)


def stored(connection: psycopg.Connection[Any]) -> list[Any]:
    return [row[0] for row in connection.execute("SELECT v FROM t")]


@pytest.mark.parametrize(
    ("declared", "good", "bad", "reason"),
    [
        ("numeric(40, 6)", Decimal("1" * 34 + ".123456"), Decimal("1" * 22 + ".1234567"), "after the point"),
        ("numeric(40, 6)", Decimal("1.100000000000000000000000000000000000"), Decimal("1" * 35), "before the point"),
        ("numeric(5, -2)", 1200, 1234, "multiples of 100"),
        ("numeric(3, 5)", Decimal("0.00999"), Decimal("0.01"), "before the point"),
        ("char(3)", "abc", "ab", "add blanks"),
        ("char(3)", "abc", "abc ", "4 characters"),
        ("timestamp(0)", datetime(2026, 1, 1, 1, 1, 1), datetime(2026, 1, 1, 1, 1, 1, 999_999), "0 digits"),
        ("timestamp(3)", datetime(2026, 1, 1, 1, 1, 1, 123_000), datetime(2026, 1, 1, 1, 1, 1, 123_400), "3 digits"),
        ("time(2)", time(1, 2, 3, 120_000), time(1, 2, 3, 123_000), "2 digits"),
        ("interval(1)", timedelta(seconds=1.5), timedelta(seconds=1.25), "1 digits"),
        ("interval", timedelta(days=400_000, microseconds=1), 5, "timedelta"),
        ("interval day", None, timedelta(hours=5), "some parts"),
        ("timestamp", datetime(2026, 1, 1), Subclass(2026, 1, 1), "more than a datetime"),
        ("date", date(2026, 1, 1), datetime(2026, 1, 1), "values of date"),
        ("text[]", ["a", None, "é"], ["a", 1], "holds texts"),
        ("text[]", [], ["a\0"], "NUL"),
        ("int[]", [[1, 2], [3, 4]], [1, 2**31], "32 bits"),
        ("varchar(2)[]", ["ab"], ["abc"], "3 characters"),
        ("text[]", ["a"], "a", "holds lists"),
        ("short", "abc", "abcd", "4 characters"),
        ("short", "abc", 5, "holds texts"),
        ("shorter", "abc", "abc ", "4 characters"),
        ("cents", 3, 3.0, "holds integers"),
        ("cents", -1, -2, "check constraint"),
        ("money", None, "1.239", "rounds"),
        ("name", None, "x" * 64, "cuts off"),
        ("int", Level.HIGH, lambda: 5, "function"),
    ],
)
def test_what_a_column_would_change_is_refused(
    postgres_url: str, connection: psycopg.Connection[Any], declared: str, good: Any, bad: Any, reason: str
) -> None:
    connection.execute("CREATE DOMAIN short AS varchar(3)")
    connection.execute("CREATE DOMAIN shorter AS short")
    connection.execute("CREATE DOMAIN cents AS int8 CHECK (VALUE > -2)")
    connection.execute(f"CREATE TABLE t (v {declared})")
    result = load(postgres_url, [{"v": good}, {"v": bad}, {"v": good}])
    assert [each.index for each in result.context.errors] == [1]
    assert reason in str(result.context.errors[0].error)
    plain = int.__int__(good) if isinstance(good, int) else str.__str__(good) if isinstance(good, str) else good
    assert stored(connection) == [plain, plain]


@pytest.mark.parametrize(
    ("declared", "make", "plain", "make_bad", "reason"),
    [
        ("int", lambda: RefusingInt(5), 5, lambda: RefusingInt(2**40), "32 bits"),
        ("float8", lambda: RefusingInt(5), 5.0, lambda: RefusingInt(2**60 + 1), "another number"),
        ("text", lambda: RefusingText("a"), "a", lambda: RefusingText("\ud800"), "RefusingText"),
        ("int[]", lambda: [5], [5], lambda: [RefusingText("x")], "holds integers"),
    ],
)
def test_values_whose_class_hides_what_they_are_are_stored_as_what_they_are(
    postgres_url: str,
    connection: psycopg.Connection[Any],
    declared: str,
    make: Callable[[], Any],
    plain: Any,
    make_bad: Callable[[], Any],
    reason: str,
) -> None:
    connection.execute(f"CREATE TABLE t (v {declared})")
    result = load(postgres_url, [{"v": make()}, {"v": make_bad()}])
    assert [each.index for each in result.context.errors] == [1]
    assert reason in str(result.context.errors[0].error)
    assert stored(connection) == [plain]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9)))
def test_a_numeric_is_stored_as_it_is_or_refused(
    postgres_url: str, connection: psycopg.Connection[Any], values: list[Decimal]
) -> None:
    connection.execute("DROP TABLE IF EXISTS t")
    connection.execute("CREATE TABLE t (v numeric(12, 4))")
    with localcontext(prec=3):  # how precisely the user's own code counts has no say
        result = load(postgres_url, [{"v": value} for value in values])
    refused = {each.index for each in result.context.errors}
    assert stored(connection) == [value for at, value in enumerate(values) if at not in refused]
    for at in refused:
        value = values[at]
        assert abs(value) >= 10**8 or value * 10**4 != (value * 10**4).to_integral_value() or value != round(value, 4)


@pytest.mark.parametrize("make", [lambda: "x", object, RefusingClass, lambda: 1.5j, lambda: None])
@pytest.mark.parametrize("at", [0, 3, 6])
def test_a_table_is_made_for_most_of_the_first_records(
    postgres_url: str, connection: psycopg.Connection[Any], make: Callable[[], Any], at: int
) -> None:
    poison = make()
    records: list[Any] = [{"v": number} for number in range(7)]
    records[at] = {"v": poison}
    result = load(postgres_url, records)
    assert [each.index for each in result.context.errors] == ([] if poison is None else [at])
    expected: list[Any] = [number for number in range(7) if number != at]
    if poison is None:
        expected.insert(at, None)
    assert stored(connection) == expected


def test_a_table_is_not_made_for_values_that_say_nothing(postgres_url: str) -> None:
    result = load(postgres_url, [{"v": None}, {"v": object()}])
    assert "make the table before" in str(result.error)


def test_the_search_path_says_in_which_schema_a_table_is(
    postgres_url: str, connection: psycopg.Connection[Any]
) -> None:
    connection.execute("CREATE SCHEMA sales")
    assert load(f"{postgres_url}?options=-csearch_path%3Dsales", [{"v": 1}]).success
    assert connection.execute("SELECT v FROM sales.t").fetchall() == [(1,)]
