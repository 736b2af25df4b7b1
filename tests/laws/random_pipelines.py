"""Strategies for the laws: inputs longer than a chunk, and pipelines of all kinds of stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import anyio
from every_stage import KINDS, MADE_OF_STEPS, TAKE_CHUNKS, Step
from hypothesis import strategies as st
from parts_of_pipelines import FORMS

from mainstem import BatchStage, FilterStage, FlattenStage, MapStage, PipelineStage, ValidateRecordsStage
from mainstem.endpoints import CHUNK_SIZE

StageMaker = Callable[[], PipelineStage[Any, Any]]


def numbers(longest: int = 3 * CHUNK_SIZE + 50) -> st.SearchStrategy[list[int]]:
    """Numbers below 101, of lengths that lie around the borders of chunks as often as not."""
    borders = [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE, 3 * CHUNK_SIZE]
    border = st.sampled_from([each for each in borders if each <= longest])
    return st.builds(
        lambda count, factor, offset: [(at * factor + offset) % 101 for at in range(count)],
        st.one_of(border, st.integers(0, longest)),
        st.integers(1, 100),
        st.integers(0, 100),
    )


def _map(amount: int) -> tuple[type[Any], Any]:
    def work(number: int) -> int:
        return number + amount

    return MapStage, work


def _failing_map(every: int) -> tuple[type[Any], Any]:
    def work(number: int) -> int:
        if number % every == 0:
            raise StopIteration if number % 2 else ValueError(f"no {number}")
        return number

    return MapStage, work


def _filter(divisor: int) -> tuple[type[Any], Any]:
    def keep(number: int) -> bool:
        if number % 13 == divisor:
            raise KeyError(number)
        return number % (divisor + 1) != 1

    return FilterStage, keep


def _check(divisor: int) -> tuple[type[Any], Any]:
    def check(number: int) -> bool | str:
        return number % (divisor + 2) != 2 or f"unwanted {number}"

    return ValidateRecordsStage, check


def _maker(kind: Callable[[int], tuple[type[Any], Any]], number: int, annotated: bool, go_on: bool) -> StageMaker:
    stage, function = kind(number)
    # An engine knows more about a function with annotations, and takes another way through it.
    told = function if annotated else lambda record: function(record)
    return lambda: stage(told, continue_on_error=go_on)


def _async_map(concurrency: int) -> StageMaker:
    async def work(number: int) -> int:
        for _ in range(number % 3):
            await anyio.sleep(0)
        if number % 11 == 0:
            raise ValueError(f"late {number}")
        return number + 1

    return lambda: MapStage(work, continue_on_error=True, concurrency=concurrency)


def _there_and_back(size: int) -> StageMaker:
    return lambda: BatchStage(size) >> FlattenStage()


def sync_makers(*, go_on: bool = True) -> st.SearchStrategy[StageMaker]:
    """Makers of stages that call a plain function of a number."""
    kinds = st.sampled_from([_map, _failing_map, _filter, _check])
    return st.builds(_maker, kinds, st.integers(1, 7), st.booleans(), st.just(go_on))


def stage_makers() -> st.SearchStrategy[StageMaker]:
    """Makers of stages from numbers to numbers."""
    small = st.integers(1, 7)
    return st.one_of(sync_makers(), sync_makers(), small.map(_async_map), small.map(_there_and_back))


def pipelines(longest: int = 5) -> st.SearchStrategy[list[StageMaker]]:
    """Lists of makers, so that each run can have stages of its own."""
    return st.lists(stage_makers(), min_size=1, max_size=longest)


def _one_step(kinds: Sequence[str], inner: st.SearchStrategy[tuple[Step, ...]]) -> st.SearchStrategy[Step]:
    return st.builds(
        Step,
        st.sampled_from(kinds),
        st.integers(1, 7),
        st.sampled_from(list(FORMS)),
        st.just(True),
        st.sampled_from([1, 3]),
        inner,
    )


def _tuples(step: st.SearchStrategy[Step], longest: int) -> st.SearchStrategy[tuple[Step, ...]]:
    return st.lists(step, min_size=1, max_size=longest).map(tuple)


@st.composite
def steps(draw: st.DrawFn, kinds: Sequence[str] = tuple(KINDS), longest: int = 5) -> tuple[Step, ...]:
    """Steps of a pipeline. At most one of them does not go on past a failed record: the first failure is the same then.

    Were there two, the one that sees its failing record first would depend on how far records go before others follow.
    For the same reason its calls do not overlap: of several that are under way the first to fail fails the stage.
    """
    inside = _tuples(_one_step(TAKE_CHUNKS, st.just(())), 2)
    plain = [kind for kind in kinds if kind not in MADE_OF_STEPS]
    made_of_steps = [kind for kind in kinds if kind in MADE_OF_STEPS]
    one = _one_step(plain, st.just(()))
    if made_of_steps:
        one = st.one_of(one, one, one, _one_step(made_of_steps, inside))
    drawn = draw(_tuples(one, longest))
    failing = draw(st.none() | st.integers(0, len(drawn) - 1))
    return tuple(replace(step, go_on=False, concurrency=1) if at == failing else step for at, step in enumerate(drawn))
