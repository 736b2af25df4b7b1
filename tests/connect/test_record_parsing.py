"""Typed records out of texts, and many records at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Optional

import msgspec
import pydantic
import pytest

from mainstem.records import parse_each, text_record_parser


@dataclass
class Plain:
    a: int | None
    b: str | None = None
    c: Annotated[float | None, "note"] = 0.0
    d: Optional[int] = 1  # noqa: UP045 - the older way to say it
    e: Any = None
    f: int | str | None = None


def test_an_empty_text_is_none_only_where_none_may_stand_and_text_may_not() -> None:
    parse = text_record_parser(Plain, {""})
    cells = {"a": "", "b": "", "c": "", "d": "", "e": "", "f": ""}
    assert parse(cells) == Plain(a=None, b="", c=None, d=None, e="", f="")
    assert cells["a"] == ""  # what was given is not changed
    assert parse({"a": "7"}) == Plain(a=7)


class Renamed(msgspec.Struct, rename="camel"):
    user_age: int | None


class Aliased(pydantic.BaseModel):
    user_age: int | None = pydantic.Field(validation_alias="userAge")


class EitherName(pydantic.BaseModel, populate_by_name=True):
    user_age: int | None = pydantic.Field(alias="userAge")


@pytest.mark.parametrize("kind", [Renamed, Aliased, EitherName])
def test_names_are_those_of_the_data(kind: Any) -> None:
    assert text_record_parser(kind, {""})({"userAge": ""}).user_age is None


def test_either_name_of_a_field_will_do_where_the_model_takes_both() -> None:
    assert text_record_parser(EitherName, {""})({"user_age": ""}).user_age is None


def test_each_value_is_parsed_once_and_failures_keep_their_position() -> None:
    seen: list[str] = []

    def parse(value: str) -> int:
        seen.append(value)
        if value == "stop":
            raise StopIteration
        return int(value)

    parsed, failures = parse_each(parse, ["x", "1", "stop", "2", "y"])
    assert parsed == [1, 2]
    assert seen == ["x", "1", "stop", "2", "y"]
    assert [(at, type(error)) for at, error in failures] == [(0, ValueError), (2, RuntimeError), (4, ValueError)]
    assert parse_each(parse, []) == ([], [])
