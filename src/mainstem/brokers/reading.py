"""One read of a broker: what was delivered, and is held until what came of it is committed."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Hashable, Sequence
from datetime import timedelta
from time import monotonic
from typing import Literal, TypeAlias

import anyio

from mainstem.brokers.subscription import Delivery, Subscription
from mainstem.engine.background import end, start_in_background
from mainstem.ids import new_id

Until: TypeAlias = int | timedelta | Literal["forever"]
"""When a read ends: after so many messages, when none has come for so long, or never."""

GATHER_SECONDS = 0.05
"""How long a message may wait for others to fill its chunk."""
IDLE_SECONDS = 1.0
"""How long to wait for a message before looking at the clock, where none is held."""


class Reading:
    """Takes messages, and acknowledges them when it is told that they are committed.

    Args:
        subscription: Where they come from.
        prefetch: How many may be held.
        keep_every: Seconds after which the broker is to hear of those that are held.
        before: How many messages were taken in earlier attempts at the run.

    Attributes:
        name: What positions name it by.
    """

    def __init__(self, subscription: Subscription, prefetch: int, keep_every: float, before: int = 0) -> None:
        self._subscription, self._prefetch, self._keep_every = subscription, prefetch, keep_every
        self.name = new_id()
        self._held = deque[tuple[int, Delivery]]()
        self._keys = set[Hashable]()
        self._taken = before
        self._room = anyio.Event()
        self._lock = anyio.Lock()
        """What is acknowledged and what is kept are not to be the same messages at the same time."""
        self._keeping: tuple[anyio.CancelScope, anyio.Event] | None = None
        self._error: Exception | None = None
        """Why the broker could not be given a sign of life."""

    async def open(self) -> None:
        """Connect and subscribe.

        Raises:
            ConnectError: If that cannot be.
        """
        await self._subscription.open()
        if self._subscription.needs_signs:
            self._keeping = (anyio.CancelScope(), anyio.Event())
            start_in_background(self._keep_alive, self._keeping[1])

    @property
    def taken(self) -> int:
        """How many messages were taken."""
        return self._taken

    @property
    def is_full(self) -> bool:
        """Whether no more can be taken before some are committed."""
        return len(self._held) >= self._prefetch

    async def chunks(self, until: Until, size: int) -> AsyncGenerator[Sequence[Delivery], None]:
        """Give messages as they come; an empty chunk from time to time while some are held and none comes.

        Raises:
            ConnectError: If the broker cannot be asked.
        """
        last_came = monotonic()
        while not isinstance(until, int) or self._taken < until:
            left = until - self._taken if isinstance(until, int) else size
            wait = GATHER_SECONDS if self._held else IDLE_SECONDS
            if isinstance(until, timedelta):
                wait = min(wait, max(0.0, last_came + until.total_seconds() - monotonic()))
            chunk = await self._gather(min(size, left), wait)
            if chunk:
                last_came = monotonic()
            elif isinstance(until, timedelta) and monotonic() - last_came >= until.total_seconds():
                return
            if chunk or self._held:
                yield chunk
            if self._taken != until:
                await self._wait_for_room()

    async def _gather(self, most: int, wait: float) -> list[Delivery]:
        """Take messages until there are so many, or the first has waited long enough for the others.

        Args:
            most: How many are wanted.
            wait: Seconds to wait for the first.
        """
        chunk: list[Delivery] = []
        deadline = monotonic() + wait
        while (room := min(most - len(chunk), self._prefetch - len(self._held))) > 0:
            if self._error is not None:
                raise self._error
            for delivery in await self._subscription.take(room, max(0.001, deadline - monotonic())):
                if not chunk:
                    deadline = min(deadline, monotonic() + GATHER_SECONDS)
                if self._hold(delivery):
                    chunk.append(delivery)
            if monotonic() >= deadline:
                break
        return chunk

    def _hold(self, delivery: Delivery) -> bool:
        """Hold a message; one that is held already was delivered again, and is not to come twice."""
        if delivery.key is not None:
            if delivery.key in self._keys:
                return False
            self._keys.add(delivery.key)
        self._taken += 1
        self._held.append((self._taken, delivery))
        return True

    async def _wait_for_room(self) -> None:
        while self.is_full:
            self._room = anyio.Event()
            await self._room.wait()

    async def _keep_alive(self) -> None:
        """Give the broker signs of life of the messages that are held, however long those take who work on them."""
        assert self._keeping is not None
        with self._keeping[0]:
            try:
                while True:
                    await anyio.sleep(self._keep_every)
                    async with self._lock:
                        await self._subscription.keep([delivery for _, delivery in self._held])
            except Exception as error:
                self._error = error

    async def committed(self, messages: int) -> None:
        """Acknowledge the first so many messages, as far as that is not done.

        Raises:
            ConnectError: If the broker cannot be told.
        """
        async with self._lock:
            done = [delivery for number, delivery in self._held if number <= messages]
            if done:
                await self._subscription.acknowledge(done)
            for delivery in done:
                self._held.popleft()
                self._keys.discard(delivery.key)
        self._room.set()

    async def close(self) -> None:
        """End it; what was not acknowledged is delivered again, to whoever reads next."""
        if self._keeping is not None:
            await end(*self._keeping)
        await self._subscription.close([delivery for _, delivery in self._held])
