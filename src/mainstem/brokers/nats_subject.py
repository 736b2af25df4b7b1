"""NATS: subjects of JetStream streams, read through a durable consumer that is pulled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from mainstem.brokers.address import BrokerAddress, import_faststream
from mainstem.brokers.connection import BrokerConnection, said
from mainstem.brokers.publisher import Outgoing, Publisher
from mainstem.brokers.subscription import Delivery, Subscription, SubscriptionOptions
from mainstem.errors import ConnectError


def nats_connection(address: BrokerAddress, connect_timeout: float) -> BrokerConnection:
    """Return a connection that is not open yet."""
    broker = address.broker
    if broker is None:
        broker = import_faststream("nats", "A NATS broker").NatsBroker(
            address.url, logger=None, connect_timeout=max(1, int(connect_timeout))
        )
    return BrokerConnection(address, broker, connect_timeout)


class NatsSubscription(Subscription):
    """A durable consumer of a subject.

    It pulls with the client beneath FastStream's broker: a subscriber of FastStream asks for as many messages as it was
    told, however few may be held, and goes on for ever where the consumer is gone.
    """

    needs_signs = True

    def __init__(self, address: BrokerAddress, options: SubscriptionOptions) -> None:
        self._connection = nats_connection(address, options.connect_timeout)
        self._options = options
        self._client: Any = None
        self._consumer: Any = None

    async def open(self) -> None:
        from nats.js.api import AckPolicy, ConsumerConfig
        from nats.js.errors import NotFoundError

        options, shown = self._options, self._connection.address.shown
        self._client = await self._connection.open()
        jetstream = self._client.jetstream()
        config = ConsumerConfig(
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=options.redeliver_after.total_seconds(),
            max_ack_pending=-1,  # the bound is how many are pulled; the server's would be shared by all of the group
            filter_subject=options.channel,
        )
        try:
            stream = options.stream or await jetstream.find_stream_name_by_subject(options.channel)
            self._consumer = await jetstream.pull_subscribe(
                options.channel, durable=options.group, stream=stream, config=config
            )
        except NotFoundError as error:
            raise ConnectError(
                f"{shown}: no stream of JetStream holds subject {options.channel!r}: add one, for what is published "
                "to a subject without a stream is kept nowhere"
            ) from error
        except Exception as error:
            raise ConnectError(f"{shown}: subject {options.channel!r} cannot be read: {said(error)}") from error

    async def take(self, most: int, seconds: float) -> Sequence[Delivery]:
        async with self._connection.errors(f"reading subject {self._options.channel!r}"):
            if not self._client.is_connected:
                raise ConnectError(f"{self._connection.address.shown}: the connection is lost")
            try:
                messages: list[Any] = await self._consumer.fetch(batch=most, timeout=seconds)
            except TimeoutError:  # the client's own is one, and it lets those of asyncio through
                return []
            return [_delivery(message) for message in messages]

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        async with self._connection.errors(f"acknowledging messages of subject {self._options.channel!r}"):
            for each in deliveries:
                await each.token.ack()
            await self._client.flush()

    async def keep(self, deliveries: Sequence[Delivery]) -> None:
        async with self._connection.errors(f"keeping messages of subject {self._options.channel!r}"):
            for each in deliveries:
                await each.token.in_progress()

    async def close(self, unacknowledged: Sequence[Delivery]) -> None:
        try:
            if self._consumer is None:
                return
            # First, or what is given back is delivered at once to a request of ours that nobody waits for any more.
            await self._consumer.unsubscribe()
            await self._client.flush()
            for each in unacknowledged:
                await each.token.nak()
            await self._client.flush()
        finally:
            await self._connection.close()


def _delivery(message: Any) -> Delivery:
    number = message.metadata.sequence.stream
    return Delivery(message.data, f"message {number} of stream {message.metadata.stream}", message, number)


class NatsPublisher(Publisher):
    """Publishes to a subject, with the stream's answer to each message."""

    def __init__(self, address: BrokerAddress, channel: str, connect_timeout: float) -> None:
        self._connection = nats_connection(address, connect_timeout)
        self._channel = channel
        self._stream = ""

    async def open(self) -> None:
        from nats.js.errors import NotFoundError

        client = await self._connection.open()
        async with self._connection.errors("looking for the stream"):
            try:
                async with asyncio.timeout(10):
                    self._stream = await client.jetstream().find_stream_name_by_subject(self._channel)
            except NotFoundError as error:
                raise ConnectError(
                    f"{self._connection.address.shown}: no stream of JetStream holds subject {self._channel!r}, so "
                    "what is published there is kept nowhere: add one"
                ) from error

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        async with self._connection.errors(f"publishing to subject {self._channel!r}"):
            for message in messages:
                await self._connection.broker.publish(
                    message.body, self._channel, headers=message.headers, stream=self._stream
                )

    async def close(self) -> None:
        await self._connection.close()
