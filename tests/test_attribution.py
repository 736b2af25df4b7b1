"""Attribution: runs whose bottleneck is known, in memory and as streams, and what is said of them."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any

import anyio
import pytest

from mainstem import (
    AggregateStage,
    MapStage,
    PipelineContext,
    PipelineResult,
    PipelineStage,
    Position,
    RetryPolicy,
    SourceChunk,
    SourceStage,
    StageResult,
    StageTiming,
    ThrottleStage,
    pipeline_run,
)
from mainstem.engine.shipping_cost import available_processors
from runs import check_accounts, pipeline_of
from streams import Collect, arriving

pytestmark = [pytest.mark.anyio, pytest.mark.alone]

RECORDS = 40


class Fetch:
    """An async function that waits so many seconds; the last answer is as good as any."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def __call__(self, record: Any) -> Any:
        await anyio.sleep(self._seconds)
        return record


def compute(record: Any) -> Any:
    """Keep the thread for some time, without a need for a processor that other processes may want as well."""
    time.sleep(0.003)
    return record


class Computing:
    """An async function that keeps the thread; a clock of its processor time goes on meanwhile and at no other time.

    The real one stands still while another process has the processor.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    async def __call__(self, record: Any) -> Any:
        started = time.perf_counter()
        compute(record)
        self.seconds += time.perf_counter() - started
        return record

    def clock(self) -> float:
        return self.seconds


@pytest.fixture
def compute_async(monkeypatch: pytest.MonkeyPatch) -> Computing:
    function = Computing()
    monkeypatch.setattr(pipeline_run, "thread_time", function.clock)
    return function


def slow_iterable(seconds: float = 0.003) -> Iterator[int]:
    for number in range(RECORDS):
        time.sleep(seconds)
        yield number


async def slow_async_iterable() -> AsyncGenerator[int, None]:
    for number in range(RECORDS):
        await anyio.sleep(0.003)
        yield number


class SlowSource(SourceStage[int]):
    """A source that waits, or computes, before each chunk."""

    name = "extract"

    def __init__(self, before: Callable[[Any], Any]) -> None:
        self._before = before

    async def read(
        self, context: PipelineContext, *, start: Position | None = None, chunk_size: int = 1000
    ) -> AsyncGenerator[SourceChunk[int], None]:
        for number in range(RECORDS):
            await self._before(number)
            yield SourceChunk([number], {"next": number + 1})


def fetching(seconds: float = 0.005, concurrency: int = 2, name: str = "fetch", **options: Any) -> Any:
    return MapStage(Fetch(seconds), concurrency=concurrency, name=name, **options)


def computing(name: str = "parse") -> Any:
    return MapStage(compute, name=name)


async def in_memory(stages: Sequence[PipelineStage[Any, Any]], data: Any = None) -> PipelineResult[Any]:
    return check_accounts(await pipeline_of(*stages).execute(data))


async def streamed(
    stages: Sequence[PipelineStage[Any, Any]], data: Any = None, *, pause: float = 0.0, **options: Any
) -> PipelineResult[Any]:
    options.setdefault("chunk_size", 5)
    async with pipeline_of(*stages).stream(data, **options) as stream:
        async for _ in stream:
            if pause:
                await anyio.sleep(pause)
    return check_accounts(stream.result)


async def quickest(run: Callable[[], Awaitable[PipelineResult[Any]]]) -> PipelineResult[Any]:
    """The quickest of a few runs: the others were held up by something else."""
    return min([await run() for _ in range(4)], key=lambda result: result.duration_ms)


WAYS = pytest.mark.parametrize("run", [in_memory, streamed])


def check_bound(result: PipelineResult[Any], name: str, cause: str) -> Any:
    """Check that the part is named as the bottleneck, with believable numbers and in words, and hand it back."""
    found = result.bottleneck
    assert found is not None, result.explain()
    assert (found.name, found.cause) == (name, cause), result.explain()
    assert found.wall_ms == result.duration_ms
    assert 0.5 < found.share <= 1, result.explain()
    first, *_ = result.explain().splitlines()
    assert "bounds the run" in first
    assert name.removeprefix("the ") in first
    return found


@WAYS
@pytest.mark.parametrize("data", [slow_iterable, slow_async_iterable])
@pytest.mark.parametrize("stage", [MapStage[int, str](str, name="text"), fetching(concurrency=10)])
async def test_a_slow_input_bounds_the_run(run: Any, data: Any, stage: Any) -> None:
    result = await run([stage], data())
    found = check_bound(result, "the input", "input")
    assert found.busy_ms >= RECORDS * 3 * 0.99
    assert found.remedy is None
    assert "More concurrency or workers would not make it faster" in result.explain()


async def test_an_input_is_not_blamed_for_the_time_in_which_nobody_wanted_more_of_it() -> None:
    result = await streamed([fetching(0.005, 2)], arriving(range(RECORDS)), chunk_size=2)
    check_bound(result, "fetch", "waiting")
    assert result.times is not None
    assert result.times.parts[0].name == "the input"
    assert result.times.parts[0].busy_ms < result.duration_ms / 4


@WAYS
async def test_a_slow_source_bounds_the_run(run: Any) -> None:
    result = await run([SlowSource(Fetch(0.004)), MapStage(str, name="text"), Collect()])
    assert check_bound(result, "extract", "waiting").remedy is None


@WAYS
async def test_a_source_that_computes_is_told_from_one_that_waits(run: Any, compute_async: Computing) -> None:
    # Without a sink: one that gives way takes as long as the source keeps the thread, to the millisecond.
    result = await run([SlowSource(compute_async), fetching(concurrency=10)])
    assert check_bound(result, "extract", "computing").remedy is None


@WAYS
async def test_an_async_stage_that_waits_bounds_the_run(run: Any) -> None:
    result = await run(
        [MapStage(str, name="text"), fetching(), AggregateStage(len, name="count")], list(range(RECORDS))
    )
    found = check_bound(result, "fetch", "waiting")
    assert (found.remedy.option, found.remedy.value, found.remedy.next_bound) == ("concurrency", 4, "fetch")
    assert "with 2 calls at a time" in result.explain()
    assert "With concurrency=4 there the run would take about" in result.explain()


@WAYS
async def test_a_plain_function_that_hands_out_awaitables_waits(run: Any) -> None:
    stage: Any = MapStage(lambda record: Fetch(0.005)(record), concurrency=2, name="fetch")
    assert check_bound(await run([stage], list(range(RECORDS))), "fetch", "waiting").remedy.option == "concurrency"


@WAYS
async def test_what_more_concurrency_is_said_to_give_it_gives(run: Any) -> None:
    def run_with(concurrency: int) -> Any:
        return run([MapStage(str), fetching(concurrency=concurrency)], list(range(RECORDS)))

    for concurrency in (1, 2, 5):
        first = await quickest(partial(run_with, concurrency))
        remedy = check_bound(first, "fetch", "waiting").remedy
        again = await quickest(partial(run_with, remedy.value))
        assert again.duration_ms == pytest.approx(remedy.estimated_ms, rel=0.3)


async def test_the_stage_that_would_bound_the_run_next_is_named_and_limits_what_is_promised() -> None:
    def run_with(concurrency: int) -> Any:
        return streamed([fetching(0.008, concurrency), fetching(0.006, 1, name="load")], list(range(RECORDS)))

    first = await quickest(partial(run_with, 1))
    remedy = check_bound(first, "fetch", "waiting").remedy
    assert remedy.next_bound == "load"
    assert "'load' would then bound it" in first.explain() or "'load' takes nearly as long" in first.explain()
    again = await quickest(partial(run_with, remedy.value))
    assert again.duration_ms == pytest.approx(remedy.estimated_ms, rel=0.3)
    check_bound(again, "load", "waiting")


async def test_times_of_stages_that_take_turns_add_up() -> None:
    def run_with(concurrency: int) -> Any:
        return in_memory([fetching(0.008, concurrency), fetching(0.006, 2, name="load")], list(range(RECORDS)))

    first = await quickest(partial(run_with, 2))
    remedy = check_bound(first, "fetch", "waiting").remedy
    assert remedy.next_bound == "load"
    assert remedy.estimated_ms == pytest.approx(
        first.duration_ms - first.stage_results["fetch"].duration_ms / 2, rel=0.05
    )
    again = await quickest(partial(run_with, remedy.value))
    assert again.duration_ms == pytest.approx(remedy.estimated_ms, rel=0.3)


@WAYS
async def test_a_stage_that_computes_bounds_the_run(run: Any) -> None:
    result = await run([computing(), MapStage(str, name="text"), AggregateStage(len)], [1] * RECORDS)
    check_bound(result, "parse", "computing")
    result = await run([computing(), fetching(concurrency=10)], [1] * RECORDS)
    check_bound(result, "parse", "computing")


@pytest.mark.extras
async def test_where_workers_cannot_be_used_they_are_not_advised() -> None:
    pipeline = pipeline_of(computing())
    pipeline.after_stage(lambda *_: None)  # it is to see what lies between the stages
    assert check_bound(await pipeline.execute([1] * RECORDS), "parse", "computing").remedy is None
    few = await pipeline_of(computing()).execute([1] * RECORDS, workers=2)
    assert any("ran in this process" in note for note in few.stage_results["parse"].notes)
    assert check_bound(few, "parse", "computing").remedy is None


@pytest.mark.slow
@pytest.mark.extras
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # it takes long, so that starting the workers does not matter
async def test_what_workers_are_said_to_give_they_give() -> None:
    records = list(range(1700))
    first = await in_memory([computing()], records)
    remedy = check_bound(first, "parse", "computing").remedy
    assert (remedy.option, remedy.value) == ("workers", 2)
    assert "With workers=2 the run would take about" in first.explain()
    again = check_accounts(await pipeline_of(computing()).execute(records, workers=2))
    for _ in range(4):  # others that want the processors only make it slower
        if again.duration_ms > remedy.estimated_ms * 1.3:
            again = check_accounts(await pipeline_of(computing()).execute(records, workers=2))
    assert again.duration_ms == pytest.approx(remedy.estimated_ms, rel=0.3)
    found = check_bound(again, "parse", "computing")
    assert found.busy_ms < again.duration_ms
    assert ", in 2 worker processes" in again.explain()
    assert found.remedy is None or available_processors() > 2
    assert again.stage_results["parse"].timing.busy_ms > again.duration_ms


@WAYS
@pytest.mark.parametrize("concurrency", [1, 4])
async def test_an_async_stage_that_computes_is_not_told_to_make_more_calls(
    run: Any, concurrency: int, compute_async: Computing
) -> None:
    stage = MapStage(compute_async, concurrency=concurrency, name="parse")
    result = await run([stage], list(range(RECORDS)))
    assert check_bound(result, "parse", "computing").remedy is None
    assert "more concurrency would not help" in result.explain()


async def test_the_processor_time_of_the_thread_is_measured() -> None:
    def spin(record: int) -> int:
        until = time.thread_time() + 0.002
        while time.thread_time() < until:
            pass
        return record

    result = await in_memory([MapStage(spin), fetching()], list(range(RECORDS)))
    assert result.times is not None
    assert RECORDS * 2 <= result.times.thread_ms <= RECORDS * 2 * 1.5
    assert result.times.thread_ms < result.times.wall_ms


@WAYS
async def test_a_slow_sink_bounds_the_run(run: Any) -> None:
    sink = Collect(wait=lambda: anyio.sleep(0.01))
    result = await run([SlowSource(Fetch(0.0001)), MapStage(str, name="text"), sink])
    assert check_bound(result, "Collect", "waiting").remedy is None


@pytest.mark.parametrize("stages", [[MapStage[int, str](str, name="text")], [fetching(0.001, 10)]])
async def test_a_slow_taker_of_a_stream_bounds_it(stages: list[Any]) -> None:
    result = await streamed(stages, list(range(RECORDS)), pause=0.015)
    found = check_bound(result, "the taker of the output", "output")
    assert found.busy_ms >= 8 * 15 * 0.99
    assert found.remedy is None
    (timing,) = (each.timing for each in result.stage_results.values())
    assert timing.blocked_ms > result.duration_ms / 2


@WAYS
async def test_a_rate_limit_bounds_the_run(run: Any) -> None:
    result = await run([ThrottleStage(10, per=0.03, name="limit"), fetching(0.001, 10)], list(range(RECORDS)))
    assert check_bound(result, "limit", "rate limit").remedy is None
    assert result.stage_results["limit"].timing.throttle_ms >= 3 * 30 * 0.95
    assert "Only a higher rate would make it faster" in result.explain()


@pytest.mark.extras
@WAYS
async def test_retries_bound_the_run(run: Any) -> None:
    attempts: dict[int, int] = {}

    async def flaky(number: int) -> int:
        attempts[number] = attempts.get(number, 0) + 1
        if attempts[number] == 1:
            raise ConnectionError("try later")
        return number

    policy = RetryPolicy(attempts=2, wait_initial=0.005, wait_jitter=0)
    result = await run([MapStage(flaky, retry=policy, concurrency=2, name="fetch")], list(range(RECORDS)))
    found = check_bound(result, "fetch", "retries")
    assert "on further attempts" in result.explain()
    assert result.stage_results["fetch"].timing.retry_ms >= RECORDS / 2 * 5 * 0.95
    assert found.remedy.option == "concurrency"


@WAYS
async def test_a_stage_with_few_records_is_not_told_to_make_more_calls(run: Any) -> None:
    result = await run([fetching(0.02, 10)], [1, 2, 3])
    assert check_bound(result, "fetch", "waiting").remedy is None
    assert "It had no more than 3 records" in result.explain()


async def test_a_stream_without_room_for_more_calls_is_not_told_to_make_more() -> None:
    result = await streamed([fetching(0.003, 10)], list(range(RECORDS)), chunk_size=1, max_in_flight=3)
    assert check_bound(result, "fetch", "waiting").remedy is None
    assert "a larger max_in_flight or chunk_size would help" in result.explain()


async def test_time_that_goes_into_hooks_is_blamed_on_no_stage() -> None:
    pipeline = pipeline_of(MapStage(str))
    pipeline.before_stage(lambda *_: anyio.sleep(0.05))
    result = await pipeline.execute([1])
    assert result.bottleneck is None
    assert "went into hooks" in result.explain()


@WAYS
async def test_a_failed_run_says_where_it_failed_and_the_times_until_then(run: Any) -> None:
    stages = [fetching(0.005), MapStage(int, name="parse")]
    if run is in_memory:
        result = await in_memory(stages, ["1", "2", "x"])
    else:
        stream = pipeline_of(*stages).stream(["1", "2", "x"])
        with pytest.raises(ValueError, match="invalid literal"):
            await anext(stream)
        result = stream.result
    assert result.bottleneck is None
    first, second = result.explain().splitlines()
    assert first.startswith("The run failed in 'parse' after ")
    assert "ValueError: invalid literal" in first
    assert second.startswith("Until then were busy: 'fetch' 1")


async def test_a_stream_that_is_closed_early_says_so() -> None:
    async with pipeline_of(fetching()).stream(list(range(RECORDS)), chunk_size=2) as stream:
        await anext(stream)
    assert stream.result.explain().startswith("The run failed after ")
    assert "StreamClosedError" in stream.result.explain()


async def test_where_nothing_can_be_said_that_is_said() -> None:
    short = await in_memory([MapStage(str)], [1])
    assert short.bottleneck is None
    assert short.times is not None
    assert short.times.phases == ()
    assert "too short to say" in short.explain()
    no_stages = await streamed([], slow_iterable())
    assert no_stages.bottleneck is None
    assert "no stage was at work" in no_stages.explain()
    made: PipelineResult[Any] = PipelineResult(context=PipelineContext())
    assert made.bottleneck is None
    assert "no run made it" in made.explain()


@WAYS
async def test_every_stage_of_a_run_reports_its_times(run: Any) -> None:
    result = await run([MapStage(str, name="text"), fetching(), Collect()], list(range(RECORDS)))
    for name, part in result.stage_results.items():
        progress = result.context.progress[name]
        assert part.timing == StageTiming.of(progress)
        assert part.timing.busy_ms == part.duration_ms
        assert part.timing.busy_ms + part.timing.waiting_ms + part.timing.blocked_ms <= result.duration_ms * 1.1
        assert run is streamed or part.timing.blocked_ms == 0  # what follows takes its output when it is done
    assert result.stage_results["Collect"].timing.waiting_ms > result.duration_ms / 2
    assert StageResult(data=1).timing == StageTiming()


async def test_in_a_stream_busy_waiting_and_blocked_make_up_the_time_of_the_run() -> None:
    stages = [fetching(0.002, 1, name="before"), fetching(0.006, 1), fetching(0.001, 1, name="after")]
    result = await streamed(stages, list(range(RECORDS)))
    timing = {name: part.timing for name, part in result.stage_results.items()}
    for each in timing.values():
        assert each.busy_ms + each.waiting_ms + each.blocked_ms == pytest.approx(result.duration_ms, rel=0.15)
    assert timing["before"].blocked_ms > result.duration_ms / 3 > timing["before"].waiting_ms
    assert timing["after"].waiting_ms > result.duration_ms / 3 > timing["after"].blocked_ms
    assert timing["fetch"].busy_ms > result.duration_ms * 0.8
    assert timing["fetch"].queue_depth > 0
    result = await streamed([fetching(), MapStage(str, name="text")], list(range(RECORDS)))
    assert result.stage_results["text"].timing.waiting_ms > result.duration_ms * 0.8


def laid_out(result: PipelineResult[Any]) -> list[list[list[str]]]:
    """The names of the parts: of phases, lanes and what took turns in them."""
    assert result.times is not None
    return [[[part.name for part in lane] for lane in phase] for phase in result.times.phases]


async def test_the_parts_that_ran_beside_one_another_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_run, "SHORTEST_MS", 0.0)
    text: Any = MapStage(str, name="text")
    given, taker = "the input", "the taker of the output"
    source = [SlowSource(Fetch(0.0001)), computing(), text, fetching(), Collect()]
    for run in in_memory, streamed:
        assert laid_out(await run(source)) == [[["extract"], ["parse", "text"], ["fetch"], ["Collect"]]]
    assert laid_out(await in_memory([text, fetching()], [1])) == [[[given, "text", "fetch"]]]
    assert laid_out(await in_memory([text], arriving([1]))) == [[[given], ["text"]]]
    assert laid_out(await streamed([text], arriving([1]))) == [[[given], ["text", taker]]]
    assert laid_out(await streamed([fetching(), text], [1])) == [[[given], ["fetch"], ["text", taker]]]
    assert laid_out(await streamed([fetching(concurrency=1)], [1])) == [[[given, "fetch"], [taker]]]
    gathers = [text, AggregateStage(sorted, name="sort"), MapStage(int, name="number")]
    assert laid_out(await streamed(gathers, [3, 1])) == [[[given, "text"]], [["sort"]], [["number", taker]]]
