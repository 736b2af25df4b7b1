"""RabbitMQ: queues, with manual acknowledgement and confirmed publishing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mainstem.brokers.address import BrokerAddress, import_faststream
from mainstem.brokers.connection import BrokerConnection, said
from mainstem.brokers.publisher import Outgoing, Publisher
from mainstem.brokers.pushed import PushedSubscription
from mainstem.brokers.subscription import Delivery, SubscriptionOptions
from mainstem.errors import ConnectError


def rabbit_connection(address: BrokerAddress, connect_timeout: float) -> BrokerConnection:
    """Return a connection that is not open yet."""
    broker = address.broker
    if broker is None:
        rabbit = import_faststream("rabbit", "A RabbitMQ broker")
        broker = rabbit.RabbitBroker(
            address.url,
            logger=None,
            timeout=connect_timeout,
            default_channel=rabbit.Channel(publisher_confirms=True, on_return_raises=True),
        )
    return BrokerConnection(address, broker, connect_timeout)


async def require_queue(connection: BrokerConnection, client: Any, queue: str) -> None:
    """See to it that there is a queue: the one that is there, whatever it is like, else a durable one.

    It is asked for on a channel of its own, which RabbitMQ closes if it is not there.

    Raises:
        ConnectError: If there can be none.
    """
    if not hasattr(client, "channel"):  # in the memory of FastStream's test broker
        return
    from aio_pika.exceptions import ChannelNotFoundEntity

    try:
        try:
            async with client.channel() as channel:
                await channel.declare_queue(queue, passive=True)
        except ChannelNotFoundEntity:
            async with client.channel() as channel:
                await channel.declare_queue(queue, durable=True)
    except Exception as error:
        raise ConnectError(f"{connection.address.shown}: queue {queue!r} cannot be had: {said(error)}") from error


class RabbitSubscription(PushedSubscription):
    """A consumer of a queue; RabbitMQ itself sees to it that no more than ``prefetch`` are unacknowledged."""

    def __init__(self, address: BrokerAddress, options: SubscriptionOptions) -> None:
        super().__init__(rabbit_connection(address, options.connect_timeout), options)

    async def prepare(self, client: Any) -> None:
        await require_queue(self.connection, client, self.options.channel)

    def subscriber(self) -> Any:
        rabbit = import_faststream("rabbit", "A RabbitMQ broker")
        policy = import_faststream("middlewares", "A RabbitMQ broker").AckPolicy
        return self.connection.broker.subscriber(
            rabbit.RabbitQueue(self.options.channel, declare=False),
            channel=rabbit.Channel(prefetch_count=self.options.prefetch),
            ack_policy=policy.MANUAL,
            no_reply=True,
            persistent=False,
        )

    def delivery(self, message: Any) -> Delivery:
        raw = message.raw_message
        return Delivery(message.body, f"message {message.message_id}", raw)

    async def forget(self, deliveries: Sequence[Delivery]) -> None:
        for each in deliveries:
            await each.token.ack()


class RabbitPublisher(Publisher):
    """Publishes to a queue, and waits until RabbitMQ has confirmed each message, which it keeps on disk."""

    def __init__(self, address: BrokerAddress, channel: str, connect_timeout: float) -> None:
        self._connection = rabbit_connection(address, connect_timeout)
        self._queue = channel

    async def open(self) -> None:
        client = await self._connection.open()
        await require_queue(self._connection, client, self._queue)

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        async with self._connection.errors(f"publishing to queue {self._queue!r}"):
            for message in messages:
                answer = await self._connection.broker.publish(
                    message.body,
                    queue=self._queue,
                    persist=True,
                    headers=message.headers,
                    content_type=message.content_type,
                )
                if type(answer).__name__ == "Nack":
                    raise ConnectError(f"{self._connection.address.shown}: queue {self._queue!r} refuses a message")

    async def close(self) -> None:
        await self._connection.close()
