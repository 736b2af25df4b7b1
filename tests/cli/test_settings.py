"""Values given with ``--set`` become arguments of the annotated types."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem.cli.settings import call_with_settings, listing, settings_of
from mainstem.cli.usage import UsageError

if TYPE_CHECKING:
    from nowhere import Unknown


class Color(Enum):
    RED = "r"
    DARK_BLUE = "b"


class Level(Enum):
    LOW = 1
    HIGH = 2


class Even:
    """A class of the user's that checks its text."""

    def __init__(self, text: str) -> None:
        if int(text) % 2:
            raise ValueError("an odd number")
        self.number = int(text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Even) and self.number == other.number

    __hash__ = None  # type: ignore[assignment]


def convert(hint: Any, *texts: str) -> Any:
    def function(x):  # type: ignore[no-untyped-def]
        return x

    function.__annotations__["x"] = hint
    return call_with_settings(function, [f"x={text}" for text in texts], "function()")


@pytest.mark.parametrize(
    ("hint", "texts", "value"),
    [
        (int, ["-5"], -5),
        (int, ["0x1f"], 31),
        (int, ["007"], 7),
        (float, ["1.5"], 1.5),
        (float, ["1e3"], 1000.0),
        (bool, ["yes"], True),
        (bool, ["false"], False),
        (str, [""], ""),
        (str, ["a=b, c"], "a=b, c"),
        (str, ["-x"], "-x"),
        (Any, ["3"], "3"),
        (object, ["3"], "3"),
        (Path, ["a/b"], Path("a/b")),
        (Path, ["-"], Path("-")),
        (Optional[int], ["3"], 3),  # noqa: UP045 - the old spelling is in use
        (int | None, ["none"], None),
        (int | str, ["x"], "x"),
        (list[int], ["1", "2"], [1, 2]),
        (list[int], ["1"], [1]),
        (list[int] | None, ["1", "2"], [1, 2]),
        (list, ["a"], ["a"]),
        (Sequence[str], ["a", "b"], ["a", "b"]),
        (set[int], ["1", "1"], {1}),
        (tuple[int, ...], ["1", "2"], (1, 2)),
        (tuple[int, str], ["1", "b"], (1, "b")),
        (Color, ["red"], Color.RED),
        (Color, ["DARK_BLUE"], Color.DARK_BLUE),
        (Color, ["dark-blue"], Color.DARK_BLUE),
        (Color, ["b"], Color.DARK_BLUE),
        (Level, ["2"], Level.HIGH),
        (list[Color], ["r", "dark-blue"], [Color.RED, Color.DARK_BLUE]),
        (Literal["fast", 3], ["fast"], "fast"),
        (Literal["fast", 3], ["3"], 3),
        (Literal[3, "fast"], ["fast"], "fast"),
        (datetime, ["2026-03-01T10:00:00+00:00"], datetime(2026, 3, 1, 10, tzinfo=timezone.utc)),
        (datetime, ["2026-03-01"], datetime(2026, 3, 1)),
        (date, ["2026-03-01"], date(2026, 3, 1)),
        (time, ["10:30"], time(10, 30)),
        (timedelta, ["90s"], timedelta(seconds=90)),
        (Decimal, ["1.10"], Decimal("1.10")),
        (UUID, ["12345678123456781234567812345678"], UUID("12345678-1234-5678-1234-567812345678")),
        (Annotated[int, "a note"], ["4"], 4),
        (Even, ["4"], Even("4")),
    ],
)
def test_a_value_is_converted_to_the_annotated_type(hint: Any, texts: list[str], value: Any) -> None:
    converted = convert(hint, *texts)
    assert converted == value
    assert type(converted) is type(value)


