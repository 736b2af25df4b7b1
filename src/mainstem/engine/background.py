"""Tasks beside the caller's, which end with the object that started them.

A task group cannot be left open while an async generator hands out a value: its owner may close the generator in
another task, or never. So these tasks stand outside the caller's task tree; ``HandOff`` cancels its own and waits for
its end whenever the generator that it feeds is closed.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any

import anyio

_running: set[object] = set()
"""Strong references: an event loop keeps only weak ones."""


def start_in_background(work: Callable[[], Awaitable[None]], ended: anyio.Event) -> None:
    """Start ``work`` in a task of its own, on asyncio or trio, with the context variables of the caller.

    Args:
        work: What to do; it must raise nothing but a cancellation.
        ended: Is set when the task has ended, even if the event loop ended it before it began.
    """

    async def run() -> None:
        try:
            await work()
        finally:
            ended.set()

    if in_trio():
        import trio

        trio.lowlevel.spawn_system_task(run, context=copy_context())
        return

    import asyncio  # late: it would be a third of the time that importing mainstem takes

    def forget(task: object) -> None:
        _running.discard(task)
        ended.set()  # a task that is cancelled before its first step never gets to its finally

    task = asyncio.get_running_loop().create_task(run())
    _running.add(task)
    task.add_done_callback(forget)


async def end(scope: anyio.CancelScope, ended: anyio.Event) -> None:
    """Cancel what a task in the background does in ``scope``, and wait until it has ended."""
    scope.cancel()
    with anyio.CancelScope(shield=True):
        await ended.wait()


def raise_if_urgent(error: BaseException | None) -> None:
    """Raise what ended a task in the background, if nothing may hide it."""
    if error is not None and is_urgent(error):
        raise error


def is_urgent(error: BaseException | None) -> bool:
    """Whether an error is neither a failure nor a cancellation: a ``KeyboardInterrupt``, say."""
    return error is not None and not isinstance(error, (Exception, anyio.get_cancelled_exc_class()))


def in_trio() -> bool:
    """Whether the event loop that runs here is trio's."""
    trio: Any = sys.modules.get("trio")
    if trio is None:
        return False
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True


def in_this_loop(function: Callable[[], None]) -> Callable[[], None]:
    """Return a function that, called in any thread, lets ``function`` be called in the event loop that runs here."""
    if in_trio():
        import trio

        token = trio.lowlevel.current_trio_token()
        schedule: Callable[[Callable[[], None]], object] = token.run_sync_soon
    else:
        import asyncio

        schedule = asyncio.get_running_loop().call_soon_threadsafe

    def call() -> None:
        with suppress(RuntimeError):  # the event loop has ended, and nobody waits any more
            schedule(function)

    return call
