"""``CsvSink``."""

from __future__ import annotations

import csv
import gzip
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from datetime import date, datetime, time, timezone
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

from mainstem import ConnectError, ValidationError
from mainstem.connect import CsvSink


class Colour(Enum):
    RED = "red"
    NUMBER = 3


class Level(IntEnum):
    HIGH = 9


@dataclass
class Point:
    x: int
    y: float


class Model(pydantic.BaseModel, extra="allow"):
    x: int


class Pair(msgspec.Struct):
    x: int
    y: str


def written(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('a, "b"\r\n\u2028', 'a, "b"\r\n\u2028'),
        ("", ""),
        (None, ""),
        (True, "true"),
        (False, "false"),
        (12345678901234567890, "12345678901234567890"),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (float("inf"), "inf"),
        (datetime(2024, 5, 1, 12, 0, 0, 7, timezone.utc), "2024-05-01T12:00:00.000007+00:00"),
        (date(2024, 5, 1), "2024-05-01"),
        (time(12, 30), "12:30:00"),
        (Decimal("1.10"), "1.10"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Colour.RED, "red"),
        (Colour.NUMBER, "3"),
        (Level.HIGH, "9"),
    ],
    ids=repr,
)
def test_how_values_are_written(tmp_path: Path, value: Any, text: str) -> None:
    load(CsvSink(tmp_path / "w.csv"), [{"a": value, "b": "x"}])
    assert written(tmp_path / "w.csv") == [["a", "b"], [text, "x"]]


@pytest.mark.parametrize(
    "value", [b"x", [1], {}, {1}, object(), "a\0b", "\udc80", 10**5000], ids=lambda each: type(each).__name__
)
@pytest.mark.parametrize("others", ["x", 1, None, True])
def test_values_without_a_form_are_rejected_with_column_value_and_type(tmp_path: Path, value: Any, others: Any) -> None:
    rows = [{"a": others, "b": 1}, {"a": value, "b": 2}, {"a": others, "b": 3}]
    _, errors = load_with_errors(CsvSink(tmp_path / "w.csv", continue_on_error=True), rows)
    assert [index for index, _, _ in errors] == [1]
    assert "column 'a'" in errors[0][2]
    assert [row[1] for row in written(tmp_path / "w.csv")] == ["b", "1", "3"]


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({"a": 1, "b": 2, "c": 3}, "has 'c', which the file has not"),
        ({"a": 1}, "lacks 'b'"),
        ({"a": 1, "c": 3}, "has 'c', which the file has not and lacks 'b'; the columns are 'a', 'b'"),
        ({}, "lacks 'a', 'b'"),
        (Point(1, 2), "has 'x', 'y'"),
        (defaultdict(int, a=1), "lacks 'b'"),
    ],
    ids=repr,
)
def test_a_record_with_other_keys_is_rejected_and_named(tmp_path: Path, record: Any, problem: str) -> None:
    rows = [{"a": 1, "b": 2}, record, {"b": 4, "a": 3}]
    _, errors = load_with_errors(CsvSink(tmp_path / "w.csv", continue_on_error=True), rows)
    assert [index for index, _, _ in errors] == [1]
    assert problem in errors[0][2]
    assert written(tmp_path / "w.csv") == [["a", "b"], ["1", "2"], ["3", "4"]]
    assert isinstance(refusal_of(CsvSink(tmp_path / "w.csv"), rows).error, ValidationError)


@pytest.mark.parametrize(
    "record",
    [
        {"x": 1, "y": "2"},
        OrderedDict(x=1, y=2),
        MappingProxyType({"x": 1, "y": 2}),
        Pair(1, "2"),
        Model(x=1, y=2),  # pyright: ignore[reportCallIssue]
    ],
    ids=lambda each: type(each).__name__,
)
def test_records_are_mappings_or_of_a_record_type(tmp_path: Path, record: Any) -> None:
    load(CsvSink(tmp_path / "w.csv"), [record, record])
    assert written(tmp_path / "w.csv") == [["x", "y"], ["1", "2"], ["1", "2"]]


def test_records_of_several_kinds_may_mix(tmp_path: Path) -> None:
    load(CsvSink(tmp_path / "w.csv"), [Pair(1, "2"), {"y": "4", "x": 3}, Model(x=5, y=6)])  # pyright: ignore[reportCallIssue]
    assert written(tmp_path / "w.csv") == [["x", "y"], ["1", "2"], ["3", "4"], ["5", "6"]]


def test_a_model_with_a_field_more_loses_nothing(tmp_path: Path) -> None:
    rows = [Model(x=1, y=2), Model(x=3), Model(x=5, y=6, z=7)]  # pyright: ignore[reportCallIssue]
    _, errors = load_with_errors(CsvSink(tmp_path / "w.csv", continue_on_error=True), rows)
    assert [index for index, _, _ in errors] == [1, 2]
    _, errors = load_with_errors(CsvSink(tmp_path / "w.csv", continue_on_error=True), rows[1::-1])
    assert [index for index, _, _ in errors] == [1]


def test_columns_can_be_given(tmp_path: Path) -> None:
    load(CsvSink(tmp_path / "w.csv", columns=["b", "a"]), [{"a": 1, "b": 2}])
    assert written(tmp_path / "w.csv") == [["b", "a"], ["2", "1"]]
    load(CsvSink(tmp_path / "w.csv", columns=["b", "a"]), [])
    assert written(tmp_path / "w.csv") == [["b", "a"]]
    load(CsvSink(tmp_path / "w.csv", columns=["b"]), [{"b": ""}, {"b": None}])
    assert written(tmp_path / "w.csv") == [["b"], [""], [""]]


@pytest.mark.parametrize("columns", [[], ["a", ""], ["a", "b", "a"], ["\ufeffa"], ["a\0"], ["\ud800"]])
def test_columns_that_could_not_be_read_back_are_refused(tmp_path: Path, columns: list[str]) -> None:
    with pytest.raises(ValueError, match=r"column|NUL|surrogate"):
        CsvSink(tmp_path / "w.csv", columns=columns)
    if columns and len(set(columns)) == len(columns):
        assert refusal_of(CsvSink(tmp_path / "w.csv"), [dict.fromkeys(columns, 1)]).error


def test_a_wrong_delimiter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        CsvSink(tmp_path / "w.csv", delimiter=";;")


def test_another_delimiter(tmp_path: Path) -> None:
    load(CsvSink(tmp_path / "w.csv", delimiter=";"), [{"a": "1;2", "b": "3,4"}])
    assert (tmp_path / "w.csv").read_bytes() == b'a;b\r\n"1;2";3,4\r\n'


def test_a_packed_file_is_the_same_each_time(tmp_path: Path) -> None:
    load(CsvSink(tmp_path / "1.csv.gz"), [{"a": 1}])
    load(CsvSink(tmp_path / "2.csv.gz"), [{"a": 1}])
    assert gzip.decompress((tmp_path / "1.csv.gz").read_bytes()) == b"a\r\n1\r\n"
    assert (tmp_path / "1.csv.gz").read_bytes() == (tmp_path / "2.csv.gz").read_bytes()


def test_a_device_is_no_target() -> None:
    assert isinstance(refusal_of(CsvSink("/dev/null"), [{"a": 1}]).error, ConnectError)


def test_its_name_and_target(tmp_path: Path) -> None:
    sink = CsvSink(tmp_path / "w.csv", name="people")
    assert (sink.name, sink.target) == ("people", str(tmp_path / "w.csv"))
