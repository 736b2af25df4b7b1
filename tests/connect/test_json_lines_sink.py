"""``JsonLinesSink``."""

from __future__ import annotations

import json
from collections import namedtuple
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import msgspec
import pydantic
import pytest
from tests.connect.reading import load, load_with_errors, refusal_of

from mainstem import ValidationError
from mainstem.connect import JsonLinesSink


class Colour(Enum):
    RED = "red"
    PLACE = (1, 2)


class Shade(str, Enum):
    DARK = "dark"


class Level(IntEnum):
    HIGH = 9


@dataclass
class Point:
    x: int
    tags: list[str] = field(default_factory=list)


class Struct(msgspec.Struct):
    x: int
    inner: Point | None = None


class Model(pydantic.BaseModel, extra="allow"):
    x: int


Pair = namedtuple("Pair", "a b")
CYCLE: list[Any] = []
CYCLE.append(CYCLE)


def written(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().decode().split("\n")[:-1]]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (0.1, 0.1),
        (10**30, 10**30),
        ("é\n\u2028\0😀", "é\n\u2028\0😀"),
        (datetime(2024, 5, 1, 12, tzinfo=timezone(timedelta(hours=2))), "2024-05-01T12:00:00+02:00"),
        (date(2024, 5, 1), "2024-05-01"),
        (time(12, 30, 0, 5), "12:30:00.000005"),
        (Decimal("1.10"), "1.10"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Colour.RED, "red"),
        (Colour.PLACE, [1, 2]),
        (Shade.DARK, "dark"),
        (Level.HIGH, 9),
        ((1, (2,)), [1, [2]]),
        (Pair(1, 2), [1, 2]),
        ({"b": {"a": [{"c": date(2024, 5, 1)}]}}, {"b": {"a": [{"c": "2024-05-01"}]}}),
        ({Shade.DARK: 1}, {"dark": 1}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        ([Point(1, ["t"])], [{"x": 1, "tags": ["t"]}]),
        (Struct(1, Point(2)), {"x": 1, "inner": {"x": 2, "tags": []}}),
        (Model(x=1, more=2), {"x": 1, "more": 2}),  # pyright: ignore[reportCallIssue]
    ],
    ids=repr,
)
def test_how_values_are_written(tmp_path: Path, value: Any, expected: Any) -> None:
    load(JsonLinesSink(tmp_path / "w"), [{"a": value}, {"a": 0}])
    assert written(tmp_path / "w") == [{"a": expected}, {"a": 0}]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (float("nan"), "JSON"),
        ([float("-inf")], "JSON"),
        (b"x", "bytes has no form in JSON: b'x'"),
        ({1}, "set has no form in JSON"),
        (object(), "object has no form in JSON"),
        (timedelta(1), "timedelta has no form in JSON"),
        ({1: 2}, "a key in JSON is a text, and 1 is int"),
        ({None: 2}, "a key in JSON is a text, and None is NoneType"),
        ([({"a": {True: 1}},)], "a key in JSON is a text, and True is bool"),
        (MappingProxyType({2.5: 1}), "a key in JSON is a text, and 2.5 is float"),
        (Point(1, [{3: 4}]), "a key in JSON is a text, and 3 is int"),  # type: ignore[list-item]
        ("\udfff", "half of a surrogate pair"),
        ({"\ud800": 1}, "half of a surrogate pair"),
        (10**5000, "digits"),
        (CYCLE, "nested too deep"),
    ],
    ids=lambda each: each if isinstance(each, str) and each.isascii() else type(each).__name__,
)
def test_what_json_would_change_is_rejected(tmp_path: Path, value: Any, problem: str) -> None:
    rows = [{"a": 1}, {"a": value}, {"a": 3}]
    _, errors = load_with_errors(JsonLinesSink(tmp_path / "w", continue_on_error=True), rows)
    assert [index for index, _, _ in errors] == [1]
    assert problem in errors[0][2]
    assert written(tmp_path / "w") == [{"a": 1}, {"a": 3}]
    assert isinstance(refusal_of(JsonLinesSink(tmp_path / "w"), rows).error, ValidationError)


def test_records_need_not_have_the_same_keys(tmp_path: Path) -> None:
    load(JsonLinesSink(tmp_path / "w"), [{"a": 1}, {"b": 2}, {}, Point(3), Struct(4)])
    assert written(tmp_path / "w") == [{"a": 1}, {"b": 2}, {}, {"x": 3, "tags": []}, {"x": 4, "inner": None}]


def test_a_line_is_a_record_whatever_is_in_it(tmp_path: Path) -> None:
    load(JsonLinesSink(tmp_path / "w"), [{"a": "1\n2\r3\u2028"}] * 3)
    assert (tmp_path / "w").read_bytes().count(b"\n") == 3


def test_its_name_and_target(tmp_path: Path) -> None:
    sink = JsonLinesSink(tmp_path / "w", name="visits")
    assert (sink.name, sink.target) == ("visits", str(tmp_path / "w"))
