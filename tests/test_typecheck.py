"""The nets for types at run time: joins when they are made, records when asked for."""

from __future__ import annotations

import collections
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from inspect import currentframe
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    Protocol,
    TypedDict,
    TypeVar,
)

import pytest

from mainstem import (
    AggregateStage,
    BatchStage,
    BranchStage,
    Count,
    FilterStage,
    FlattenStage,
    MapStage,
    Pipeline,
    PipelineContext,
    PipelineStage,
    StageResult,
    StageTypeError,
    ValidateRecordsStage,
    ValidateStage,
    fan_out,
)
from mainstem.typecheck import fits

T = TypeVar("T")


class Row(TypedDict):
    a: int


class LongRow(Row):
    b: int


class Animal: ...


class Dog(Animal): ...


class Box(Generic[T]): ...


class IntBox(Box[int]): ...


class Speaks(Protocol):
    def speak(self) -> str: ...


class Parrot:
    def speak(self) -> str:
        return "hello"


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class User:
    name: str


UserId = NewType("UserId", int)

CORRECT = [
    (list[int], Iterable[int]),
    (list[int], Sequence[int]),
    (list[int], Collection[Any]),
    (list[int], list),
    (list[int], Sized),
    (list[Any], list[int]),
    (list, Iterable[int]),
    (list, list[int]),
    (dict, dict[str, int]),
    (list[Dog], Iterable[Animal]),
    (list[Dog], list[Animal]),
    (list[bool], Iterable[int]),
    (int, float),
    (list[int], Iterable[float]),
    (float, complex),
    (dict[str, int], Mapping[str, float]),
    (int, int | str),
    (int, Optional[int]),  # noqa: UP045 - both spellings are in use
    (None, Optional[int]),  # noqa: UP045
    (None, None),
    (type(None), None),
    (list[int], Iterable[int | None]),
    (list[Dog | None], Iterable[Animal | None]),
    (int | bool, int),
    (Row, Row),
    (LongRow, Row),
    (Row, Mapping[str, Any]),
    (Row, dict[str, Any]),
    (dict[str, Any], Row),
    (list[Row], Iterable[Row]),
    (list[Row], Iterable[Mapping[str, object]]),
    (list[dict[str, Any]], Iterable[Row]),
    (Box[int], Box[int]),
    (Box[int], Box[Any]),
    (Box[int], Box),
    (Box, Box[int]),
    (IntBox, Box[int]),
    (Parrot, Speaks),
    (list[Parrot], Iterable[Speaks]),
    (Point, tuple[int, int]),
    (Point, tuple[Any, ...]),
    (tuple[int, str], tuple[int, str]),
    (tuple[int, int], Sequence[int]),
    (tuple[int, ...], Iterable[int]),
    (UserId, int),
    (Literal["a"], str),
    (Literal["a"], Literal["a", "b"]),
    (Annotated[int, "unit"], int),
    (int, Annotated[int, "unit"]),
    (list[Annotated[int, "unit"]], Iterable[int]),
    (str, Iterable[str]),
    (str, Sequence[str]),
    (bytes, Iterable[int]),
    (range, Iterable[int]),
    (list[range], Iterable[Iterable[int]]),
    (list[list[int]], Iterable[Iterable[int]]),
    (collections.Counter[str], Mapping[str, int]),
    (collections.defaultdict[str, int], dict[str, int]),
    (Callable[[int], str], Callable[[int], str]),
    (type[Dog], type[Animal]),
    (int, object),
    (Any, int),
    (int, Any),
]

WRONG = [
    (list[int], Iterable[str]),
    (list[Animal], Iterable[Dog]),
    (int | str, int),
    (Optional[int], int),  # noqa: UP045
    (list[int | None], Iterable[int]),
    (int, Row),
    (Row, int),
    (list[Row], Iterable[int]),
    (Box[str], Box[int]),
    (IntBox, Box[str]),
    (list[str], Sequence[int]),
    (str, int),
    (float, int),
    (bytes, str),
    (object, int),
    (str, Literal["a"]),
    (Literal["a"], int),
    (dict[str, str], Mapping[str, int]),
    (int, list[int]),
    (None, int),
    (list[list[int]], Iterable[Iterable[str]]),
]


@pytest.mark.parametrize(("given", "expected"), CORRECT)
def test_a_correct_join_is_never_refused(given: Any, expected: Any) -> None:
    assert fits(given, expected)


@pytest.mark.parametrize(("given", "expected"), WRONG)
def test_a_wrong_join_is_refused(given: Any, expected: Any) -> None:
    assert not fits(given, expected)


def increment(number: int) -> int:
    return number + 1


def text(number: int) -> str:
    return str(number)


def is_word(word: str) -> bool:
    return word.isalpha()


def all_words(words: list[str]) -> bool:
    return all(map(is_word, words))


def join_words(words: Iterable[str]) -> str:
    return " ".join(words)


async def shout(word: str) -> str:
    return word.upper()


class Parse(PipelineStage[str, list[int]]):
    async def process(self, data: str, context: PipelineContext) -> StageResult[list[int]]:
        return StageResult(data=[int(word) for word in data.split()])


class Echo(PipelineStage[list[T], list[T]]):
    async def process(self, data: list[T], context: PipelineContext) -> StageResult[list[T]]:
        return StageResult(data=data)


def line_here() -> int:
    frame = currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_the_error_names_both_stages_both_types_and_both_source_lines() -> None:
    left, left_line = MapStage(increment, name="plus one"), line_here()
    right, right_line = FilterStage(is_word), line_here()
    with pytest.raises(StageTypeError) as caught:
        left >> right
    message = str(caught.value)
    assert "'plus one' gives list[int]" in message
    assert "'FilterStage' takes Iterable[str]" in message
    assert f"'plus one' was made at {__file__}:{left_line}" in message
    assert f"'FilterStage' was made at {__file__}:{right_line}" in message


