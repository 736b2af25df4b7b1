"""What a source needs of a broker: messages to take, and to acknowledge when what came of them is committed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import anyio


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that was delivered, and is not acknowledged.

    Attributes:
        body: Its content.
        shown: How messages name it: its id, its offset, or its number.
        token: What it is acknowledged with.
        key: What is the same if it is delivered again while it is held; ``None`` where that is not known.
    """

    body: bytes
    shown: str
    token: Any
    key: Hashable = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionOptions:
    """What a subscription is told.

    Attributes:
        channel: The stream, subject, queue or topic.
        group: Consumers of the same group share the messages, and go on where another ended.
        prefetch: How many messages may be unacknowledged.
        redeliver_after: How long a message may be held without a sign of life before another consumer gets it.
        stream: The stream of NATS that holds the subject, if it is not to be looked up.
        connect_timeout: Seconds.
    """

    channel: str
    group: str
    prefetch: int
    redeliver_after: timedelta
    stream: str | None
    connect_timeout: float


class Subscription(ABC):
    """A consumer of a channel.

    Attributes:
        needs_signs: Whether the broker gives messages to others that it hears nothing of, so ``keep`` must be called.
    """

    needs_signs = False

    @abstractmethod
    async def open(self) -> None:
        """Connect and subscribe.

        Raises:
            ConnectError: If that cannot be.
        """

    @abstractmethod
    async def take(self, most: int, seconds: float) -> Sequence[Delivery]:
        """Return the messages there are, waiting at most ``seconds`` for the first.

        Raises:
            ConnectError: If the broker cannot be asked.
        """

    @abstractmethod
    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Let the broker forget messages: all that were delivered up to the last of them and not acknowledged yet.

        Raises:
            ConnectError: If it cannot be told.
        """

    async def keep(self, deliveries: Sequence[Delivery]) -> None:
        """Let the broker know that messages are still worked on, if it ``needs_signs``.

        Raises:
            ConnectError: If it cannot be told.
        """
        del deliveries

    @abstractmethod
    async def close(self, unacknowledged: Sequence[Delivery]) -> None:
        """End it, so that another consumer gets what is unacknowledged, without waiting where that can be."""


class PushedMessages:
    """The messages that a broker pushes, until they are taken; bounded, for who brings one more has to wait.

    Args:
        prefetch: How many may be here or unacknowledged.
    """

    def __init__(self, prefetch: int) -> None:
        self._prefetch = prefetch
        self._waiting = deque[Delivery]()
        self._unacknowledged = 0
        self._arrived, self._room = anyio.Event(), anyio.Event()
        self._closed = False

    async def bring(self, delivery: Delivery) -> None:
        """Put a message here, once there is room for it; it is dropped, unacknowledged, if nobody takes any more."""
        while self._unacknowledged >= self._prefetch and not self._closed:
            await self._room.wait()
        if self._closed:
            return
        self._unacknowledged += 1
        self._waiting.append(delivery)
        self._arrived.set()

    async def take(self, most: int, seconds: float) -> list[Delivery]:
        """Return those that are here, waiting at most ``seconds`` for the first."""
        if not self._waiting:
            self._arrived = anyio.Event()
            with anyio.move_on_after(seconds):
                await self._arrived.wait()
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def acknowledged(self, count: int) -> None:
        """Make room for as many others."""
        self._unacknowledged -= count
        self._room.set()
        self._room = anyio.Event()

    def close(self) -> None:
        """Take no more, and let those go who wait to bring one."""
        self._closed = True
        self._room.set()
