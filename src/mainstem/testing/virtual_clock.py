"""``VirtualClock``: time limits, retries and rate limits are tested without waiting for them."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from types import SimpleNamespace
from typing import Any, Literal, Self, TypeVarTuple

import anyio
from typing_extensions import TypeVar

from mainstem import clock
from mainstem.testing.virtual_loop import VirtualLoop, VirtualTime

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
"""What a virtual clock shows at first."""
_READ_BY_LIBRARY = ("monotonic", "monotonic_ns", "perf_counter")


class VirtualClock:
    """A clock that jumps: where all tasks sleep, it is the time at which the first of them wakes, at once.

    Within its ``with`` block ``Pipeline.run`` goes by it, and so does all that waits there: rate limits, retries and
    their time limit, time limits of calls, ``commit_every`` of durable runs, and ``anyio.sleep`` in functions of your
    own. What takes real time is work; that is measured as ever (``duration_ms``), and does not turn the clock.

    While a thread works for the run, time goes by as it really does. Of other processes and of the network the clock
    knows nothing: give ``idle_seconds`` where there are answers to wait for. One clock is used at a time: to enter a
    second one is a ``RuntimeError``.

    Args:
        start: What the clock shows at first, aware.
        backend: The event loop: ``asyncio``, or ``trio``, whose own ``MockClock`` it is then. That does not know of
            threads either.
        idle_seconds: For how many real seconds nothing must happen before it jumps.

    Raises:
        ValueError: If ``start`` is naive, or ``idle_seconds`` is negative.
        ImportError: If trio is wanted and not installed.

    Example:
        >>> from mainstem import Pipeline, ThrottleStage
        >>> with VirtualClock() as virtual:
        ...     limit = ThrottleStage(1, per=60)
        ...     result = Pipeline[list[str], list[str]]("mails").add_stage(limit).run(["a", "b", "c"])
        ...     virtual.seconds
        120.0

    Source: trio's ``MockClock`` with ``autojump_threshold``.
    """

    def __init__(
        self,
        start: datetime = START,
        *,
        backend: Literal["asyncio", "trio"] = "asyncio",
        idle_seconds: float = 0.0,
    ) -> None:
        if start.tzinfo is None:
            raise ValueError(f"start of VirtualClock must be aware, such as {START!r}, not {start!r}")
        if idle_seconds < 0:
            raise ValueError(f"idle_seconds of VirtualClock must not be negative, and is {idle_seconds!r}")
        self._start, self._backend = start, backend
        self._virtual, self._mock = VirtualTime(), _trio_clock(idle_seconds) if backend == "trio" else None
        self._put_back: list[Callable[[], object]] = []
        if self._mock is None:
            self._options: dict[str, Any] = {"loop_factory": partial(VirtualLoop, self._virtual, idle_seconds)}
        else:
            self._options = {"clock": self._mock}

    @property
    def seconds(self) -> float:
        """How many seconds have passed on it."""
        return self._virtual.seconds if self._mock is None else float(self._mock.current_time())

    def now(self) -> datetime:
        """Return what it shows: ``start`` and the seconds that have passed; for timestamps of records, say."""
        return self._start + timedelta(seconds=self.seconds)

    def advance(self, by: float | timedelta) -> None:
        """Turn it on, as if a function had taken that long.

        Args:
            by: Seconds, or a ``timedelta``.

        Raises:
            ValueError: If it would be turned back.
        """
        seconds = by.total_seconds() if isinstance(by, timedelta) else by
        if seconds < 0:
            raise ValueError(f"a clock is not turned back: {by!r}")
        if self._mock is None:
            self._virtual.seconds += seconds
        else:
            self._mock.jump(seconds)

    @property
    def anyio_backend(self) -> tuple[str, dict[str, Any]]:
        """Its event loop, as the fixture ``anyio_backend`` of anyio's pytest plugin gives one, for async tests."""
        return self._backend, self._options

    def run(self, function: Callable[[*Arguments], Awaitable[T]], *arguments: *Arguments) -> T:
        """Run an async function in an event loop that goes by this clock; for ``stream`` and ``execute``.

        Raises:
            BaseException: What the function raises.

        Example:
            >>> with VirtualClock() as virtual:
            ...     virtual.run(anyio.sleep, 3600)
            ...     virtual.now().isoformat()
            '2026-01-01T01:00:00+00:00'
        """
        return anyio.run(function, *arguments, backend=self._backend, backend_options=self._options)

    def __enter__(self) -> Self:
        if clock.event_loop:
            raise RuntimeError("a virtual clock is in use already: leave its with block first")
        self._put(clock, "event_loop", {"backend": self._backend, "backend_options": self._options})
        readings: dict[str, Callable[[], float]] = {
            "monotonic": lambda: self.seconds,
            "monotonic_ns": lambda: round(self.seconds * 1_000_000_000),
            "perf_counter": lambda: self.seconds,
        }
        for name in _READ_BY_LIBRARY:
            self._put(clock, name, readings[name])
        # stamina has its waits measured by tenacity, which reads the time by this name: for the limit of all attempts.
        try:
            import tenacity
        except ImportError:
            return self
        self._put(tenacity, "time", SimpleNamespace(**vars(sys.modules["time"]) | readings))
        return self

    def __exit__(self, *_: object) -> None:
        while self._put_back:
            self._put_back.pop()()

    def _put(self, owner: Any, name: str, value: object) -> None:
        self._put_back.append(partial(setattr, owner, name, getattr(owner, name)))
        setattr(owner, name, value)


def _trio_clock(idle_seconds: float) -> Any:
    from trio.testing import MockClock

    return MockClock(autojump_threshold=idle_seconds)