RIGHT_STAGES_FOR_WORDS = [
    MapStage(shout),
    MapStage(is_word),
    FilterStage(is_word),
    ValidateStage(all_words),
    ValidateRecordsStage(is_word),
    AggregateStage(join_words),
    BranchStage(a=AggregateStage(len), b=AggregateStage(join_words)),
    fan_out(AggregateStage(len), AggregateStage(join_words)),
    MapStage(shout) >> AggregateStage(len),
    Pipeline[list[str], list[str]]("words").map(str.upper),
    Echo[str](),
]


@pytest.mark.parametrize("right", RIGHT_STAGES_FOR_WORDS, ids=repr)
def test_every_kind_of_stage_refuses_numbers_for_words(right: PipelineStage[Any, Any]) -> None:
    with pytest.raises(StageTypeError):
        MapStage(increment) >> right
    with pytest.raises(StageTypeError):
        Pipeline[list[int], Any]("numbers").map(increment).add_stage(right)


@pytest.mark.parametrize("right", RIGHT_STAGES_FOR_WORDS, ids=repr)
def test_every_kind_of_stage_takes_words(right: PipelineStage[Any, Any]) -> None:
    MapStage(text) >> right
    Pipeline[list[int], Any]("numbers").map(text).add_stage(right)


@pytest.mark.parametrize(
    "keeps", [BatchStage(2) >> FlattenStage(), FilterStage(lambda _: True), ValidateStage(lambda _: True)], ids=repr
)
def test_stages_that_keep_the_records_hand_their_type_on(keeps: PipelineStage[Any, Any]) -> None:
    MapStage(text) >> keeps >> FilterStage(is_word)
    with pytest.raises(StageTypeError, match=r"gives list\[int\]"):
        MapStage(increment) >> keeps >> FilterStage(is_word)


def test_an_unannotated_side_passes() -> None:
    chain = MapStage(lambda number: number) >> FilterStage(is_word) >> MapStage(lambda word: word) >> MapStage(text)
    assert len(chain.members) == 4


def test_a_class_given_as_function_gives_itself() -> None:
    MapStage(text) >> MapStage(User)
    with pytest.raises(StageTypeError, match=r"list\[User\]"):
        MapStage(text) >> MapStage(User) >> FilterStage(is_word)
    with pytest.raises(StageTypeError, match=r"takes Iterable\[str\]"):
        MapStage(increment) >> MapStage(User)


def test_a_combiner_is_checked_by_what_it_is_parametrised_with() -> None:
    MapStage(increment) >> AggregateStage(Count()) >> AggregateStage(text)
    with pytest.raises(StageTypeError):
        MapStage(increment) >> AggregateStage(Count()) >> AggregateStage(all_words)


def test_the_annotation_of_the_pipeline_is_checked_at_both_ends() -> None:
    with pytest.raises(StageTypeError, match="the input of pipeline ends"):
        Pipeline[list[str], list[int]]("ends").add_stage(MapStage(increment))
    with pytest.raises(StageTypeError, match=r"'ends' is to give list\[str\], but its last stage, 'MapStage', gives"):
        Pipeline[list[int], list[str]]("ends").add_stage(MapStage(increment)).run([1])


def test_a_refused_stage_is_not_added() -> None:
    pipeline: Any = Pipeline[str, Any]("kept").add_stage(Parse())
    with pytest.raises(StageTypeError):
        pipeline.add_stage(MapStage(increment) >> FilterStage(is_word))
    assert [stage.name for stage in pipeline.stages] == ["Parse"]


class Liar(PipelineStage[list[int], list[int]]):
    """Gives something else than it says, from the third record on."""

    async def process(self, data: list[int], context: PipelineContext) -> StageResult[list[int]]:
        lies: list[Any] = [*data[:2], *(str(number) for number in data[2:])]
        return StageResult(data=lies)


@pytest.mark.parametrize(("check", "found"), [("all", 2), (0.5, 2), (0.2, 5), (1.0, 2)])
def test_checking_records_finds_the_first_wrong_one_that_is_looked_at(check: Any, found: int) -> None:
    result = Pipeline[list[int], list[int]]("liar", check=check).add_stage(Liar()).run(list(range(10)))
    assert not result.success
    assert isinstance(result.error, StageTypeError)
    assert str(result.error) == f"stage 'Liar' is to give int, and record {found} of its output is '{found}'"


@pytest.mark.parametrize("check", ["first", None, 0.01])
def test_records_that_are_not_looked_at_pass(check: Any) -> None:
    assert Pipeline[list[int], list[int]]("liar", check=check).add_stage(Liar()).run(list(range(10))).success


def test_checking_counts_records_over_all_chunks() -> None:
    def lie(number: int) -> int:
        answer: Any = number if number < 700 else str(number)
        return answer

    result = Pipeline[list[int], list[int]]("chunks", check="all").map(lie).run(list(range(1000)))
    assert "record 700 of its output is '700'" in str(result.error)


def test_checking_accepts_an_int_as_float_and_what_it_cannot_judge() -> None:
    def half(number: int) -> float:
        return number

    def boxed(number: float) -> Box[float]:
        return Box()

    result = Pipeline[list[int], list[Box[float]]]("fine", check="all").map(half).map(boxed).run([1, 2])
    assert result.success


@pytest.mark.parametrize("check", ["some", 0, -1, 1.5, float("nan")])
def test_a_wrong_check_is_refused(check: Any) -> None:
    with pytest.raises(ValueError, match="check must be 'first', 'all' or a share"):
        Pipeline[int, int]("wrong", check=check)
