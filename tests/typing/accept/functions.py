"""Functions that the other files join stages from."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable

from mainstem import PipelineContext, PipelineStage, StageResult


def increment(number: int) -> int:
    return number + 1


def text(number: int) -> str:
    return str(number)


def length(word: str) -> int:
    return len(word)


async def fetch(number: int) -> str:
    return str(number)


def start_fetch(number: int) -> Awaitable[str]:
    return fetch(number)


def is_positive(number: int) -> bool:
    return number > 0


async def is_known(number: int) -> bool:
    return number > 0


def is_anything(thing: object) -> bool:
    return thing is not None


def total(numbers: Iterable[int]) -> int:
    return sum(numbers)


async def slow_total(numbers: Iterable[int]) -> int:
    return sum(numbers)


def not_empty(numbers: list[int]) -> bool | str:
    return bool(numbers) or "nothing"


async def not_empty_later(numbers: list[int]) -> bool:
    return bool(numbers)


def is_even(number: int) -> bool | str:
    return number % 2 == 0 or "odd"


class Parse(PipelineStage[str, list[int]]):
    async def process(self, data: str, context: PipelineContext) -> StageResult[list[int]]:
        return StageResult(data=[int(word) for word in data.split()])


class Show(PipelineStage[int, str]):
    async def process(self, data: int, context: PipelineContext) -> StageResult[str]:
        return StageResult(data=str(data))


class Read(PipelineStage[None, list[int]]):
    async def process(self, data: None, context: PipelineContext) -> StageResult[list[int]]:
        return StageResult(data=[1, 2, 3])
