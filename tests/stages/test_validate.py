"""``ValidateStage``: check the data as a whole."""

from __future__ import annotations

from typing import Any

import anyio.lowlevel
import pytest

from mainstem import PipelineContext, StageKind, ValidateStage, ValidationError, current_context
from runs import Abort, errors_of, execute, run

pytestmark = pytest.mark.anyio


def not_empty(numbers: list[int]) -> bool | str:
    return bool(numbers) or "nothing to do"


async def not_empty_later(numbers: list[int]) -> bool | str:
    await anyio.lowlevel.checkpoint()
    return not_empty(numbers)


@pytest.mark.parametrize("validator", [not_empty, not_empty_later])
async def test_true_passes_the_data_on_unchanged(validator: Any) -> None:
    data = [1, 2]
    result = await execute(ValidateStage(validator), data=data, entered=2)
    assert result.data is data


@pytest.mark.parametrize("validator", [not_empty, not_empty_later])
async def test_a_text_fails_and_is_the_errors_message(validator: Any) -> None:
    result = await execute(ValidateStage(validator), data=[])
    assert isinstance(result.error, ValidationError)
    assert errors_of(result.context) == [("ValidateStage", None, "nothing to do")]


def test_false_fails_and_names_the_validator() -> None:
    def is_good(data: object) -> bool:
        return False

    result = run(ValidateStage(is_good), data=[1, 2, 3], entered=3)
    assert isinstance(result.error, ValidationError)
    assert "is_good (" in str(result.error)
    assert "returned False" in str(result.error)
    assert result.records_failed == 3


class SaysItIsTrue:
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


@pytest.mark.parametrize(
    "answer", [None, 1, 0, [], ["x"], SaysItIsTrue(), b"text", 1.0], ids=lambda each: type(each).__name__
)
def test_any_other_answer_is_a_failure_that_says_so_and_never_a_pass(answer: Any) -> None:
    result = run(ValidateStage(lambda _: answer), data=[1])
    assert isinstance(result.error, ValidationError)
    assert f"returned {type(answer).__name__}; a validator returns True, False or a text" in str(result.error)


def test_an_empty_text_is_no_pass() -> None:
    assert isinstance(run(ValidateStage(lambda _: ""), data=[1]).error, ValidationError)


@pytest.mark.parametrize("kind", [KeyError, StopIteration, StopAsyncIteration])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_what_the_validator_raises_fails_the_stage(kind: type[Exception], is_async: bool) -> None:
    def check(data: object) -> bool:
        raise kind("id")

    async def check_later(data: object) -> bool:
        raise kind("id")

    result = await execute(ValidateStage(check_later if is_async else check), data=[1, 2], entered=2)
    assert not result.success
    assert len(result.context.errors) == 1


async def test_what_is_no_exception_passes_through() -> None:
    def abort(data: object) -> bool:
        raise Abort

    with pytest.raises(Abort):
        await execute(ValidateStage(abort), data=[1])


@pytest.mark.parametrize("data", [{"a": 1}, 42, None, "text", (1, 2)], ids=repr)
def test_the_data_may_be_anything(data: Any) -> None:
    seen: list[Any] = []

    def check(found: Any) -> bool:
        seen.append(found)
        return True

    assert run(ValidateStage(check), data=data).data is data
    assert seen == [data]


async def test_process_called_alone_gives_a_failed_result_and_does_not_raise() -> None:
    result = await ValidateStage(not_empty).process([], PipelineContext())
    assert (result.success, str(result.error)) == (False, "nothing to do")


def test_the_context_can_be_had_in_the_validator() -> None:
    stages: list[str | None] = []

    def check(data: object) -> bool:
        stages.append(current_context().current_stage)
        return True

    run(ValidateStage(check, name="gate"), data=[1])
    assert stages == ["gate"]


@pytest.mark.parametrize("wrong", [None, "text", 3], ids=repr)
def test_what_cannot_be_called_is_refused_when_the_stage_is_made(wrong: Any) -> None:
    with pytest.raises(TypeError, match="validator of ValidateStage must be a function"):
        ValidateStage(wrong)


def test_it_needs_its_whole_input_and_keeps_its_type() -> None:
    assert ValidateStage(not_empty).kind is StageKind.BLOCKING
    assert ValidateStage(not_empty).input_hint == list[int]
    assert ValidateStage(not_empty).output_hint(list[bool]) == list[bool]
