"""Stages of the user's own: plain, generic, polymorphic; combiners, sources, sinks, typed records."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict, TypeVar, assert_type

from functions import Parse, increment, length, text

from mainstem import (
    AggregateStage,
    ChainedStage,
    Combiner,
    MapStage,
    Pipeline,
    PipelineContext,
    PipelineStage,
    Position,
    RecordsStage,
    SinkStage,
    SinkTransaction,
    SourceChunk,
    SourceStage,
    StageKind,
    StageResult,
)

T = TypeVar("T")


class Row(TypedDict):
    word: str


@dataclass
class Word:
    word: str


def word_of(row: Row) -> str:
    return row["word"]


def to_word(row: Row) -> Word:
    return Word(row["word"])


class Deduplicate(RecordsStage[T, T]):
    async def process(self, data: Iterable[T], context: PipelineContext) -> StageResult[list[T]]:
        return StageResult(data=list(dict.fromkeys(data)))


class Double(PipelineStage[Iterable[int], list[int]]):
    kind = StageKind.ELEMENTWISE
    name = "double"

    async def process(self, data: Iterable[int], context: PipelineContext) -> StageResult[list[int]]:
        return StageResult(data=[2 * number for number in data])


class Repeat(PipelineStage[list[T], list[T]]):
    def __init__(self, times: int) -> None:
        self.times = times

    async def process(self, data: list[T], context: PipelineContext) -> StageResult[list[T]]:
        if self.times < 0:
            return StageResult.failure(ValueError("times"))
        return StageResult(data=data * self.times, records_processed=len(data))


class Longest(Combiner[str, str, str]):
    def create(self) -> str:
        return ""

    def add(self, accumulator: str, record: str) -> str:
        return max(accumulator, record, key=len)

    def merge(self, left: str, right: str) -> str:
        return max(left, right, key=len)

    def finish(self, accumulator: str) -> str:
        return accumulator


class Rows(SourceStage[Row]):
    async def read(
        self, context: PipelineContext, *, start: Position | None = None, chunk_size: int = 500
    ) -> AsyncGenerator[SourceChunk[Row], None]:
        yield SourceChunk([{"word": "a"}], position={"row": 1})


class Discarded(SinkTransaction[object]):
    async def write(self, records: Sequence[object]) -> int:
        return 0

    async def commit(self, position: Position | None = None) -> None: ...

    async def abort(self) -> None: ...


class Discard(SinkStage[object]):
    @property
    def target(self) -> str:
        return "nowhere"

    async def begin(self, context: PipelineContext) -> SinkTransaction[object]:
        return Discarded()


assert_type(Parse() >> Deduplicate() >> MapStage(text), ChainedStage[str, list[str]])
assert_type(Parse() >> Double(), ChainedStage[str, list[int]])
assert_type(Parse() >> Repeat[int](2) >> MapStage(increment), ChainedStage[str, list[int]])
assert_type(Parse() >> MapStage(text) >> AggregateStage(Longest()), ChainedStage[str, str])
assert_type(Rows() >> MapStage(word_of) >> MapStage(length), ChainedStage[None, list[int]])
Rows() >> MapStage(to_word) >> Discard()
Pipeline[None, list[Word]]("words").add_stage(Rows()).add_stage(MapStage(to_word)).run()
