"""``VirtualClock``: what waits by it, in which order, how exactly, and that all is as before after it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal, cast

import anyio
import pytest
from anyio import from_thread, to_thread
from tests.runs import pipeline_of

from mainstem import (
    MapStage,
    Pipeline,
    RejectLedger,
    RetryPolicy,
    ThrottleStage,
    TumblingWindow,
    WindowStage,
    clock,
    open_store,
)
from mainstem.testing import FakeSink, FakeSource, VirtualClock

REAL = (time.monotonic, time.monotonic_ns, time.perf_counter)


@pytest.fixture(params=["asyncio", "trio"])
def virtual(request: pytest.FixtureRequest) -> Iterator[VirtualClock]:
    with VirtualClock(backend=request.param) as made:
        began = time.monotonic()
        yield made
        assert time.monotonic() - began < 20, "nothing waits for long, really"


def test_a_rate_limit_is_waited_for_in_no_time(virtual: VirtualClock) -> None:
    result = pipeline_of(ThrottleStage(2, per=3600)).run(list(range(7)))
    assert (result.data, virtual.seconds) == (list(range(7)), 3 * 3600)
    assert result.stage_results["ThrottleStage"].timing.throttle_ms == 3 * 3600 * 1000


@pytest.mark.extras
def test_retries_wait_as_their_policy_says(virtual: VirtualClock) -> None:
    calls: list[float] = []

    def fail(_: int) -> int:
        calls.append(virtual.seconds)
        raise ConnectionError

    policy = RetryPolicy(attempts=5, wait_initial=10, wait_max=60, wait_jitter=0)
    result = pipeline_of(MapStage(fail, retry=policy, name="ask")).run([1])
    assert isinstance(result.error, ConnectionError)
    assert calls == pytest.approx([0, 10, 30, 70, 130])
    assert result.stage_results["ask"].timing.retry_ms == pytest.approx(130_000)


@pytest.mark.extras
def test_the_time_limit_of_all_attempts_goes_by_it(virtual: VirtualClock) -> None:
    calls: list[float] = []

    def fail(_: int) -> int:
        calls.append(virtual.seconds)
        raise ConnectionError

    policy = RetryPolicy(attempts=100, wait_initial=10, wait_max=10, wait_jitter=0, timeout=35)
    pipeline_of(MapStage(fail, retry=policy)).run([1])
    assert calls == pytest.approx([0, 10, 20, 30, 40])


@pytest.mark.extras
def test_the_rate_limit_of_requests_goes_by_it(virtual: VirtualClock) -> None:
    from mainstem.connect.http_limit import RequestLimit

    limit = RequestLimit("2/hour", None)

    async def pass_all() -> list[float]:
        return [await limit.pass_one() for _ in range(5)]

    assert virtual.run(pass_all) == pytest.approx([0, 0, 3600, 0, 3600], abs=0.1)


def test_the_time_limit_of_a_call_goes_by_it(virtual: VirtualClock) -> None:
    async def answer(seconds: int) -> int:
        await anyio.sleep(seconds)
        return seconds

    result = pipeline_of(MapStage(answer, timeout=30, continue_on_error=True)).run([29, 31, 10_000])
    assert (result.data, virtual.seconds) == ([29], 89)


def test_calls_end_in_the_order_of_their_times(virtual: VirtualClock) -> None:
    ended: list[tuple[int, float]] = []

    async def answer(seconds: int) -> int:
        await anyio.sleep(seconds)
        ended.append((seconds, virtual.seconds))
        return seconds

    result = pipeline_of(MapStage(answer, concurrency=4)).run([50, 10, 40, 20])
    assert result.data == [50, 10, 40, 20]
    assert ended == [(10, 10), (20, 20), (40, 40), (50, 50)]


def test_the_limit_of_a_sync_call_is_a_real_one_while_a_thread_is_at_it() -> None:
    def answer(number: int) -> int:
        time.sleep(0.2)
        return number

    with VirtualClock() as virtual:
        assert pipeline_of(MapStage(answer, timeout=10)).run([1, 2]).data == [1, 2]
        assert 0.3 < virtual.seconds < 10
        result = pipeline_of(MapStage(answer, timeout=0.05)).run([1])
    assert isinstance(result.error, TimeoutError)


@pytest.mark.parametrize("how", ["anyio", "executor"])
def test_time_does_not_jump_past_what_a_thread_does(how: str) -> None:
    async def answer(number: int) -> int:
        with anyio.fail_after(30):
            if how == "anyio":
                await to_thread.run_sync(time.sleep, 0.2)
            else:
                import asyncio

                await asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.2)
        return number

    with VirtualClock() as virtual:
        assert pipeline_of(MapStage(answer)).run([1]).data == [1]
        assert 0.1 < virtual.seconds < 30


def test_a_thread_that_waits_for_the_loop_gets_its_answer() -> None:
    async def answer(number: int) -> int:
        return await to_thread.run_sync(from_thread.run, later, number)

    async def later(number: int) -> int:
        await anyio.sleep(0.1)
        return number

    with VirtualClock():
        assert pipeline_of(MapStage(answer)).run([1]).data == [1]


def test_an_answer_from_the_network_is_waited_for_as_long_as_it_is_told_to() -> None:
    async def ask(port: int) -> bytes:
        with anyio.fail_after(60):
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                return await stream.receive()

    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                time.sleep(0.2)
                connection.sendall(b"here")

        thread = threading.Thread(target=serve)
        thread.start()
        with VirtualClock(idle_seconds=5) as virtual:
            assert virtual.run(ask, server.getsockname()[1]) == b"here"
            assert virtual.seconds == 0
        thread.join()


def test_streams_run_on_it(virtual: VirtualClock) -> None:
    times: list[tuple[list[int], float]] = []
    pipeline: Any = pipeline_of(FakeSource([1, 2, 3], every=timedelta(minutes=1)))

    async def read() -> None:
        async with pipeline.stream() as chunks:
            async for chunk in chunks:
                times.append((chunk, virtual.seconds))

    virtual.run(read)
    assert times == [([1], 60), ([2], 120), ([3], 180)]


def test_windows_of_records_that_bear_its_time(virtual: VirtualClock) -> None:
    """A window goes by its records' timestamps: those of a source that makes them on the clock are its own."""

    async def readings() -> AsyncIterator[tuple[datetime, int]]:
        for number in range(6):
            await anyio.sleep(20)
            yield virtual.now(), number

    def at(reading: tuple[datetime, int]) -> datetime:
        return reading[0]

    pipeline: Any = pipeline_of(WindowStage(TumblingWindow(timedelta(minutes=1)), at))
    found: list[list[int]] = []

    async def read() -> None:
        async with pipeline.stream(readings()) as chunks:
            async for chunk in chunks:
                found.extend([number for _, number in each.value] for each in chunk)

    virtual.run(read)
    assert found == [[0, 1], [2, 3, 4], [5]]
    assert virtual.now() == datetime(2026, 1, 1, 0, 2, tzinfo=timezone.utc)


