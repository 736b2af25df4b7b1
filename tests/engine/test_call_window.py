"""Async calls that overlap across chunks: order, limits, a window that stays full, failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import chain
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstem import FilterStage, MapStage, RetryPolicy, StopPipeline
from runs import Abort, check_accounts, errors_of, pipeline_of
from streams import Collect, Numbers, checkpoint, nothing_left, take, turns


class Latencies:
    """An async function that takes so many turns for each record, and counts its calls."""

    def __init__(self, latencies: list[int], fails: Callable[[int], bool] = lambda _: False) -> None:
        self._latencies, self._fails = latencies, fails
        self.calls: Counter[int] = Counter()
        self.under_way = self.most = 0

    async def __call__(self, number: int) -> int:
        self.calls[number] += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await turns(self._latencies[number])
        finally:
            self.under_way -= 1
        if self._fails(number):
            raise ValueError(f"no {number}")
        return number


latencies = st.lists(st.integers(0, 12), max_size=40)
backends = st.sampled_from(["asyncio", "trio"])


@settings(deadline=None, max_examples=80)
@given(latencies, st.integers(2, 9), st.integers(1, 12), st.none() | st.integers(2, 6), st.booleans(), backends)
def test_each_record_is_handed_over_once_within_the_limit_and_comes_out_in_order(
    waits: list[int], concurrency: int, chunk_size: int, in_flight: int | None, ordered: bool, backend: str
) -> None:
    function = Latencies(waits)
    pipeline = pipeline_of(MapStage(function, concurrency=concurrency), FilterStage(lambda number: True))

    async def collect() -> Any:
        data = iter(range(len(waits)))
        stream = pipeline.stream(data, chunk_size=chunk_size, ordered=ordered, max_in_flight=in_flight)
        with nothing_left():
            chunks = await take(stream)
        check_accounts(stream.result, len(waits))
        assert stream.result.context.completed_stages == ["MapStage", "FilterStage"]
        return chunks

    chunks = anyio.run(collect, backend=backend)
    assert all(chunks)
    # Chunks stay whole, whatever order they leave in.
    wanted = [list(range(at, min(at + chunk_size, len(waits)))) for at in range(0, len(waits), chunk_size)]
    assert (chunks if ordered else sorted(chunks)) == wanted
    assert set(function.calls.values()) <= {1}
    assert function.most <= concurrency


@settings(deadline=None, max_examples=80)
@given(latencies, st.integers(2, 9), st.integers(1, 12), st.booleans(), backends)
def test_failed_records_are_counted_with_their_position_in_the_whole_input_in_any_order(
    waits: list[int], concurrency: int, chunk_size: int, ordered: bool, backend: str
) -> None:
    function = Latencies(waits, lambda number: number % 3 == 0)
    stage = MapStage(function, concurrency=concurrency, continue_on_error=True)

    async def collect() -> Any:
        stream = pipeline_of(stage).stream(list(range(len(waits))), chunk_size=chunk_size, ordered=ordered)
        return await take(stream), check_accounts(stream.result, len(waits))

    chunks, result = anyio.run(collect, backend=backend)
    output = list(chain.from_iterable(chunks))
    assert (output if ordered else sorted(output)) == [number for number in range(len(waits)) if number % 3]
    errors = errors_of(result.context)
    failed = [("MapStage", number, f"no {number}") for number in range(0, len(waits), 3)]
    assert (errors if ordered else sorted(errors)) == failed
    assert [entry.record for entry in result.context.errors] == [entry.index for entry in result.context.errors]
    assert result.records_failed == len(failed)


@settings(deadline=None, max_examples=80)
@given(latencies, st.integers(2, 9), st.integers(1, 12), st.integers(0, 39), backends)
def test_the_first_record_that_fails_fails_the_stage_after_the_chunks_before_it(
    waits: list[int], concurrency: int, chunk_size: int, first: int, backend: str
) -> None:
    first %= len(waits) + 1
    function = Latencies(waits, lambda number: number >= first)
    stage = MapStage(function, concurrency=concurrency)
    chunks: list[Any] = []

    async def collect() -> Any:
        stream = pipeline_of(stage).stream(list(range(len(waits))), chunk_size=chunk_size)
        try:
            await take(stream, chunks)
        except ValueError as error:
            raised.append(error)
        return check_accounts(stream.result)

    raised: list[Exception] = []
    with_failure = first < len(waits)
    result = anyio.run(collect, backend=backend)
    assert raised == ([result.error] if with_failure else [])
    assert result.success == (not with_failure)
    if with_failure:
        assert str(result.error) == f"no {first}"
        assert result.context.errors[0].index == first
        assert list(chain.from_iterable(chunks)) == list(range(first // chunk_size * chunk_size))
        assert max(function.calls) < first + concurrency + 1  # no new calls once it is known
    assert set(function.calls.values()) <= {1}


pytestmark = pytest.mark.anyio


class Gathering:
    """An async function whose calls all wait until so many of them are under way."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self.under_way = self.most = 0
        self._all_here = anyio.Event()

    async def __call__(self, number: int) -> int:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        if self.under_way == self._wanted:
            self._all_here.set()
        await self._all_here.wait()
        self.under_way -= 1
        return number


