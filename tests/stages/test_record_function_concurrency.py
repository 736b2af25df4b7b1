"""Async functions: a bounded window of calls, in order, cancelled and awaited when the run ends early."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from mainstem import FilterStage, MapStage, ValidateRecordsStage
from mainstem.endpoints import CHUNK_SIZE
from runs import execute, pipeline_of

pytestmark = pytest.mark.anyio

STAGES = [MapStage, FilterStage, ValidateRecordsStage]


@pytest.fixture(params=STAGES, ids=lambda stage: stage.__name__)
def stage_class(request: pytest.FixtureRequest) -> Any:
    return request.param


class Window:
    """Says yes to each record after a few turns of the event loop, and counts the calls under way."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.now = 0
        self.most = 0
        self.most_tasks = 0

    async def check(self, record: int) -> bool:
        self.seen.append(record)
        self.now += 1
        self.most = max(self.most, self.now)
        self.most_tasks = max(self.most_tasks, len(anyio.get_running_tasks()))
        for _ in range(1 + record * 7 % 5):
            await anyio.lowlevel.checkpoint()
        self.now -= 1
        return True


@pytest.mark.parametrize("concurrency", [1, 2, 7])
@pytest.mark.parametrize("as_lambda", [False, True], ids=["coroutine function", "function returning awaitables"])
async def test_calls_under_way_never_exceed_the_window_and_fill_it(
    concurrency: int, as_lambda: bool, stage_class: Any
) -> None:
    window = Window()
    tasks_before = len(anyio.get_running_tasks())
    length = CHUNK_SIZE + 20
    function = (lambda record: window.check(record)) if as_lambda else window.check
    result = await execute(stage_class(function, concurrency=concurrency), data=range(length), entered=length)
    assert window.seen == list(range(length)), "each record once, begun in order"
    assert window.most == concurrency
    assert window.most_tasks <= tasks_before + concurrency
    assert len(result.data) == length


async def test_a_window_larger_than_the_data_is_no_problem(stage_class: Any) -> None:
    window = Window()
    await execute(stage_class(window.check, concurrency=1000), data=range(3), entered=3)
    assert window.most == 3


async def test_order_is_kept_though_the_calls_end_in_reverse() -> None:
    ended = [anyio.Event() for _ in range(6)]
    ended[-1].set()

    async def in_reverse(record: int) -> str:
        await ended[record].wait()
        if record:
            ended[record - 1].set()
        return f"#{record}"

    result = await execute(MapStage(in_reverse, concurrency=6), data=range(6))
    assert result.data == ["#0", "#1", "#2", "#3", "#4", "#5"]


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_cancelling_a_run_cancels_its_calls_and_waits_for_their_cleanup(
    concurrency: int, stage_class: Any
) -> None:
    begun: list[int] = []
    cleaned: list[int] = []
    all_begun = anyio.Event()

    async def hang(record: int) -> bool:
        begun.append(record)
        if len(begun) == concurrency:
            all_begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            cleaned.append(record)
        return True

    cleaned_at_return: list[int] = []

    async def run_until_cancelled(scope: anyio.CancelScope) -> None:
        with scope:
            await pipeline_of(stage_class(hang, concurrency=concurrency)).execute(range(100))
        cleaned_at_return.extend(cleaned)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()
            group.start_soon(run_until_cancelled, scope)
            await all_begun.wait()
            scope.cancel()
    assert scope.cancelled_caught
    assert begun == list(range(concurrency))
    assert sorted(cleaned_at_return) == begun


async def test_fail_fast_cancels_the_calls_under_way_and_begins_no_more(stage_class: Any) -> None:
    begun: list[int] = []
    cancelled: list[int] = []
    all_begun = anyio.Event()

    async def check(record: int) -> bool:
        begun.append(record)
        if len(begun) == 4:
            all_begun.set()
        if record == 2:
            await all_begun.wait()
            raise ValueError("record 2 is bad")
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            cancelled.append(record)
            raise
        return True

    with anyio.fail_after(5):
        result = await execute(stage_class(check, concurrency=4), data=range(100))
    assert str(result.error) == "record 2 is bad"
    assert [(entry.index, entry.record) for entry in result.context.errors] == [(2, 2)]
    assert begun == [0, 1, 2, 3]
    assert sorted(cancelled) == [0, 1, 3]


async def test_an_answer_that_came_before_the_failure_of_an_earlier_record_keeps_its_own_position() -> None:
    answered = anyio.Event()

    async def check(record: int) -> bool | str:
        if record == 3:
            answered.set()
            return "record 3 is bad"
        if record == 1:
            await answered.wait()
            await anyio.wait_all_tasks_blocked()
            raise ValueError("record 1 is bad")
        return await anyio.sleep_forever() or True

    with anyio.fail_after(5):
        result = await execute(ValidateRecordsStage(check, concurrency=4), data=range(4))
    assert str(result.error) == "record 1 is bad"
    assert [(entry.index, entry.record) for entry in result.context.errors] == [(1, 1), (3, 3)]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("concurrency", [1, 4])
async def test_a_cancellation_that_comes_from_within_a_call_is_never_taken_for_success(
    concurrency: int, stage_class: Any
) -> None:
    async def await_something_cancelled(record: int) -> bool:
        if record == 3:
            future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            future.cancel()
            return await future
        await anyio.lowlevel.checkpoint()
        return True

    with pytest.raises(asyncio.CancelledError):
        await execute(stage_class(await_something_cancelled, concurrency=concurrency), data=range(6))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_loops_own_cancellation_of_a_task_ends_the_run(stage_class: Any) -> None:
    begun = asyncio.Event()
    cleaned: list[int] = []

    async def hang(record: int) -> bool:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            cleaned.append(record)
        return True

    task = asyncio.ensure_future(execute(stage_class(hang, concurrency=3), data=range(9)))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(cleaned) == list(range(len(cleaned)))
    assert cleaned


async def test_a_timeout_around_a_run_is_a_timeout(stage_class: Any) -> None:
    async def hang(record: int) -> bool:
        await anyio.sleep_forever()
        return True

    with pytest.raises(TimeoutError), anyio.fail_after(0.01):
        await execute(stage_class(hang, concurrency=2), data=range(4))


async def test_coroutines_made_and_not_awaited_are_closed() -> None:
    """A never-awaited coroutine would warn, and warnings are errors here."""

    async def later(record: int) -> int:
        if record == 1:
            raise ValueError("bad")
        return record

    def mixed(record: int) -> Any:
        return 0 if record == 0 else later(record)

    result = await execute(MapStage(mixed), data=range(6))
    assert str(result.error) == "bad"
    assert [entry.index for entry in result.context.errors] == [1]
