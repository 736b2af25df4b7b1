"""``ThrottleStage``: a limit to how many records go on in a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import ceil
from typing import Any

import anyio
from typing_extensions import TypeVar

from mainstem import clock
from mainstem.context import PipelineContext
from mainstem.options import check_count, check_seconds
from mainstem.result import StageResult
from mainstem.stage import RecordsStage
from mainstem.stateful import StageState, StatefulStage

T = TypeVar("T", default=Any)


class ThrottleStage(StatefulStage[T, T], RecordsStage[T, T]):
    """Let at most ``rate`` records go on in any ``per`` seconds, in order; those before their time wait.

    The limit is exact (a sliding window: it holds for any ``per`` seconds, not only from one full second to the next)
    and is one run's own: two runs at a time let twice as many go on. Records go on in groups of up to ``rate``.

    Args:
        rate: How many records.
        per: In how many seconds.
        name: The stage's name in reports.

    Raises:
        ValueError: If ``rate`` is no positive whole number, or ``per`` no positive number.

    Example:
        >>> from mainstem import Pipeline
        >>> Pipeline[list[int], list[int]]("slow").add_stage(ThrottleStage(2, per=0.001)).run([1, 2, 3]).data
        [1, 2, 3]

    Source: the sliding window log of pyrate-limiter, written anew: that one sleeps on asyncio only, in whole
    milliseconds with 50 added, and keeps a thread to forget old entries.
    """

    expands = False
    not_in_shape = frozenset(("per", "largest_feed"))

    def __init__(self, rate: int, *, per: float = 1.0, name: str | None = None) -> None:
        check_count("rate of ThrottleStage", rate)
        check_seconds("per of ThrottleStage", per)
        self._per = per
        self.largest_feed = rate  # more at a time could never go on
        if name is not None:
            self.name = name

    def begin(self) -> StageState[T, T]:
        assert self.largest_feed is not None
        return _ThrottleState(self.largest_feed, self._per)


class _ThrottleState(StageState[T, T]):
    def __init__(self, rate: int, per: float) -> None:
        self._rate = rate
        self._per = ceil(per * 1_000_000_000)
        self._passed: deque[tuple[int, int]] = deque()
        """When records went on, in whole nanoseconds, which nothing rounds, and how many; what is old is forgotten."""
        self._in_window = 0
        """How many records those are."""

    async def feed(self, records: Sequence[T], context: PipelineContext) -> StageResult[list[T]]:
        if len(records) > self._rate:
            raise ValueError(f"{len(records)} records at a time, where largest_feed is {self._rate}")
        started = clock.monotonic_ns()
        waited = False
        while self._in_window + len(records) > self._rate:
            passed_at, count = self._passed[0]
            until = passed_at + self._per
            # A loop, because an event loop may wake up a little early, by another clock than this one.
            while (left := until - clock.monotonic_ns()) > 0:
                await anyio.sleep(left / 1_000_000_000)
                waited = True
            self._passed.popleft()
            self._in_window -= count
        now = clock.monotonic_ns()
        if records:
            self._passed.append((now, len(records)))
            self._in_window += len(records)
        if waited:
            context.add_time(throttle_ms=(now - started) / 1_000_000)
        return StageResult(data=list(records), records_processed=len(records))

    def snapshot(self) -> list[list[int]]:
        """Return how many nanoseconds ago records went on, and how many: the clock itself is this process's own."""
        now = clock.monotonic_ns()
        return [[now - at, count] for at, count in self._passed if now - at < self._per]

    def restore(self, snapshot: list[list[int]]) -> None:
        """Go on as if no time had passed: how long the interruption took is not known, and the limit is to hold."""
        now = clock.monotonic_ns()
        self._passed = deque((now - ago, count) for ago, count in snapshot)
        self._in_window = sum(count for _, count in self._passed)
