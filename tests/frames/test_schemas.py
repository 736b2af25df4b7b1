"""Schemas of dataframely and pandera as rules: the rows that they refuse are rejects, each with its reasons."""

from __future__ import annotations

from typing import Any

import dataframely as dy
import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem import MapStage, Pipeline, StageContractError
from mainstem.frames import FrameValidateStage
from mainstem.workers import Workers

pytestmark = pytest.mark.extras


class User(dy.Schema):
    id = dy.Int64(nullable=False, min=1)
    name = dy.String(nullable=True, max_length=3)


class UserModel(pa.DataFrameModel):
    id: int = pa.Field(ge=1)
    name: str = pa.Field(nullable=True, str_length={"max_value": 3})


MADE = pa.DataFrameSchema({"id": pa.Column(int, pa.Check.ge(1)), "name": pa.Column(str, nullable=True)}, name="Made")
EXPRESSIONS = {
    "id": pl.col("id").is_not_null() & (pl.col("id") >= 1),
    "name": pl.col("name").is_null() | (pl.col("name").str.len_chars() <= 3),
}
ROWS = pl.DataFrame({"id": [1, 0, None, 9], "name": ["a", "abcd", None, "bb"], "more": [1, 2, 3, 4]})


def checked(rules: Any, frame: pl.DataFrame, **options: Any) -> Any:
    stage = FrameValidateStage(rules, continue_on_error=True)
    return Pipeline[Any, Any]("checked").add_stage(stage).run(frame, **options)


def told(result: Any) -> list[tuple[int, Any, str]]:
    return [(each.index, each.record["id"], str(each.error)) for each in result.context.errors]


def test_the_rules_of_dataframely_are_the_reasons() -> None:
    result = checked(User, ROWS)
    assert result.data.rows() == [(1, "a", 1), (9, "bb", 4)]
    assert told(result) == [(1, 0, "id|min; name|max_length"), (2, None, "id|nullability")]


@pytest.mark.parametrize("schema", [UserModel, UserModel.to_schema()])
def test_the_checks_of_pandera_are_the_reasons(schema: Any) -> None:
    result = checked(schema, ROWS)
    assert result.data.rows() == [(1, "a", 1), (9, "bb", 4)]
    assert told(result) == [
        (1, 0, "id: greater_than_or_equal_to(1); name: str_length(None, 3)"),
        (2, None, "id: not_nullable"),
    ]


@given(
    st.lists(st.tuples(st.none() | st.integers(-2, 3), st.none() | st.sampled_from(["", "abc", "abcd"])), max_size=12),
    st.integers(1, 5),
)
def test_they_refuse_what_the_same_expressions_refuse(rows: list[Any], size: int) -> None:
    frame = pl.DataFrame(rows, schema={"id": pl.Int64, "name": pl.String}, orient="row")
    expected = checked(EXPRESSIONS, frame)
    for schema in (User, UserModel):
        result = checked(schema, frame)
        assert result.data.equals(expected.data)
        assert [each[:2] for each in told(result)] == [each[:2] for each in told(expected)]


@pytest.mark.parametrize("schema", [User, UserModel])
@pytest.mark.parametrize("frame", [ROWS.drop("name"), ROWS.with_columns(pl.col("id").cast(pl.String))])
def test_a_frame_of_other_columns_is_an_error_and_no_reject(schema: Any, frame: pl.DataFrame) -> None:
    result = checked(schema, frame)
    assert isinstance(result.error, StageContractError)
    assert result.context.errors == [] or result.context.errors[0].error is result.error


@pytest.mark.slow
@pytest.mark.parametrize("schema", [User, UserModel])
def test_schemas_go_to_worker_processes(schema: Any) -> None:
    frame = pl.concat([ROWS] * 1000)
    there = checked(schema, frame, workers=Workers(2, always=True))
    assert there.success, there.error
    assert there.data.equals(checked(schema, frame).data)
    assert len(there.context.errors) == 2000


class Keyed(dy.Schema):
    id = dy.Int64(primary_key=True)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (Keyed, "has a primary key"),
        (pa.DataFrameSchema({"id": pa.Column(int, unique=True)}), "says that values are unique"),
        (pa.DataFrameSchema({"id": pa.Column(int)}, unique=["id"]), "says that values are unique"),
        (pa.DataFrameSchema({"id": pa.Column(int, coerce=True)}), "changes values"),
        (pa.DataFrameSchema({"id": pa.Column(int)}, coerce=True), "changes values"),
        (int, "takes {reason: expression}, a Schema of dataframely"),
        (3, "takes {reason: expression}, a Schema of dataframely"),
    ],
)
def test_what_cannot_be_checked_row_by_row_is_refused(rules: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        FrameValidateStage(rules)


def test_a_stage_knows_its_line_though_pandera_has_its_hand_in_typing() -> None:
    stage = MapStage[int, int](abs)
    assert stage.made_at.startswith(f"{__file__}:")
