"""``PipelineStage`` and ``ChainedStage``: what a stage is, and how stages join."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pytest

from mainstem import (
    AggregateStage,
    BatchStage,
    ChainedStage,
    CompositeResult,
    FilterStage,
    FlattenStage,
    GroupingStage,
    MapStage,
    Pipeline,
    PipelineContext,
    PipelineStage,
    RecordsStage,
    StageKind,
    StageResult,
    StageTypeError,
    UnchangedStage,
    UngroupingStage,
)
from runs import Abort, check_accounts, errors_of, execute, pipeline_of, run

pytestmark = pytest.mark.anyio

T = TypeVar("T")


class Add(PipelineStage[int, int]):
    """No ``__init__``, no name."""

    async def process(self, data: int, context: PipelineContext) -> StageResult[int]:
        return StageResult(data=data + 1)


class Named(Add):
    name = "plus one"


class Below(Named):
    pass


class Failing(Add):
    async def process(self, data: int, context: PipelineContext) -> StageResult[int]:
        return StageResult.failure(ValueError("no"))


class Raising(Add):
    async def process(self, data: int, context: PipelineContext) -> StageResult[int]:
        raise KeyError("missing")


@dataclass
class AddMany(PipelineStage[int, int]):
    amount: int
    seen: list[int] = field(default_factory=list)

    async def process(self, data: int, context: PipelineContext) -> StageResult[int]:
        self.seen.append(data)
        return StageResult(data=data + self.amount)


@dataclass(frozen=True)
class FrozenAdd(PipelineStage[int, int]):
    amount: int

    async def process(self, data: int, context: PipelineContext) -> StageResult[int]:
        return StageResult(data=data + self.amount)


@dataclass(frozen=True, slots=True)
class SlottedAdd(PipelineStage[int, int]):
    amount: int

    async def process(self, data: int, context: PipelineContext) -> StageResult[int]:
        return StageResult(data=data + self.amount)


@dataclass
class NamedByField(PipelineStage[int, int]):
    name: str

    async def process(self, data: int, context: PipelineContext) -> StageResult[int]:
        return StageResult(data=data)


def test_a_stages_name_is_its_class_name_unless_the_class_or_the_object_says_otherwise() -> None:
    assert Add().name == "Add"
    assert Named().name == "plus one"
    assert Below().name == "Below"
    assert NamedByField("by field").name == "by field"
    stage = Add()
    stage.name = "set later"
    assert (stage.name, Add().name) == ("set later", "Add")


def test_a_stage_shows_its_name() -> None:
    assert repr(Add()) == "<Add>"
    assert repr(Named()) == "<Named 'plus one'>"


def test_a_subclass_needs_no_init_and_is_blocking_until_it_says_otherwise() -> None:
    assert run(Add(), data=1).data == 2
    assert Add().kind is StageKind.BLOCKING


def test_without_process_it_cannot_be_made() -> None:
    class Nothing(PipelineStage[int, int]):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Nothing()  # type: ignore[abstract]


@pytest.mark.parametrize("make", [AddMany, FrozenAdd, SlottedAdd], ids=lambda make: make.__name__)
def test_a_stage_may_be_a_dataclass(make: Any) -> None:
    assert run(make(2), make(amount=3), data=1).data == 6
    assert make(2).name == make.__name__
    assert make(2) == make(2)
    assert make(2).made_at.startswith(__file__)


def test_a_stage_knows_the_line_it_was_made_at() -> None:
    line = test_a_stage_knows_the_line_it_was_made_at.__code__.co_firstlineno
    assert Add().made_at == f"{__file__}:{line + 2}"
    assert MapStage[int, str](str).made_at == f"{__file__}:{line + 3}"
    assert Pipeline[int, int]("x").made_at == f"{__file__}:{line + 4}"


def test_stages_can_be_copied_and_pickled() -> None:
    for stage in (copy.copy(Named()), copy.deepcopy(AddMany(2)), pickle.loads(pickle.dumps(FrozenAdd(3)))):
        assert isinstance(stage, PipelineStage)
        assert run(stage, data=1).success


def test_two_stages_join_into_a_chain_that_feeds_one_into_the_other() -> None:
    chain = MapStage(str) >> AggregateStage("".join)
    assert isinstance(chain, ChainedStage)
    assert isinstance(chain, PipelineStage)
    assert run(chain, data=[1, 2, 3]).data == "123"
    assert chain.name == "MapStage >> AggregateStage"


def test_a_chain_of_chains_is_one_flat_chain_whichever_is_joined_first() -> None:
    a, b, c, d = Add(), Named(), AddMany(2), AddMany(3)
    chains = [((a >> b) >> c) >> d, a >> (b >> (c >> d)), (a >> b) >> (c >> d), ChainedStage(a, b >> c, d)]
    for chain in chains:
        assert chain.members == (a, b, c, d)
        assert run(chain, data=0).data == 7


@pytest.mark.parametrize("right", [None, 3, "text", [], object()], ids=lambda right: type(right).__name__)
def test_anything_but_a_stage_on_the_right_is_a_type_error(right: Any) -> None:
    with pytest.raises(TypeError, match="is none"):
        Add() >> right
    with pytest.raises(TypeError, match="is none"):
        Pipeline[int, int]("x").add_stage(right)


def test_a_class_or_a_function_on_the_right_is_told_what_to_write() -> None:
    wrong: Any = Add
    with pytest.raises(TypeError, match=r"it is a class of stages, make one with Add\(\.\.\.\)"):
        Add() >> wrong
    with pytest.raises(TypeError, match=r"write MapStage\(len\)"):
        Add() >> len  # type: ignore[operator]
    with pytest.raises(TypeError):
        len >> Add()  # type: ignore[operator]


def test_an_empty_chain_is_refused() -> None:
    with pytest.raises(TypeError, match="at least one stage"):
        ChainedStage()


async def test_a_failed_result_short_circuits_the_chain() -> None:
    after = AddMany(1)
    result = check_accounts(await (Add() >> Failing() >> after).process(1, PipelineContext()))
    assert isinstance(result, CompositeResult)
    assert str(result.error) == "no"
    assert list(result.stage_results) == ["Add", "Failing"]
    assert after.seen == []


async def test_an_exception_of_a_member_becomes_a_failed_result() -> None:
    context = PipelineContext()
    result = check_accounts(await (Add() >> Raising() >> Add()).process(1, context))
    assert isinstance(result.error, KeyError)
    assert [entry.stage for entry in context.errors] == ["Raising"]
    assert context.completed_stages == ["Add"]
    assert any("in stage 'Raising', made at " in note for note in result.error.__notes__)


async def test_a_chain_called_alone_marks_its_members_and_restores_what_was_current() -> None:
    context = PipelineContext()
    context.current_stage, context.chunk_start = "outer", 7
    result = await (Add() >> Add()).process(1, context)
    assert result.data == 3
    assert context.completed_stages == ["Add", "Add#2"]
    assert (context.current_stage, context.chunk_start) == ("outer", 7)


async def test_what_is_no_exception_passes_through_a_chain() -> None:
    class Leaving(Add):
        async def process(self, data: int, context: PipelineContext) -> StageResult[int]:
            raise Abort

    with pytest.raises(Abort):
        await execute(Add() >> Leaving(), data=1)


def test_counts_of_a_chain_are_those_of_the_whole_way() -> None:
    chain = (
        MapStage(int, continue_on_error=True)
        >> FilterStage(lambda number: number > 1)
        >> BatchStage(2)
        >> FlattenStage()
    )
    result = run(chain, data=["1", "x", "2", "3"], entered=4)
    assert result.data == [2, 3]
    assert (result.records_filtered, result.records_failed) == (1, 1)


def test_in_a_pipeline_the_members_of_a_chain_are_stages_of_their_own() -> None:
    pipeline = pipeline_of(Add() >> Named(), Add())
    assert [stage.name for stage in pipeline.stages] == ["Add", "plus one", "Add"]
    assert list(pipeline.run(0).stage_results) == ["Add", "plus one", "Add#2"]


def test_the_same_stage_object_twice_has_two_names_and_separate_counts() -> None:
    stage = FilterStage(lambda number: number % 2 == 0 or number > 100)
    half = MapStage(lambda number: number // 2)
    result = run(stage, half, stage, data=[1, 2, 4, 6], entered=4)
    assert [(name, part.records_in, part.records_filtered) for name, part in result.stage_results.items()] == [
        ("FilterStage", 4, 1),
        ("MapStage", 3, 0),
        ("FilterStage#2", 3, 2),
    ]
    assert result.context.completed_stages == ["FilterStage", "MapStage", "FilterStage#2"]


def to_text(number: int) -> str:
    return str(number)


def shout(text: str) -> str:
    return text.upper()


@pytest.mark.extras
def test_a_join_that_does_not_fit_is_refused_and_names_stages_types_and_lines() -> None:
    left, right = MapStage(to_text, name="left"), MapStage(abs, name="right") >> MapStage(to_text, name="last")
    assert left >> MapStage(shout)
    with pytest.raises(StageTypeError) as caught:
        MapStage(to_text, name="left") >> MapStage(to_text, name="right")
    message = str(caught.value)
    assert "'left' gives list[str], but 'right' takes Iterable[int]" in message
    assert message.count(f"was made at {__file__}:") == 2
    with pytest.raises(StageTypeError, match="'left' gives"):
        left >> MapStage(to_text)
    assert left >> right, "what is not annotated passes"


@pytest.mark.extras
def test_a_mismatch_is_seen_through_stages_that_keep_the_type() -> None:
    chain = MapStage(to_text) >> FilterStage(bool) >> BatchStage(2) >> FlattenStage()
    with pytest.raises(StageTypeError):
        chain >> MapStage(to_text)
    assert chain >> MapStage(shout)


@pytest.mark.extras
def test_stages_of_ones_own_are_checked_by_their_class_parameters() -> None:
    class Text(PipelineStage[int, str]):
        async def process(self, data: int, context: PipelineContext) -> StageResult[str]:
            return StageResult(data=str(data))

    class Generically(PipelineStage[list[T], T], Generic[T]):
        async def process(self, data: list[T], context: PipelineContext) -> StageResult[T]:
            return StageResult(data=data[0])

    assert (Text().input_hint, Text().output_hint(Any)) == (int, str)
    with pytest.raises(StageTypeError):
        Text() >> Add()
    assert Generically[int]().input_hint == list[int]
    assert Generically().output_hint(Any) is Any
    with pytest.raises(StageTypeError):
        Text() >> Generically[int]()


class Unique(RecordsStage[T, T]):
    async def process(self, data: Iterable[T], context: PipelineContext) -> StageResult[list[T]]:
        return StageResult(data=list(dict.fromkeys(data)))


class Pairs(GroupingStage[T, T]):
    async def process(self, data: Iterable[T], context: PipelineContext) -> StageResult[list[list[T]]]:
        records = list(data)
        return StageResult(data=[records[at : at + 2] for at in range(0, len(records), 2)])


class Firsts(UngroupingStage[T, T]):
    async def process(self, data: Iterable[Iterable[T]], context: PipelineContext) -> StageResult[list[T]]:
        return StageResult(data=[next(iter(group)) for group in data])


class Same(UnchangedStage[T, T]):
    async def process(self, data: T, context: PipelineContext) -> StageResult[T]:
        return StageResult(data=data)


@pytest.mark.extras
def test_stages_of_the_users_own_that_keep_the_shape_keep_the_type_of_the_records() -> None:
    chain = MapStage(to_text) >> Unique() >> Pairs() >> Firsts() >> Same()
    assert chain.output_hint(Any) == list[str]
    assert run(chain, data=[1, 1, 2, 3, 4], entered=5).data == ["1", "3"]
    assert chain.input_hint.__args__ == (int,)
    with pytest.raises(StageTypeError):
        chain >> MapStage(to_text)


def test_members_and_receivers_of_a_plain_stage_are_itself() -> None:
    stage = Add()
    assert stage.members == (stage,)
    assert stage.receivers == (stage,)


def test_errors_of_a_chain_used_as_a_stage_are_recorded_once() -> None:
    class Wrapper(Add):
        async def process(self, data: int, context: PipelineContext) -> StageResult[int]:
            return await (Add() >> Failing()).process(data, context)

    result = run(Wrapper(), data=1)
    assert errors_of(result.context) == [("Failing", None, "no")]
