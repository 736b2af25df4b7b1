"""``ThrottleStage``: no span of ``per`` seconds sees more than ``rate`` records at its output."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Any

import anyio
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from mainstem import PipelineContext, StageKind, ThrottleStage, clock
from runs import execute, run

LOADS = st.lists(st.tuples(st.floats(0, 3), st.integers(0, 5)), max_size=30)
"""Feeds: the time that passes before each, and how many records are in it."""


def virtual_ns() -> int:
    return int(trio.current_time() * 1_000_000_000)


def in_virtual_time(function: Callable[[], Awaitable[Any]]) -> Any:
    """Run on trio's virtual clock, which jumps ahead when all are asleep, and let the stage read it."""
    mock = trio.testing.MockClock(autojump_threshold=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "monotonic_ns", virtual_ns)
        return anyio.run(function, backend="trio", backend_options={"clock": mock})


def fed(feeds: Sequence[tuple[float, int]], rate: int, per: float, restore_at: int = -1) -> list[int]:
    """Feed numbered records in virtual time, and return at what nanosecond each of them came out, in order."""

    async def feed_all() -> list[int]:
        stage = ThrottleStage[int](rate, per=per)
        state, context = stage.begin(), PipelineContext()
        times: list[int] = []
        for at, (pause, count) in enumerate(feeds):
            if at == restore_at:
                fresh = stage.begin()
                fresh.restore(state.snapshot())
                state = fresh
            await anyio.sleep(pause)
            records = list(range(len(times), len(times) + count))
            result = await state.feed(records, context)
            assert (result.data, result.records_processed) == (records, count)
            times += [virtual_ns()] * count
        assert (await state.finish(context)).data == []
        return times

    return in_virtual_time(feed_all)


def most_in_any_window(times: Sequence[int], per: float) -> int:
    """The most records in a span of ``per`` seconds, its end left out; one that begins with a record has the most."""
    return max((sum(start <= time < start + per * 1_000_000_000 for time in times) for start in times), default=0)


@given(LOADS, st.integers(5, 12), st.sampled_from([0.1, 1.0, 2.5, 60.0]))
def test_no_window_sees_more_than_the_rate(feeds: list[tuple[float, int]], rate: int, per: float) -> None:
    times = fed(feeds, rate, per)
    assert len(times) == sum(count for _, count in feeds)
    assert most_in_any_window(times, per) <= rate


@given(LOADS, st.integers(5, 12), st.data())
def test_nor_does_one_that_spans_an_interruption(
    feeds: list[tuple[float, int]], rate: int, data: st.DataObject
) -> None:
    times = fed(feeds, rate, 2.0, restore_at=data.draw(st.integers(0, max(0, len(feeds) - 1))))
    assert most_in_any_window(times, 2.0) <= rate
    assert times == pytest.approx(fed(feeds, rate, 2.0), abs=10), "nobody waited longer for it"


@pytest.mark.parametrize(
    ("feeds", "seconds"),
    [
        ([(0, 3)] * 4, [0, 0, 0, 10, 10, 10, 20, 20, 20, 30, 30, 30]),
        ([(0, 1), (4, 2), (0, 1), (0, 2)], [0, 4, 4, 10, 14, 14]),
        ([(0, 2), (11, 3)], [0, 0, 11, 11, 11]),
    ],
)
def test_it_waits_no_longer_than_it_must(feeds: list[tuple[float, int]], seconds: list[float]) -> None:
    assert [time / 1_000_000_000 for time in fed(feeds, 3, 10.0)] == pytest.approx(seconds)


def test_what_is_over_is_forgotten_so_the_state_stays_small() -> None:
    async def long_run() -> Any:
        state = ThrottleStage[int](2, per=1.0).begin()
        for _ in range(100):
            await state.feed([1, 2], PipelineContext())
        assert len(state.snapshot()) == 1
        await anyio.sleep(1.0)
        return state.snapshot()

    assert in_virtual_time(long_run) == []


def test_a_feed_above_the_rate_is_refused_and_never_let_through() -> None:
    async def feed() -> None:
        await ThrottleStage[int](2).begin().feed([1, 2, 3], PipelineContext())

    with pytest.raises(ValueError, match="3 records at a time, where largest_feed is 2"):
        in_virtual_time(feed)
    assert ThrottleStage(2).largest_feed == 2


@pytest.mark.parametrize("rate", [1, 7, 100])
def test_a_pipeline_takes_as_long_as_the_rate_says_and_reports_the_time_held_up(rate: int) -> None:
    async def timed() -> tuple[Any, float]:
        started = trio.current_time()
        result = await execute(ThrottleStage(rate, per=5.0), data=list(range(4 * rate)), entered=4 * rate)
        return result, trio.current_time() - started

    result, took = in_virtual_time(timed)
    assert result.data == list(range(4 * rate))
    assert took == pytest.approx(15.0)
    assert result.context.progress["ThrottleStage"].throttle_ms == pytest.approx(15_000)


@pytest.mark.anyio
async def test_it_waits_on_each_event_loop_and_on_the_real_clock() -> None:
    started = monotonic()
    result = await execute(ThrottleStage(1, per=0.004), data=["a", "b", "c"], entered=3)
    assert result.data == ["a", "b", "c"]
    assert monotonic() - started >= 0.008
    assert 8 <= result.context.progress["ThrottleStage"].throttle_ms <= result.duration_ms


def test_what_is_below_the_rate_goes_on_at_once() -> None:
    result = run(ThrottleStage(1000, per=3600), data=range(1000), entered=1000)
    assert result.data == list(range(1000))
    assert result.context.progress["ThrottleStage"].throttle_ms == 0


def test_each_run_has_a_limit_of_its_own() -> None:
    async def two_runs() -> float:
        stage = ThrottleStage[int](2, per=10.0)
        started = trio.current_time()
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: execute(stage, data=[1, 2]))
            group.start_soon(lambda: execute(stage, data=[3, 4]))
        return trio.current_time() - started

    assert in_virtual_time(two_runs) == 0


def test_an_empty_input_is_no_problem() -> None:
    assert run(ThrottleStage(1), data=[], entered=0).data == []


@pytest.mark.parametrize("rate", [0, -1, 1.5, True, "2", None], ids=repr)
def test_a_wrong_rate_is_refused_when_the_stage_is_made(rate: Any) -> None:
    with pytest.raises(ValueError, match="rate of ThrottleStage must be a positive whole number"):
        ThrottleStage(rate)


@pytest.mark.parametrize("per", [0, -1, True, "2", None, float("inf"), float("nan")], ids=repr)
def test_a_wrong_span_is_refused_when_the_stage_is_made(per: Any) -> None:
    with pytest.raises(ValueError, match="per of ThrottleStage must be a positive number of seconds"):
        ThrottleStage(1, per=per)


def test_it_keeps_the_records_their_type_and_their_number() -> None:
    assert ThrottleStage(1).kind is StageKind.STATEFUL
    assert ThrottleStage(1).expands is False
    assert ThrottleStage(1).output_hint(list[int]) == list[int]
    assert (ThrottleStage(1).name, ThrottleStage(1, name="slow").name) == ("ThrottleStage", "slow")