@pytest.mark.parametrize(("concurrency", "chunk_size"), [(25, 10), (10, 10), (3, 1), (7, 1000), (40, 3)])
async def test_the_window_is_filled_across_the_borders_of_chunks(concurrency: int, chunk_size: int) -> None:
    function = Gathering(concurrency)
    with anyio.fail_after(20):
        stream = pipeline_of(MapStage(function, concurrency=concurrency)).stream(range(100), chunk_size=chunk_size)
        assert list(chain.from_iterable(await take(stream))) == list(range(100))
    assert function.most == concurrency


async def test_the_window_stays_full_as_long_as_there_are_records() -> None:
    """Whenever one of 25 calls is done, 25 are under way again before the next one is."""
    let_go: list[anyio.Event] = []
    done: list[int] = []

    async def held(number: int) -> int:
        event = anyio.Event()
        let_go.append(event)
        await event.wait()
        done.append(number)
        return number

    async def consume() -> None:
        stream = pipeline_of(MapStage(held, concurrency=25)).stream(range(100), chunk_size=10)
        assert list(chain.from_iterable(await take(stream))) == list(range(100))

    async with anyio.create_task_group() as group:
        group.start_soon(consume)
        for finished in range(100):
            await turns(20)
            assert len(let_go) == min(100, finished + 25)
            let_go[finished].set()
    assert sorted(done) == list(range(100))


async def test_without_order_a_slow_record_holds_back_no_chunk_but_its_own() -> None:
    let_go = anyio.Event()

    async def first_waits(number: int) -> int:
        if number == 0:
            await let_go.wait()
        return number

    stage = MapStage(first_waits, concurrency=2)
    with anyio.fail_after(20), nothing_left():
        async with pipeline_of(stage).stream(range(10), chunk_size=2, ordered=False) as stream:
            assert [await anext(stream) for _ in range(4)] == [[2, 3], [4, 5], [6, 7], [8, 9]]
            let_go.set()
            assert [chunk async for chunk in stream] == [[0, 1]]
    async with pipeline_of(stage).stream(range(10), chunk_size=2) as stream:
        assert await anext(stream) == [0, 1]


async def test_without_order_chunks_that_were_handed_out_are_not_kept_for_the_sake_of_a_slow_one() -> None:
    class Record:
        alive = 0

        def __init__(self) -> None:
            Record.alive += 1

        def __del__(self) -> None:
            Record.alive -= 1

    let_go = anyio.Event()

    async def first_waits(record: Record | None) -> int:
        if record is None:
            await let_go.wait()
        return 0

    data = chain([None], (Record() for _ in range(500)))
    with anyio.fail_after(20):
        async with pipeline_of(MapStage(first_waits, concurrency=2)).stream(
            data, chunk_size=2, ordered=False
        ) as stream:
            for _ in range(249):
                await anext(stream)
                assert Record.alive <= 2 * stream.max_in_flight
            let_go.set()
            assert len([chunk async for chunk in stream]) == 2


async def test_the_failure_that_comes_first_in_the_input_wins_though_another_came_first_in_time() -> None:
    four_failed = anyio.Event()

    async def fail(number: int) -> int:
        if number == 4:
            four_failed.set()
            raise ValueError("four")
        if number == 3:
            await four_failed.wait()
            await turns()
            raise ValueError("three")
        if number == 5:
            await anyio.sleep_forever()  # nobody waits for what comes after a failure
        return number

    stream = pipeline_of(MapStage(fail, concurrency=6)).stream(range(100), chunk_size=3)
    with nothing_left(), anyio.fail_after(20):
        chunks: list[Any] = []
        with pytest.raises(ValueError, match="three"):
            await take(stream, chunks)
    assert chunks == [[0, 1, 2]]
    assert errors_of(stream.result.context) == [("MapStage", 3, "three"), ("MapStage", 4, "four")]
    assert stream.result.records_failed == 2


async def test_once_a_record_has_failed_no_more_calls_are_made() -> None:
    called: list[int] = []
    let_go = anyio.Event()

    async def fail(number: int) -> int:
        called.append(number)
        if number == 0:
            await let_go.wait()
            return number
        raise ValueError(number)

    async def consume() -> None:
        with pytest.raises(ValueError, match="1"):
            await take(pipeline_of(MapStage(fail, concurrency=2)).stream(range(20), chunk_size=10))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(consume)
            await turns()
            assert called == [0, 1]
            let_go.set()
    assert called == [0, 1]