@pytest.mark.parametrize("every", [timedelta(seconds=30), timedelta(seconds=90)])
def test_batches_of_a_durable_run_end_by_it(tmp_path: Path, every: timedelta) -> None:
    sink = FakeSink[int]()
    pipeline = pipeline_of(FakeSource(range(9), every=30), sink)
    with VirtualClock():
        result = pipeline.run(store=tmp_path / "runs.db", run_id="1", commit_every=every)
    assert result.success, result.error
    assert sink.stored == list(range(9))
    assert sink.commits == pytest.approx(9 if every.seconds == 30 else 3, abs=1)


def test_a_connection_that_comes_back_late_is_waited_for(tmp_path: Path) -> None:
    sink = FakeSink[int](fails_at=2, failures=6)
    with VirtualClock() as virtual:
        result = pipeline_of(FakeSource(range(5)), sink).run(store=tmp_path / "runs.db", run_id="1")
        assert virtual.seconds > 1
    assert (result.error, sink.stored) == (None, list(range(5)))


def test_replaying_rejects_goes_by_it(tmp_path: Path) -> None:
    """``RejectLedger.run_replay`` makes an event loop of its own, like ``run``."""

    async def parse(text: str) -> int:
        await anyio.sleep(3600)
        return int(text)

    sink = FakeSink[int]()
    store = open_store(tmp_path / "runs.db")
    pipeline: Any = pipeline_of(MapStage(parse, continue_on_error=True), sink)
    with VirtualClock() as virtual:
        pipeline.run(["1", "x"], store=store, run_id="1")
        with RejectLedger(store) as ledger:
            (reject,) = ledger.list()
            ledger.edit(reject.id, "2")
            ledger.approve(reject.id)
            assert ledger.run_replay(pipeline, "1").replayed == 1
        assert virtual.seconds >= 3 * 3600
    store.close()
    assert sink.stored == [1, 2]


def test_turning_it_on_is_seen_by_what_goes_by_it(virtual: VirtualClock) -> None:
    passed: list[float] = []

    def work(number: int) -> int:
        virtual.advance(timedelta(seconds=45))
        passed.append(virtual.seconds)
        return number

    pipeline_of(ThrottleStage(1, per=60), MapStage(work)).run([1])
    with pytest.raises(ValueError, match="not turned back"):
        virtual.advance(-1)
    assert (passed, virtual.now().second) == ([45], 45)


def test_it_starts_when_it_is_told_to() -> None:
    at = datetime(2030, 5, 5, 12, tzinfo=timezone.utc)
    assert VirtualClock(at).now() == at
    with pytest.raises(ValueError, match="aware"):
        VirtualClock(datetime(2030, 5, 5))
    with pytest.raises(ValueError, match="negative"):
        VirtualClock(idle_seconds=-1)


def test_after_it_all_is_as_it_was(virtual: VirtualClock) -> None:
    with pytest.raises(RuntimeError, match="in use already"), VirtualClock():
        pytest.fail("two clocks at a time")
    assert clock.monotonic() == virtual.seconds
    virtual.__exit__()
    assert (clock.monotonic, clock.monotonic_ns, clock.perf_counter, clock.event_loop) == (*REAL, {})
    began = time.monotonic()
    pipeline_of(ThrottleStage(1, per=0.05)).run([1, 2])
    assert time.monotonic() - began >= 0.05


@pytest.mark.extras
def test_the_library_that_measures_retries_gets_its_time_back() -> None:
    import tenacity

    before: Any = cast("Any", tenacity).time
    with VirtualClock():
        assert cast("Any", tenacity).time is not before
    assert cast("Any", tenacity).time is before is time


@pytest.fixture
def fast_clock() -> Iterator[VirtualClock]:
    with VirtualClock() as made:
        yield made


@pytest.fixture
def anyio_backend(fast_clock: VirtualClock) -> tuple[Literal["asyncio"], dict[str, Any]]:
    return cast("Any", fast_clock.anyio_backend)


@pytest.mark.anyio
async def test_an_async_test_runs_on_it(fast_clock: VirtualClock) -> None:
    stage: Any = ThrottleStage(1, per=86400)
    result = await Pipeline[list[int], list[int]]("slow").add_stage(stage).execute([1, 2, 3])
    assert (result.data, fast_clock.seconds) == ([1, 2, 3], 2 * 86400)
