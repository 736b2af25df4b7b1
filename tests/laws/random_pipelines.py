"""Strategies for the laws: inputs longer than a chunk, and pipelines of stages that go on past failures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
from hypothesis import strategies as st

from mainstem import BatchStage, FilterStage, FlattenStage, MapStage, PipelineStage, ValidateRecordsStage
from mainstem.endpoints import CHUNK_SIZE

StageMaker = Callable[[], PipelineStage[Any, Any]]


def numbers(longest: int = 2 * CHUNK_SIZE + 50) -> st.SearchStrategy[list[int]]:
    """Numbers below 101, of lengths that lie around the borders of chunks as often as not."""
    border = st.sampled_from([0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE])
    length = st.one_of(border.filter(lambda each: each <= longest), st.integers(0, longest))
    return st.builds(
        lambda count, factor, offset: [(at * factor + offset) % 101 for at in range(count)],
        length,
        st.integers(1, 100),
        st.integers(0, 100),
    )


def _annotated(maker: Callable[..., StageMaker]) -> Callable[..., StageMaker]:
    """Give the stage's function the annotations that tell an engine more about it."""

    def annotate(*arguments: int) -> StageMaker:
        def make() -> PipelineStage[Any, Any]:
            stage: Any = maker(*arguments)()
            function = stage._function.call

            def annotated(number: int) -> Any: ...

            kinds: dict[type, Any] = {MapStage: int, FilterStage: bool}
            annotated = _with_hints(function, kinds.get(type(stage), bool | str))
            options = {"continue_on_error": stage._continue_on_error}
            return (MapStage if type(stage) is MapStage else type(stage))(annotated, **options)

        return make

    return annotate


def _map(amount: int) -> StageMaker:
    return lambda: MapStage(lambda number: number + amount)


def _failing_map(every: int) -> StageMaker:
    def work(number: int) -> int:
        if number % every == 0:
            raise ValueError(f"no {number}")
        return number

    return lambda: MapStage(work, continue_on_error=True)


def _async_map(concurrency: int) -> StageMaker:
    async def work(number: int) -> int:
        for _ in range(number % 3):
            await anyio.sleep(0)
        if number % 11 == 0:
            raise ValueError(f"late {number}")
        return number + 1

    return lambda: MapStage(work, continue_on_error=True, concurrency=concurrency)


def _filter(divisor: int) -> StageMaker:
    return lambda: FilterStage(lambda number: number % divisor != 1)


def _check(divisor: int) -> StageMaker:
    return lambda: ValidateRecordsStage(
        lambda number: number % divisor != 2 or f"unwanted {number}", continue_on_error=True
    )


def _there_and_back(size: int) -> StageMaker:
    return lambda: BatchStage(size) >> FlattenStage()


def stage_makers() -> st.SearchStrategy[StageMaker]:
    """Makers of stages from numbers to numbers."""
    small = st.integers(1, 7)
    return st.one_of(
        small.map(_map),
        st.integers(2, 7).map(_failing_map),
        small.map(_async_map),
        st.integers(2, 7).map(_filter),
        st.integers(3, 7).map(_check),
        small.map(_there_and_back),
    )


def pipelines(longest: int = 5) -> st.SearchStrategy[list[StageMaker]]:
    """Lists of makers, so that each run can have stages of its own."""
    return st.lists(stage_makers(), min_size=1, max_size=longest)
