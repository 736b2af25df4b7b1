"""``JsonLinesSource``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict

import msgspec
import pydantic
import pytest
from tests.connect.reading import failure_of, read, read_with_errors

from mainstem import ConnectError, MapStage, StageTypeError, ValidationError
from mainstem.connect import JsonLinesSource


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "r.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@dataclass
class Visit:
    page: str
    at: datetime | None = None


class VisitDict(TypedDict):
    page: str
    at: datetime


class VisitStruct(msgspec.Struct):
    page: str
    at: datetime | None = None


class VisitModel(pydantic.BaseModel):
    page: str
    at: datetime | None = None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"a": 1}\n{"b": [2.5, null, true, {"c": "d"}]}\n', [{"a": 1}, {"b": [2.5, None, True, {"c": "d"}]}]),
        ('{"a": 1}', [{"a": 1}]),
        ('\ufeff{"a": 1}\r\n{}\r\n', [{"a": 1}, {}]),
        ('\n \t\r\n{"a": 1}\n\n\n{"a": 2}\n\n', [{"a": 1}, {"a": 2}]),
        ('  {"a": 1}  \n', [{"a": 1}]),
        ('{"a": "\u2028\u0085é\\n\\u0000"}\n', [{"a": "\u2028\u0085é\n\0"}]),
        ('{"a": 123456789012345678901234567890, "b": 1E-400}\n', [{"a": 123456789012345678901234567890, "b": 0.0}]),
        ('{"a": {"x": 1}, "b": {"x": 2}}\n', [{"a": {"x": 1}, "b": {"x": 2}}]),
        ("", []),
        ("\n", []),
    ],
)
def test_what_a_file_holds(tmp_path: Path, content: str, expected: list[Any]) -> None:
    assert read(JsonLinesSource(write(tmp_path, content))) == expected


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not JSON: Expecting property name enclosed in double quotes at character 2"),
        ("nothing", "not JSON"),
        ('{"a": 1} {"a": 2}', "not JSON: Extra data at character 10"),
        ('{"a": NaN}', "NaN is not JSON: write null"),
        ('{"a": [-Infinity]}', "-Infinity is not JSON"),
        ('{"a": 1e999}', "the number 1e999 is too large for a float"),
        ('{"a": ' + "1" * 5000 + "}", "digits"),
        ('{"a": 1, "b": 2, "a": 1}', "the key 'a' is there more than once"),
        ('{"x": {"a": 1, "a": 2}}', "the key 'a' is there more than once"),
        ('{"a":' + "[" * 200_000 + "]" * 200_000 + "}", "nested too deep"),
        ('[{"a": 1}]', "a JSON array where an object is expected; is this a JSON file, and not JSON Lines?"),
        ('"a"', "a JSON string where an object is expected"),
        ("1", "a JSON number where"),
        ("1.5", "a JSON number where"),
        ("true", "a JSON boolean where"),
        ("null", "a JSON null where"),
        ('{"a": "\t"}', "not JSON: Invalid control character"),
    ],
    ids=lambda each: each[:25],
)
def test_a_bad_line_is_rejected_with_its_number_and_the_rest_is_read(tmp_path: Path, line: str, problem: str) -> None:
    path = write(tmp_path, f'{{"n": 1}}\n\n{line}\n{{"n": 2}}\n{line}')
    found, errors = read_with_errors(JsonLinesSource(path, continue_on_error=True))
    assert found == [{"n": 1}, {"n": 2}]
    assert [(index, record) for index, record, _ in errors] == [(1, line), (3, line)]
    assert errors[0][2].startswith(f"{path}, line 3: ")
    assert errors[1][2].startswith(f"{path}, line 5: ")
    assert problem in errors[0][2]
    error = failure_of(JsonLinesSource(path))
    assert isinstance(error, ConnectError)
    assert str(error) == errors[0][2]


def test_bytes_that_are_not_utf_8_are_rejected_as_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, b'{"a": "\xe9"}\n{"a": "x"}\n')
    found, errors = read_with_errors(JsonLinesSource(path, continue_on_error=True))
    assert found == [{"a": "x"}]
    assert [(index, record) for index, record, _ in errors] == [(0, b'{"a": "\xe9"}')]
    assert "line 1: byte 0xe9 is not valid UTF-8" in errors[0][2]


@pytest.mark.parametrize("kind", [Visit, VisitStruct, VisitModel])
def test_objects_are_parsed_into_a_record_type(tmp_path: Path, kind: type[Any]) -> None:
    path = write(tmp_path, '{"page": "/", "at": "2024-05-01T12:00:00Z"}\n{"page": "/a"}\n')
    found = read(JsonLinesSource(path, record_type=kind))
    assert found == [kind(page="/", at=datetime.fromisoformat("2024-05-01T12:00:00Z")), kind(page="/a")]


def test_objects_are_parsed_into_a_typed_dict(tmp_path: Path) -> None:
    path = write(tmp_path, '{"page": "/", "at": "2024-05-01T12:00:00Z"}\n')
    at = datetime.fromisoformat("2024-05-01T12:00:00Z")
    assert read(JsonLinesSource(path, record_type=VisitDict)) == [{"page": "/", "at": at}]


@pytest.mark.parametrize("kind", [Visit, VisitStruct, VisitModel, VisitDict])
def test_the_same_key_twice_is_an_error_for_every_record_type(tmp_path: Path, kind: type[Any]) -> None:
    path = write(tmp_path, '{"page": "/", "page": "/", "at": "2024-05-01T12:00:00Z"}\n')
    assert "more than once" in str(failure_of(JsonLinesSource(path, record_type=kind)))


def test_an_object_that_does_not_parse_is_rejected_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, '{"page": "/"}\n{"at": "2024-05-01T12:00:00Z"}\n{"page": [1]}\n')
    found, errors = read_with_errors(JsonLinesSource(path, record_type=Visit, continue_on_error=True))
    assert found == [Visit("/")]
    assert [index for index, _, _ in errors] == [1, 2]
    assert f"{path}, line 2: not a Visit: " in errors[0][2]
    assert isinstance(failure_of(JsonLinesSource(path, record_type=Visit)), ValidationError)


def test_the_record_type_is_known_when_stages_join() -> None:
    def length(text: str) -> int:
        return len(text)

    with pytest.raises(StageTypeError, match="Visit"):
        JsonLinesSource("r.jsonl", record_type=Visit) >> MapStage(length)
    with pytest.raises(StageTypeError, match="dict"):
        JsonLinesSource("r.jsonl") >> MapStage(length)
    with pytest.raises(TypeError, match="record_type of JsonLinesSource"):
        JsonLinesSource("r.jsonl", record_type=list)


def test_its_name_can_be_given() -> None:
    assert (JsonLinesSource("r").name, JsonLinesSource("r", name="visits").name) == ("JsonLinesSource", "visits")
