"""Typed records: telling record types apart, parsing plain values, reading fields."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, Optional, TypedDict

import msgspec
import pydantic
import pytest
import typing_extensions

from mainstem import MissingExtraError, ValidationError
from mainstem.records import (
    field_hints,
    field_reader,
    is_record_type,
    parse_each,
    record_parser,
    text_record_parser,
)


@dataclass
class DataclassPoint:
    x: int
    y: float


class StructPoint(msgspec.Struct):
    x: int
    y: float


class ModelPoint(pydantic.BaseModel):
    x: int
    y: float


class TypedPoint(TypedDict):
    x: int
    y: float


class Tuple(NamedTuple):
    x: int


@dataclass
class Unresolved:
    x: Missing  # type: ignore[name-defined]  # noqa: F821
    y: int


CLASSES = [DataclassPoint, StructPoint, ModelPoint]
RECORD_TYPES = [*CLASSES, TypedPoint]


@pytest.mark.parametrize("kind", RECORD_TYPES)
def test_record_types_are_dataclasses_structs_models_and_typed_dicts(kind: Any) -> None:
    assert is_record_type(kind)


@pytest.mark.parametrize("other", [dict, int, Tuple, object, len, None, DataclassPoint(1, 2.0), list[int]], ids=repr)
def test_other_classes_and_objects_are_no_record_types(other: Any) -> None:
    assert not is_record_type(other)


@pytest.mark.parametrize("kind", RECORD_TYPES)
def test_a_mapping_is_parsed_and_numbers_are_read_from_text(kind: Any) -> None:
    parsed = record_parser(kind)({"x": "1", "y": "2.5"})
    fields = parsed if kind is TypedPoint else {"x": parsed.x, "y": parsed.y}
    assert fields == {"x": 1, "y": 2.5}


@pytest.mark.parametrize("kind", CLASSES)
def test_a_record_that_is_one_already_is_returned_as_it_is(kind: Any) -> None:
    record = kind(x=1, y=2.0)
    assert record_parser(kind)(record) is record


@pytest.mark.parametrize("wrong", [{"x": "one", "y": 2}, {"x": 1}, None, 42, []], ids=repr)
@pytest.mark.parametrize("kind", RECORD_TYPES)
def test_what_does_not_fit_is_a_validation_error_that_names_the_type(kind: Any, wrong: Any) -> None:
    with pytest.raises(ValidationError, match=f"^not a {kind.__name__}: ") as caught:
        record_parser(kind)(wrong)
    assert caught.value.__cause__ is not None


def test_a_parser_is_named_for_its_type() -> None:
    assert record_parser(ModelPoint).__name__ == "parse_ModelPoint"


@pytest.mark.parametrize("kind", RECORD_TYPES)
def test_fields_have_names_and_annotations_in_order(kind: Any) -> None:
    assert list((field_hints(kind) or {}).items()) == [("x", int), ("y", float)]


def test_an_annotation_that_cannot_be_resolved_is_any_and_other_classes_have_no_fields() -> None:
    assert field_hints(Unresolved) == {"x": Any, "y": Any}
    assert field_hints(int) is None


@pytest.mark.parametrize("kind", CLASSES)
def test_fields_of_a_record_are_read_as_a_mapping(kind: Any) -> None:
    assert field_reader(kind)(kind(x=1, y=2.0)) == {"x": 1, "y": 2.0}


def test_a_mapping_is_read_as_it_is() -> None:
    record = {"x": 1}
    assert field_reader(dict)(record) is record


def test_records_are_read_one_level_deep() -> None:
    @dataclass
    class Line:
        start: DataclassPoint

    point = DataclassPoint(1, 2.0)
    assert field_reader(Line)(Line(point))["start"] is point


def test_what_has_no_fields_is_refused() -> None:
    with pytest.raises(TypeError, match="a record must be a mapping or of a record type, and int is neither"):
        field_reader(int)


def test_a_model_with_fields_beyond_those_it_declares_is_read_with_them() -> None:
    class Open(pydantic.BaseModel, extra="allow"):
        x: int

    assert field_reader(Open)(Open(x=1, more=2)) == {"x": 1, "more": 2}


class ExtendedPoint(typing_extensions.TypedDict):
    x: int
    y: float


@pytest.mark.parametrize("kind", [DataclassPoint, ExtendedPoint])
def test_without_msgspec_pydantic_parses(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgspec", None)
    parse = record_parser(kind)
    assert parse({"x": "1", "y": "2.5"}) == parse({"x": 1, "y": 2.5})
    with pytest.raises(ValidationError, match=f"^not a {kind.__name__}: "):
        parse({"x": "one"})


def test_without_both_the_error_names_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgspec", None)
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(MissingExtraError, match=r"DataclassPoint needs .*pip install 'mainstem\[models\]'"):
        record_parser(DataclassPoint)


@dataclass
class DataclassRow:
    name: str | None
    age: int | None
    height: Optional[float]  # noqa: UP045
    weight: Annotated[float | None, "kg"]
    note: str = ""


class StructRow(msgspec.Struct, rename="upper"):
    age: int | None


class ModelRow(pydantic.BaseModel):
    age: int | None = pydantic.Field(validation_alias="Age")


def test_a_null_value_is_none_where_a_field_may_be_none_and_is_no_text() -> None:
    row = {"name": "", "age": "", "height": "", "weight": "", "note": ""}
    assert text_record_parser(DataclassRow, [""])(row) == DataclassRow("", None, None, None, "")
    assert row["age"] == "", "the row that was given stays as it is"
    assert text_record_parser(DataclassRow, ["NA", ""])({**row, "name": "NA", "age": "NA"}).age is None
    filled = {"name": "Ada", "age": "36", "height": "1.6", "weight": "50"}
    assert text_record_parser(DataclassRow, [""])(filled) == DataclassRow("Ada", 36, 1.6, 50.0)


def test_an_empty_text_is_found_under_the_name_that_the_field_has_in_the_data() -> None:
    assert text_record_parser(StructRow, [""])({"AGE": ""}) == StructRow(None)
    assert text_record_parser(ModelRow, [""])({"Age": ""}).age is None


def test_where_no_field_may_be_none_an_empty_text_is_a_text() -> None:
    with pytest.raises(ValidationError):
        text_record_parser(DataclassPoint, [""])({"x": "", "y": "1"})


@pytest.mark.parametrize("kind", [ValueError, StopIteration])
@pytest.mark.parametrize("bad", [{0}, {2}, {4}, {0, 1, 4}, set(), {0, 1, 2, 3, 4}], ids=str)
def test_each_value_is_parsed_once_and_failures_keep_their_position(bad: set[int], kind: type[Exception]) -> None:
    seen: list[int] = []

    def parse(value: int) -> str:
        seen.append(value)
        if value in bad:
            raise kind(value)
        return str(value)

    parsed, failures = parse_each(parse, range(5))
    assert seen == [0, 1, 2, 3, 4]
    assert parsed == [str(value) for value in range(5) if value not in bad]
    assert [position for position, _ in failures] == sorted(bad)
