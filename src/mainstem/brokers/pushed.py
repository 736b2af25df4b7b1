"""Brokers that push messages to a subscriber of FastStream: RabbitMQ and MQTT."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from mainstem.brokers.connection import BrokerConnection, apart, said
from mainstem.brokers.subscription import Delivery, PushedMessages, Subscription, SubscriptionOptions
from mainstem.errors import ConnectError


class PushedSubscription(Subscription):
    """A subscriber of FastStream, which hands each message over and leaves acknowledging it for later.

    Args:
        connection: The connection.
        options: What it is told.
    """

    def __init__(self, connection: BrokerConnection, options: SubscriptionOptions) -> None:
        self.connection, self.options = connection, options
        self._messages = PushedMessages(options.prefetch)
        self.subscribed: Any = None

    async def prepare(self, client: Any) -> None:
        """Make sure that there is something to subscribe to.

        Raises:
            ConnectError: If there is not.
        """

    @abstractmethod
    def subscriber(self) -> Any:
        """Return a subscriber of FastStream that acknowledges nothing by itself."""

    @abstractmethod
    def delivery(self, message: Any) -> Delivery:
        """Return what a message of FastStream is here."""

    @abstractmethod
    async def forget(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge messages.

        Raises:
            Exception: If that cannot be.
        """

    async def open(self) -> None:
        client = await self.connection.open()
        await self.prepare(client)
        subscriber = self.subscriber()
        subscriber(self._bring, decoder=_as_it_is)
        try:
            await subscriber.start()
        except Exception as error:
            raise ConnectError(
                f"{self.connection.address.shown}: {self.options.channel!r} cannot be read: {said(error)}"
            ) from error
        self.subscribed = subscriber
        await self.begin()

    async def begin(self) -> None:
        """Wait until messages may come."""

    async def _bring(self, message: Any) -> None:
        await self._messages.bring(self.delivery(message))

    async def take(self, most: int, seconds: float) -> Sequence[Delivery]:
        return await self._messages.take(most, seconds)

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        async with self.connection.errors(f"acknowledging messages of {self.options.channel!r}"):
            await self.forget(deliveries)
        self._messages.acknowledged(len(deliveries))

    async def close(self, unacknowledged: Sequence[Delivery]) -> None:
        """End it; the broker gives what is unacknowledged to others by itself."""
        self._messages.close()
        try:
            if self.subscribed is not None:
                await apart(self.unsubscribe())
        finally:
            await self.connection.close()

    async def unsubscribe(self) -> None:
        """End the subscriber."""
        subscriber, self.subscribed = self.subscribed, None
        await subscriber.stop()


async def _as_it_is(message: Any) -> Any:
    """Stand in for FastStream's decoder, so that the handler is given the message as it came."""
    return message