async def test_once_a_record_has_failed_no_more_are_read() -> None:
    let_go = anyio.Event()

    async def fail(number: int) -> int:
        if number == 1:
            await let_go.wait()
        if number == 2:
            raise ValueError(number)
        return number

    source = Numbers()
    stream = pipeline_of(source, MapStage(fail, concurrency=2)).stream(chunk_size=1)
    chunks = [await anext(stream)]

    async def consume() -> None:
        with pytest.raises(ValueError, match="2"):
            await take(stream, chunks)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            await turns()  # in which the third record fails
            group.start_soon(consume)
            await turns()
            assert (chunks, source.chunks) == ([[0]], 3)
            let_go.set()
    assert (chunks, source.chunks) == ([[0], [1]], 3)


@pytest.mark.parametrize("ordered", [True, False])
async def test_what_was_under_way_when_the_source_failed_comes_out_first(ordered: bool) -> None:
    async def slow(number: int) -> int:
        await turns()
        return number

    source = Numbers(7, error=OSError("gone"))
    stream = pipeline_of(source, MapStage(slow, concurrency=20)).stream(chunk_size=3, ordered=ordered)
    chunks: list[Any] = []
    with nothing_left(), pytest.raises(OSError, match="gone"):
        await take(stream, chunks)
    assert sorted(chunks) == [[0, 1, 2], [3, 4, 5], [6]]
    assert errors_of(stream.result.context) == [("Numbers", None, "gone")]


async def test_what_is_no_exception_does_not_wait_for_calls_under_way() -> None:
    async def abort(number: int) -> int:
        if number == 1:
            await turns()
            raise Abort
        return await anyio.sleep_forever()

    with nothing_left(), anyio.fail_after(20), pytest.raises(Abort):
        await take(pipeline_of(MapStage(abort, concurrency=3)).stream(range(10), chunk_size=1))


async def test_a_function_that_hands_out_awaitables_overlaps_and_one_that_does_not_works_too() -> None:
    gathering = Gathering(3)
    with anyio.fail_after(20):
        stage = MapStage(lambda number: gathering(number), concurrency=3)
        assert await take(pipeline_of(stage).stream(range(3), chunk_size=1)) == [[0], [1], [2]]
        plain = MapStage(lambda number: number, concurrency=3)
        assert await take(pipeline_of(plain).stream(range(3), chunk_size=2)) == [[0, 1], [2]]


async def test_a_filter_overlaps_and_its_counts_are_those_of_the_whole() -> None:
    async def is_even(number: int) -> bool:
        await checkpoint()
        return number % 2 == 0

    stream = pipeline_of(FilterStage(is_even, concurrency=4)).stream(range(10), chunk_size=3)
    assert await take(stream) == [[0, 2], [4], [6, 8]]
    result = check_accounts(stream.result, 10)
    assert (result.records_filtered, result.records_passed) == (5, 5)


@pytest.mark.extras
async def test_records_are_retried_in_the_window() -> None:
    attempts: Counter[int] = Counter()

    async def flaky(number: int) -> int:
        attempts[number] += 1
        await checkpoint()
        if number % 2 and attempts[number] < 2:
            raise OSError("try again")
        return number

    policy = RetryPolicy(attempts=3, on=OSError, wait_initial=0, wait_jitter=0)
    stream = pipeline_of(MapStage(flaky, concurrency=3, retry=policy)).stream(range(6), chunk_size=2)
    assert await take(stream) == [[0, 1], [2, 3], [4, 5]]
    assert attempts == {number: 1 + number % 2 for number in range(6)}


async def test_no_input_is_one_empty_chunk_for_hooks_and_counts() -> None:
    seen: list[Any] = []
    pipeline = pipeline_of(MapStage(checkpoint_and_return, concurrency=3))
    pipeline.before_stage(lambda name, data, context: seen.append(data))
    pipeline.after_stage(lambda name, data, context: seen.append(data))
    stream = pipeline.stream([])
    assert await take(stream) == []
    assert seen == [[], []]
    assert list(stream.result.stage_results) == ["MapStage"]


async def checkpoint_and_return(record: Any) -> Any:
    await checkpoint()
    return record


async def test_a_hook_that_stops_the_run_stops_it_after_the_chunks_before() -> None:
    def stop(name: str, data: Any, context: Any) -> None:
        if data == [4, 5]:
            raise StopPipeline("enough")

    pipeline = pipeline_of(MapStage(checkpoint_and_return, concurrency=3))
    pipeline.before_stage(stop)
    chunks: list[Any] = []
    with nothing_left(), pytest.raises(StopPipeline):
        await take(pipeline.stream(range(10), chunk_size=2), chunks)
    assert chunks == [[0, 1], [2, 3]]


async def test_its_times_say_how_long_calls_were_under_way_and_that_it_was_held_up() -> None:
    """Read from the clock, so only what must be so whatever the clock says."""
    sink = Collect(wait=turns)
    stream = pipeline_of(Numbers(40), MapStage(checkpoint_and_return, concurrency=2), sink).stream(chunk_size=2)
    await take(stream)
    progress = stream.context.progress["MapStage"]
    assert progress.duration_ms > 0
    assert progress.waiting_ms > 0
    assert progress.records_passed == 40
