"""An event loop of asyncio that does not wait: when all its tasks sleep, its clock jumps to when the first wakes."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar, TypeVarTuple

from anyio import CapacityLimiter, to_thread

from mainstem.stages.time_limit import awaited_calls

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


@dataclass(slots=True)
class VirtualTime:
    """How many seconds have passed since the beginning of a virtual clock."""

    seconds: float = 0.0


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is virtual.

    While a thread works for it, time goes by as it really does: what a thread waits for is not known.

    Args:
        virtual: The time, which outlives the loop.
        idle_seconds: For how long nothing must happen, really, before the clock jumps.
    """

    def __init__(self, virtual: VirtualTime, idle_seconds: float) -> None:
        self._virtual = virtual
        self._of_executors: set[asyncio.Future[Any]] = set()
        self._limiter: CapacityLimiter | None = None
        super().__init__(_JumpingSelector(virtual, idle_seconds, self._has_threads))
        self.call_soon(self._look_for_limiter)

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self._virtual.seconds

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Arguments], T], *args: *Arguments
    ) -> asyncio.Future[T]:
        """Do what asyncio's does, and remember that a thread is at work until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._of_executors.add(future)
        future.add_done_callback(self._of_executors.discard)
        return future

    def _has_threads(self) -> bool:
        borrowed = 0 if self._limiter is None else self._limiter.borrowed_tokens
        return bool(borrowed or self._of_executors or awaited_calls())

    def _look_for_limiter(self) -> None:
        async def look() -> None:  # anyio tells a task of the loop only
            self._limiter = to_thread.current_default_thread_limiter()

        self._looking = self.create_task(look())


class _JumpingSelector(selectors.DefaultSelector):
    """Looks for what has happened, and where the loop would wait for a timer, turns the clock on instead."""

    def __init__(self, virtual: VirtualTime, idle_seconds: float, has_threads: Callable[[], bool]) -> None:
        super().__init__()
        self._virtual, self._idle_seconds, self._has_threads = virtual, idle_seconds, has_threads

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        began = time.monotonic()
        has_threads = self._has_threads()
        ready = super().select(timeout if has_threads else min(timeout, self._idle_seconds))
        if not ready:
            self._virtual.seconds += timeout
        elif has_threads:
            self._virtual.seconds += min(timeout, time.monotonic() - began)
        return ready
