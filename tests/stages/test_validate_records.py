"""``ValidateRecordsStage``: check each record, and keep the bad ones aside with their reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

import anyio.lowlevel
import msgspec
import pydantic
import pytest

from mainstem import PipelineContext, StageKind, ValidateRecordsStage, ValidationError
from mainstem.endpoints import CHUNK_SIZE
from runs import check_accounts, errors_of, execute, pipeline_of, run, watch


def adult(age: int) -> bool | str:
    if age < 0:
        return False
    return age >= 18 or f"too young: {age}"


async def adult_later(age: int) -> bool | str:
    await anyio.lowlevel.checkpoint()
    return adult(age)


@pytest.mark.anyio
@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("validator", [adult, adult_later])
async def test_good_records_go_on_and_bad_ones_are_rejected_with_their_reason(validator: Any, concurrency: int) -> None:
    stage = ValidateRecordsStage(validator, continue_on_error=True, concurrency=concurrency)
    result = await execute(stage, data=[40, 7, 18, -1], entered=4)
    assert result.data == [40, 18]
    first, second = result.context.errors
    assert (first.index, first.record, str(first.error)) == (1, 7, "too young: 7")
    assert (second.index, second.record) == (3, -1)
    assert "adult" in str(second.error)
    assert "returned False" in str(second.error)
    assert all(isinstance(entry.error, ValidationError) for entry in result.context.errors)


def test_by_default_the_first_bad_record_fails_the_stage() -> None:
    result = run(ValidateRecordsStage(adult), data=[40, 7, 3, 50])
    assert errors_of(result.context) == [("ValidateRecordsStage", 1, "too young: 7")]
    assert (result.records_processed, result.records_failed) == (1, 1)
    assert any("at record 1, in adult (" in note for note in result.error.__notes__)


@pytest.mark.parametrize("answer", [None, 1, [], "", b"yes"], ids=repr)
def test_nothing_but_true_is_a_pass(answer: Any) -> None:
    result = run(ValidateRecordsStage(lambda _: answer, continue_on_error=True), data=["record"], entered=1)
    assert result.data == []
    assert isinstance(result.context.errors[0].error, ValidationError)


def test_positions_are_those_in_the_whole_input_fused_or_not() -> None:
    bad = [0, CHUNK_SIZE - 1, CHUNK_SIZE, 2 * CHUNK_SIZE + 1]

    def build() -> Any:
        return pipeline_of(ValidateRecordsStage(lambda at: at not in bad, continue_on_error=True))

    for pipeline in (build(), watch(build())):
        result = check_accounts(pipeline.run(range(2 * CHUNK_SIZE + 2)), 2 * CHUNK_SIZE + 2)
        assert [entry.index for entry in result.context.errors] == bad


@dataclass
class DataclassPerson:
    name: str
    age: int


class StructPerson(msgspec.Struct):
    name: str
    age: int


class ModelPerson(pydantic.BaseModel):
    name: str
    age: int


class TypedPerson(TypedDict):
    name: str
    age: int


@pytest.mark.parametrize("model", [DataclassPerson, StructPerson, ModelPerson])
def test_a_model_parses_each_record_and_reads_numbers_from_text(model: Any) -> None:
    data = [{"name": "Ada", "age": "36"}, {"name": "Bob"}, {"name": "Cy", "age": "old"}]
    result = run(ValidateRecordsStage(model, continue_on_error=True), data=data, entered=3)
    assert result.data == [model(name="Ada", age=36)]
    assert [(entry.index, entry.record) for entry in result.context.errors] == [(1, data[1]), (2, data[2])]
    for entry in result.context.errors:
        assert isinstance(entry.error, ValidationError)
        assert str(entry.error).startswith(f"not a {model.__name__}: ")
        assert entry.error.__cause__ is not None


def test_a_typed_dict_parses_too() -> None:
    result = run(ValidateRecordsStage(TypedPerson), data=[{"name": "Ada", "age": "36"}], entered=1)
    assert result.data == [{"name": "Ada", "age": 36}]


def test_a_record_that_is_one_of_the_model_already_goes_on_as_it_is() -> None:
    person = DataclassPerson("Ada", 36)
    assert run(ValidateRecordsStage(DataclassPerson), data=[person]).data[0] is person


def test_with_a_model_the_first_bad_record_fails_the_stage_by_default() -> None:
    result = run(ValidateRecordsStage(ModelPerson), data=[{"name": "Ada", "age": 1}, {}])
    assert isinstance(result.error, ValidationError)
    assert any("at record 1, in parse_ModelPerson" in note for note in result.error.__notes__)


@pytest.mark.parametrize("wrong", [int, str, dict, object], ids=lambda each: each.__name__)
def test_a_class_that_is_no_model_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"and {wrong.__name__} is another kind of class"):
        ValidateRecordsStage(wrong)


@pytest.mark.anyio
async def test_process_can_be_called_alone() -> None:
    context = PipelineContext()
    result = check_accounts(await ValidateRecordsStage(adult, continue_on_error=True).process([20, 2], context))
    assert (result.data, result.records_failed) == ([20], 1)
    assert errors_of(context) == [("ValidateRecordsStage", 1, "too young: 2")]


def test_it_is_elementwise_and_bears_its_name_in_both_forms() -> None:
    for stage in (ValidateRecordsStage(adult), ValidateRecordsStage(ModelPerson)):
        assert stage.kind is StageKind.ELEMENTWISE
        assert stage.name == "ValidateRecordsStage"
        assert isinstance(stage, ValidateRecordsStage)
    assert ValidateRecordsStage(adult, name="ages").name == "ages"


def test_it_keeps_the_type_of_the_records_or_gives_that_of_the_model() -> None:
    assert ValidateRecordsStage(adult).output_hint(list[int]) == list[int]
    assert ValidateRecordsStage(ModelPerson).output_hint(list[dict[str, str]]) == list[ModelPerson]
