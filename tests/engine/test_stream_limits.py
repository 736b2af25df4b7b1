"""A stream whose input is ended early takes just the records it needs, however it is cut into chunks."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from itertools import count
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstem import BatchStage, FilterStage, FlattenStage, LimitStage, MapStage, PipelineResult
from runs import check_accounts, pipeline_of
from streams import Collect, Numbers, later, nothing_left, take

pytestmark = pytest.mark.anyio

CHUNK_SIZES = [1, 2, 7, 1000]


def odd(number: int) -> bool:
    return number % 2 == 1


STAGES: dict[str, tuple[Any, int, list[Any]]] = {
    "limit": (lambda: [LimitStage(5)], 5, [0, 1, 2, 3, 4]),
    "none at all": (lambda: [MapStage(str), LimitStage(0)], 0, []),
    "filtered": (lambda: [FilterStage(odd), LimitStage(3)], 6, [1, 3, 5]),
    "async": (lambda: [MapStage(later), FilterStage(odd), LimitStage(3), MapStage(later)], 6, [1, 3, 5]),
    "overlapping": (lambda: [MapStage(later, concurrency=4), LimitStage(5)], 5, [0, 1, 2, 3, 4]),
    "batches": (lambda: [BatchStage(2), LimitStage(2), MapStage(later)], 4, [[0, 1], [2, 3]]),
    "flattened": (lambda: [BatchStage(3), FlattenStage(), LimitStage(4)], 6, [0, 1, 2, 3]),
    "few of a batch": (lambda: [BatchStage(3), FlattenStage(), LimitStage(2)], 3, [0, 1]),
    "two limits": (lambda: [LimitStage(6), FilterStage(odd), LimitStage(2), BatchStage(5)], 4, [[1, 3]]),
    "the earlier": (lambda: [LimitStage(3), MapStage(later), LimitStage(20)], 3, [0, 1, 2]),
}


class Taking:
    """An endless input that counts what was taken out of it."""

    def __init__(self) -> None:
        self.taken = 0

    def iterator(self) -> Any:
        for number in count():
            self.taken += 1
            yield number

    async def async_generator(self) -> AsyncGenerator[int, None]:
        for number in count():
            self.taken += 1
            yield number


def counts(result: PipelineResult[Any]) -> Any:
    return {
        name: (part.records_processed, part.records_failed, part.records_filtered)
        for name, part in check_accounts(result).stage_results.items()
    }


@pytest.mark.parametrize(("stages", "needed", "output"), STAGES.values(), ids=STAGES.keys())
@pytest.mark.parametrize("kind", ["iterator", "async_generator"])
async def test_just_as_many_records_are_taken_as_needed(stages: Any, needed: int, output: Any, kind: str) -> None:
    seen: list[Any] = []
    for chunk_size in CHUNK_SIZES:
        taking = Taking()
        stream = pipeline_of(*stages()).stream(getattr(taking, kind)(), chunk_size=chunk_size)
        with nothing_left(), anyio.fail_after(20):
            chunks = await take(stream)
        assert [record for chunk in chunks for record in chunk] == output
        assert taking.taken == needed
        seen.append(counts(stream.result))
        assert stream.result.context.completed_stages == [*stream.result.context.progress]
    assert all(each == seen[0] for each in seen)
    assert not seen[0] or next(iter(seen[0].values()))[0] == needed


@pytest.mark.parametrize(("stages", "needed", "output"), STAGES.values(), ids=STAGES.keys())
async def test_a_source_is_read_no_further_than_the_chunk_that_was_needed(
    stages: Any, needed: int, output: Any
) -> None:
    for chunk_size in CHUNK_SIZES:
        source = Numbers()
        stream = pipeline_of(source, *stages()).stream(chunk_size=chunk_size)
        with nothing_left(), anyio.fail_after(20):
            chunks = await take(stream)
        assert [record for chunk in chunks for record in chunk] == output
        assert source.opened == source.closed == (1 if needed else 0)
        assert source.chunks <= needed
        completed = stream.result.context.completed_stages
        assert completed[0] == "Numbers"
        assert len(completed) == len(stages()) + 1


@pytest.mark.parametrize(("stages", "needed", "output"), STAGES.values(), ids=STAGES.keys())
async def test_so_it_is_in_memory(stages: Any, needed: int, output: Any) -> None:
    taking, source = Taking(), Numbers()
    with nothing_left(), anyio.fail_after(20):
        result = check_accounts(await pipeline_of(*stages()).execute(taking.iterator()))
        assert (result.data, taking.taken) == (output, needed)
        assert (await pipeline_of(source, *stages()).execute(None)).data == output
    assert source.opened == source.closed


async def test_a_load_of_the_first_records_is_committed() -> None:
    for way in ("stream", "execute"):
        sink, source = Collect(), Numbers()
        pipeline = pipeline_of(source, MapStage(later), LimitStage(5), sink)
        with nothing_left(), anyio.fail_after(20):
            await (take(pipeline.stream(chunk_size=2)) if way == "stream" else pipeline.execute(None))
        assert (sink.stored, sink.ends, source.closed) == ([0, 1, 2, 3, 4], ["committed"], 1)


async def test_what_is_left_of_an_iterator_can_be_taken_by_others() -> None:
    numbers = iter(range(10))
    await take(pipeline_of(FilterStage(odd), LimitStage(2)).stream(numbers))
    assert list(numbers) == [4, 5, 6, 7, 8, 9]


@settings(deadline=None, max_examples=60)
@given(
    limit=st.integers(0, 12),
    size=st.integers(1, 4),
    keep=st.sets(st.integers(0, 11), min_size=1),
    chunk_size=st.integers(1, 15),
    kind=st.sampled_from(["iterator", "async_generator"]),
)
def test_the_records_taken_are_the_fewest_that_give_the_output(
    limit: int, size: int, keep: set[int], chunk_size: int, kind: str
) -> None:
    taking = Taking()
    kept = FilterStage(lambda number: number % 12 in keep)
    stages = [MapStage(int), kept, BatchStage[int](size), MapStage(len), LimitStage(limit)]

    async def collect() -> Any:
        return await take(pipeline_of(*stages).stream(getattr(taking, kind)(), chunk_size=chunk_size))

    chunks = anyio.run(collect)
    assert [record for chunk in chunks for record in chunk] == [size] * limit
    passing = (number for number in count() if number % 12 in keep)
    last = [next(passing) for _ in range(limit * size)]
    assert taking.taken == (last[-1] + 1 if last else 0)
