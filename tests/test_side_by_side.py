"""Running a few tasks side by side, of which one may end the others."""

from __future__ import annotations

import asyncio
from functools import partial

import anyio
import pytest

from mainstem.side_by_side import run_side_by_side
from runs import Abort

pytestmark = pytest.mark.anyio


async def test_all_tasks_run_at_the_same_time_until_all_are_done() -> None:
    events = [anyio.Event(), anyio.Event()]
    done: list[int] = []

    async def meet(number: int) -> bool:
        events[number].set()
        await events[1 - number].wait()
        done.append(number)
        return True

    with anyio.fail_after(5):
        await run_side_by_side([partial(meet, 0), partial(meet, 1)])
    assert sorted(done) == [0, 1]


@pytest.mark.parametrize("ending", ["false", "exception", "abort"])
async def test_a_task_that_says_no_or_raises_cancels_the_others_and_they_are_awaited(ending: str) -> None:
    cleaned: list[bool] = []
    begun = anyio.Event()
    errors = {"exception": ValueError("bad"), "abort": Abort()}

    async def hang() -> bool:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.append(True)
        return True

    async def end() -> bool:
        await begun.wait()
        if ending in errors:
            raise errors[ending]
        return False

    with anyio.fail_after(5):
        if ending in errors:
            with pytest.raises(type(errors[ending])) as caught:
                await run_side_by_side([hang, end])
            assert caught.value is errors[ending]
        else:
            await run_side_by_side([hang, end])
    assert cleaned == [True]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_from_within_a_task_comes_out() -> None:
    async def cancelled() -> bool:
        raise asyncio.CancelledError

    async def hang() -> bool:
        await anyio.sleep_forever()
        return True

    with pytest.raises(asyncio.CancelledError), anyio.fail_after(5):
        await run_side_by_side([cancelled, hang])


async def test_a_cancellation_from_outside_ends_all_tasks() -> None:
    async def hang() -> bool:
        await anyio.sleep_forever()
        return True

    with anyio.move_on_after(0.01) as scope:
        await run_side_by_side([hang, hang])
    assert scope.cancelled_caught