@pytest.mark.parametrize(
    ("hint", "texts", "message"),
    [
        (int, ["many"], "'--set x=many' does not convert to int"),
        (int, ["1.7"], "does not convert to int"),
        (int, [""], "does not convert to int"),
        (int, ["9" * 5000], "does not convert to int"),
        (float, ["x"], "does not convert to float"),
        (bool, ["maybe"], "does not convert to bool"),
        (int | None, ["x"], "does not convert to int | None"),
        (list[int], ["1", "x"], "'--set x=1 --set x=x' does not convert to list[int]: give --set x=... once for each"),
        (list[int], ["1,2"], "give --set x=... once for each item"),
        (tuple[int, str], ["1"], "does not convert to tuple[int, str]"),
        (Color, ["green"], "does not convert to Color: choose from red, dark-blue"),
        (Literal["fast", 3], ["slow"], "choose from fast, 3"),
        (Literal[3, "fast"], ["slow"], "choose from 3, fast"),
        (datetime, ["yesterday"], "does not convert to datetime"),
        (date, ["2026-13-01"], "does not convert to date"),
        (time, ["25:00"], "does not convert to time"),
        (Decimal, ["x"], "does not convert to Decimal"),
        (dict[str, int], ["x"], "does not convert to dict[str, int]"),
        (type(None), ["x"], "does not convert to NoneType"),
        (Even, ["3"], "does not convert to Even (ValueError: an odd number)"),
        (int, ["1", "2"], "--set x=... was given 2 times, and is one int"),
        (str, ["a", "b"], "--set x=... was given 2 times, and is one str"),
        (Color, ["red", "red"], "was given 2 times"),
    ],
)
def test_a_value_that_does_not_convert_is_wrong_usage(hint: Any, texts: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        convert(hint, *texts)
    assert message in str(caught.value)


@given(
    st.integers() | st.floats(allow_nan=False) | st.dates() | st.datetimes() | st.times() | st.decimals(allow_nan=False)
)
def test_every_value_comes_back_from_its_text(value: Any) -> None:
    text = value.isoformat() if isinstance(value, (date, time)) else str(value)
    assert convert(type(value), text) == value


@given(
    st.text(), st.sampled_from([int, float, bool, date, datetime, time, Color, list[int], int | None, dict[str, int]])
)
def test_no_text_is_more_than_wrong_usage(text: str, hint: Any) -> None:
    with suppress(UsageError):
        convert(hint, text)


@given(st.text())
def test_text_stays_what_it_is(text: str) -> None:
    assert convert(str, text) == text


def test_without_an_annotation_the_default_tells_the_type() -> None:
    def function(limit=10, name="x", ratio=0.5, nothing=None, required=...):  # type: ignore[no-untyped-def]
        return limit, name, ratio, nothing

    given = ["limit=3", "name=4", "ratio=2", "nothing=5"]
    assert call_with_settings(function, given, "function()") == (3, "4", 2.0, "5")


def test_arguments_of_every_kind_can_be_set() -> None:
    def function(first: int, /, second: int = 2, *rest: int, third: int = 3, **more: int) -> Any:
        return first, second, rest, third, more

    call = functools.partial(call_with_settings, function, described="function()")
    assert call(["first=1", "third=5", "extra=6"]) == (1, 2, (), 5, {"extra": 6})
    assert call(["first=1", "second=9"]) == (1, 9, (), 3, {})
    with pytest.raises(UsageError, match=r"needs --set first=\.\.\."):
        call(["second=1"])
    with pytest.raises(UsageError, match="does not convert to int"):
        call(["first=1", "extra=x"])


def test_positional_arguments_can_be_set_out_of_order() -> None:
    def function(first: int = 1, second: int = 2, /) -> Any:
        return first, second

    assert call_with_settings(function, ["second=3"], "function()") == (1, 3)


def test_partials_and_callable_objects_have_settings() -> None:
    def function(first: int, second: int) -> int:
        return first - second

    class Callable:
        def __call__(self, number: Annotated[int, "one"]) -> int:
            return number

    assert call_with_settings(functools.partial(function, 5), ["second=3"], "function()") == 2
    assert call_with_settings(Callable(), ["number=3"], "function()") == 3
    assert call_with_settings(dict, [], "dict()") == {}


def test_annotations_that_exist_for_type_checkers_only_matter_when_they_are_set() -> None:
    def function(size: int = 1, unknown: Unknown = None) -> Unknown:
        return size

    assert settings_of(lambda size=1: size)["size"].hint is int
    with pytest.raises(UsageError, match=r"annotation Unknown of setting 'unknown' cannot be read: NameError"):
        call_with_settings(function, ["unknown=1"], "function()")
    assert call_with_settings(function, ["size=3"], "function()") == 3
    assert call_with_settings(function, [], "function()") == 1


@pytest.mark.parametrize("assignment", ["", "size", "=3", " =3"])
def test_what_is_no_assignment_is_wrong_usage(assignment: str) -> None:
    with pytest.raises(UsageError, match="--set takes name=value"):
        call_with_settings(lambda size: size, [assignment], "function()")


def test_an_unknown_name_lists_the_known_ones() -> None:
    def function(day: date, color: Color = Color.DARK_BLUE, folder: Path = Path("in"), at: time = time(1)) -> None: ...

    with pytest.raises(UsageError) as caught:
        call_with_settings(function, ["colour=red"], "flows:function()")
    assert str(caught.value).splitlines() == [
        "flows:function() has no setting 'colour'; did you mean 'color'?",
        "its settings:",
        "  day: date, required",
        "  color: Color (red, dark-blue) = dark-blue",
        "  folder: Path = in",
        "  at: time = 01:00:00",
    ]
    assert listing({}) == "it has none"


def test_all_missing_arguments_are_named_at_once() -> None:
    with pytest.raises(UsageError, match=r"needs --set day=\.\.\. --set size=\.\.\.\n"):
        call_with_settings(lambda day, size, color=1: None, [], "function()")


def test_an_error_of_the_function_is_not_wrong_usage() -> None:
    def function(size: int) -> None:
        raise TypeError("mine")

    with pytest.raises(TypeError, match="mine"):
        call_with_settings(function, ["size=3"], "function()")
