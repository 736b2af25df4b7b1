"""Tasks beside the caller's, which end with the object that started them.

A task group cannot be left open while an async generator hands out a value: its owner may close the generator in
another task, or never. So these tasks stand outside the caller's task tree; ``HandOff`` cancels its own and waits for
its end whenever the generator that it feeds is closed.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any

_running: set[object] = set()
"""Strong references: an event loop keeps only weak ones."""


def start_in_background(work: Callable[[], Awaitable[None]]) -> None:
    """Start ``work`` in a task of its own, on asyncio or trio; it must raise nothing but a cancellation."""
    trio: Any = sys.modules.get("trio")
    if trio is not None and _runs_here(trio):
        trio.lowlevel.spawn_system_task(work)
        return

    import asyncio  # late: it would be a third of the time that importing mainstem takes

    async def run() -> None:
        await work()

    task = asyncio.get_running_loop().create_task(run())
    _running.add(task)
    task.add_done_callback(_running.discard)


def _runs_here(trio: Any) -> bool:
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True
