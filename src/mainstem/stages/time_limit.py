"""A time limit for each call of a user's function.

An async function is cancelled when its time is up. Nothing can interrupt a sync one on the event loop's thread, so with
a limit it is called in a thread of its own; when its time is up the stage goes on, and the thread runs to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import isawaitable
from math import inf
from threading import Lock
from typing import Any

import anyio

from mainstem.context import PipelineContext, current_context

_running: dict[object, object] = {}
"""The calls that threads are at, each with the stage's progress in its run, which tells whose they are."""
_awaited: set[object] = set()
"""The calls in threads that somebody waits for."""
_running_lock = Lock()


class TimeLimit:
    """Calls a function and gives it no more than so many seconds.

    Args:
        seconds: How many.
        function: What it is called in messages.
        in_thread: Whether it is called in a thread.
    """

    def __init__(self, seconds: float, function: str, *, in_thread: bool) -> None:
        self._seconds = seconds
        self._function = function
        self._in_thread = in_thread

    async def call(self, function: Callable[[Any], Any], record: Any) -> Any:
        """Return the function's answer for one record, awaited if need be.

        Raises:
            TimeoutError: If there is none in time. The function's own TimeoutError is passed on as it is.
        """
        with anyio.move_on_after(self._seconds):
            answer = await _call_in_thread(function, record) if self._in_thread else function(record)
            return await answer if isawaitable(answer) else answer
        raise TimeoutError(
            f"{self._function} gave no answer within {self._seconds:g} s: "
            "see what it waits for, or give it more time with timeout="
        )

    def notes(self, context: PipelineContext) -> tuple[str, ...]:
        """Say how many calls of the stage that is running still run in threads, if any do."""
        owner = _owner(context)
        with _running_lock:
            left = sum(1 for each in _running.values() if each is owner)
        if not left:
            return ()
        calls, run = ("1 call", "runs in a thread") if left == 1 else (f"{left} calls", "run in threads")
        return (f"{calls} of {self._function} still {run}: given up by the stage, and nothing can interrupt it",)


async def _call_in_thread(function: Callable[[Any], Any], record: Any) -> Any:
    from anyio import to_thread  # late: it takes a twentieth of the time that importing mainstem does

    owner = _owner(current_context())
    token = object()

    def call() -> tuple[Any]:
        with _running_lock:
            _running[token] = owner
        try:
            return (function(record),)  # trio takes a coroutine, by itself, for a mistake
        finally:
            with _running_lock:
                del _running[token]

    # A limiter of its own: waiting for calls that were given up, or for other people's, would be counted as this one's.
    with _running_lock:
        _awaited.add(token)
    try:
        (answer,) = await to_thread.run_sync(call, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(inf))
    finally:
        with _running_lock:
            _awaited.discard(token)
    return answer


def awaited_calls() -> int:
    """Return for how many calls in threads somebody waits, in all runs: those begun and neither done nor given up."""
    with _running_lock:
        return len(_awaited)


def _owner(context: PipelineContext) -> object:
    return context.progress.get(context.current_stage or "", context)
