"""What a sink writes, the source of the same kind gives back as it was."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.connect.reading import load, read

from mainstem.connect import CsvSink, CsvSource, JsonLinesSink, JsonLinesSource, SqlSource, TableSink


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Record:
    id: int
    name: str
    ratio: float
    price: Decimal
    new: bool
    day: date
    at: datetime
    code: UUID
    colour: Colour
    count: int | None
    share: float | None
    sold: date | None


zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
finite = st.floats(allow_nan=False, allow_infinity=False)
records = st.builds(
    Record,
    id=st.integers(-(2**63), 2**63 - 1),
    name=text,
    ratio=finite,
    price=st.decimals(allow_nan=False, allow_infinity=False, places=3),
    new=st.booleans(),
    day=st.dates(),
    at=st.datetimes(timezones=st.none() | zones),
    code=st.uuids(),
    colour=st.sampled_from(Colour),
    count=st.none() | st.integers(-(2**63), 2**63 - 1),
    share=st.none() | finite,
    sold=st.none() | st.dates(),
)
many = st.lists(records, max_size=6)


def exactly(found: list[Any]) -> list[list[tuple[type, Any, str]]]:
    """Records with the classes of their values, and decimals as they are written: 1 is not True, and 1.10 not 1.1."""
    return [
        [
            (type(value), value, str(value) if isinstance(value, Decimal) else "")
            for value in (getattr(record, field.name) for field in fields(Record))
        ]
        for record in found
    ]


@settings(deadline=None)  # files and databases take what time they take
@given(expected=many)
@pytest.mark.parametrize("name", ["r.csv", "r.csv.gz"])
def test_csv(tmp_path_factory: pytest.TempPathFactory, expected: list[Record], name: str) -> None:
    path = tmp_path_factory.mktemp("csv") / name
    load(CsvSink(path), expected)
    assert exactly(read(CsvSource(path, record_type=Record))) == exactly(expected)


@settings(deadline=None)  # files and databases take what time they take
@given(expected=many)
@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
def test_json_lines(tmp_path_factory: pytest.TempPathFactory, expected: list[Record], name: str) -> None:
    path = tmp_path_factory.mktemp("json") / name
    load(JsonLinesSink(path), expected)
    assert exactly(read(JsonLinesSource(path, record_type=Record))) == exactly(expected)


@settings(deadline=None)  # files and databases take what time they take
@given(expected=many)
def test_table(tmp_path_factory: pytest.TempPathFactory, expected: list[Record]) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('table') / 'r.db'}"
    load(TableSink(url, "records", record_type=Record), expected)
    assert exactly(read(SqlSource(url, "SELECT * FROM records ORDER BY rowid", record_type=Record))) == exactly(
        expected
    )


names = text.filter(lambda name: name and not name.startswith("\ufeff"))


@st.composite
def dicts(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> list[dict[str, Any]]:
    keys = draw(st.lists(names, min_size=1, max_size=4, unique_by=str.lower))
    return draw(st.lists(st.fixed_dictionaries(dict.fromkeys(keys, values)), max_size=5))


@settings(deadline=None)  # files and databases take what time they take
@given(expected=dicts(text))
def test_texts_as_csv(tmp_path_factory: pytest.TempPathFactory, expected: list[dict[str, Any]]) -> None:
    path = tmp_path_factory.mktemp("csv") / "r.csv"
    load(CsvSink(path), expected)
    assert read(CsvSource(path)) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(deadline=None)  # files and databases take what time they take
@given(expected=st.lists(st.dictionaries(st.text(st.characters(codec="utf-8")), json_values, max_size=4), max_size=5))
def test_any_json_as_json_lines(tmp_path_factory: pytest.TempPathFactory, expected: list[dict[str, Any]]) -> None:
    path = tmp_path_factory.mktemp("json") / "r.jsonl"
    load(JsonLinesSink(path), expected)
    assert read(JsonLinesSource(path)) == expected


plain = st.none() | st.integers(-(2**63), 2**63 - 1) | text | st.binary(max_size=4)


@settings(deadline=None)  # files and databases take what time they take
@given(expected=dicts(plain))
def test_values_of_mixed_classes_as_a_table(
    tmp_path_factory: pytest.TempPathFactory, expected: list[dict[str, Any]]
) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('table') / 'r.db'}"
    load(TableSink(url, "records"), expected)
    if expected:
        assert read(SqlSource(url, "SELECT * FROM records ORDER BY rowid")) == expected
