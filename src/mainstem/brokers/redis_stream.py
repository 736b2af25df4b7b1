"""Redis: streams, read as a consumer of a group."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from time import monotonic
from typing import Any

from mainstem.brokers.address import BrokerAddress, import_faststream
from mainstem.brokers.connection import BrokerConnection, said
from mainstem.brokers.publisher import Outgoing, Publisher
from mainstem.brokers.subscription import Delivery, Subscription, SubscriptionOptions
from mainstem.errors import ConnectError
from mainstem.ids import new_id

PUBLISHED_AT_ONCE = 500
"""Messages that are sent before the answers to them are waited for."""


def redis_connection(address: BrokerAddress, connect_timeout: float) -> BrokerConnection:
    """Return a connection that is not open yet."""
    broker = address.broker
    if broker is None:
        broker = import_faststream("redis", "A Redis broker").RedisBroker(
            address.url, logger=None, socket_connect_timeout=connect_timeout
        )
    return BrokerConnection(address, broker, connect_timeout)


class RedisSubscription(Subscription):
    """A consumer of a group of a stream.

    It reads with the client beneath FastStream's broker: a subscriber of FastStream reads either new entries or those
    that a consumer left behind, not both, always as many as it was told, however few may be held, and goes on for ever
    where the stream is gone.
    """

    needs_signs = True

    def __init__(self, address: BrokerAddress, options: SubscriptionOptions) -> None:
        self._connection = redis_connection(address, options.connect_timeout)
        self._channel, self._group = options.channel, options.group
        self._idle_ms = max(1, int(options.redeliver_after.total_seconds() * 1000))
        self._consumer = f"{socket.gethostname()}-{os.getpid()}-{new_id()}"
        self._client: Any = None
        self._parse: Any = None
        self._claim_at = 0.0

    async def open(self) -> None:
        from redis.exceptions import ResponseError

        client = await self._connection.open()
        try:
            await client.ping()
        except Exception as error:
            raise ConnectError(f"{self._connection.address.shown} cannot be reached: {said(error)}") from error
        self._client = client
        parser = import_faststream("redis.parser", "A Redis broker").RedisStreamParser
        self._parse = parser(self._connection.broker.config).parse_message
        try:
            await self._client.xgroup_create(self._channel, self._group, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise self._refused(error) from error
        except Exception as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> ConnectError:
        return ConnectError(f"{self._connection.address.shown}: stream {self._channel!r} cannot be read: {said(error)}")

    async def take(self, most: int, seconds: float) -> Sequence[Delivery]:
        async with self._connection.errors(f"reading stream {self._channel!r}"):
            entries = await self._left_behind(most)
            if not entries:
                answer: Any = await self._client.xreadgroup(
                    self._group, self._consumer, {self._channel: ">"}, count=most, block=max(1, int(seconds * 1000))
                )
                entries = [entry for _, several in answer or () for entry in several]
            return [await self._delivery(entry_id, fields) for entry_id, fields in entries]

    async def _left_behind(self, most: int) -> list[Any]:
        """Claim entries that a consumer which is gone has left; looked for from time to time only."""
        if monotonic() < self._claim_at:
            return []
        answer: Any = await self._client.xautoclaim(
            self._channel, self._group, self._consumer, min_idle_time=self._idle_ms, count=most
        )
        entries: list[Any] = [entry for entry in answer[1] if entry[0] is not None and entry[1] is not None]
        if not entries:
            self._claim_at = monotonic() + self._idle_ms / 2000
        return entries

    async def _delivery(self, entry_id: bytes, fields: Any) -> Delivery:
        message: Any = await self._parse(
            {"type": "stream", "channel": self._channel, "message_ids": [entry_id], "data": fields}
        )
        return Delivery(message.body, f"entry {entry_id.decode()}", entry_id, entry_id)

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        async with self._connection.errors(f"acknowledging entries of stream {self._channel!r}"):
            await self._client.xack(self._channel, self._group, *(each.token for each in deliveries))

    async def keep(self, deliveries: Sequence[Delivery]) -> None:
        await self._claim_again(deliveries, idle=0)

    async def _claim_again(self, deliveries: Sequence[Delivery], *, idle: int) -> None:
        """Say how long entries have been idle; claimed without being read again, they count as delivered once."""
        if not deliveries:
            return
        async with self._connection.errors(f"keeping entries of stream {self._channel!r}"):
            ids = [each.token for each in deliveries]
            await self._client.xclaim(self._channel, self._group, self._consumer, 0, ids, idle=idle, justid=True)

    async def close(self, unacknowledged: Sequence[Delivery]) -> None:
        try:
            if self._client is None:
                return
            await self._claim_again(unacknowledged, idle=self._idle_ms)
            pending: Any = await self._client.xpending_range(
                self._channel, self._group, "-", "+", 1, consumername=self._consumer
            )
            if not pending:  # with a consumer, what is pending there is forgotten, too
                await self._client.xgroup_delconsumer(self._channel, self._group, self._consumer)
        finally:
            await self._connection.close()


class RedisPublisher(Publisher):
    """Adds entries to a stream, in the form that FastStream gives them: many are sent before the answers are read."""

    def __init__(self, address: BrokerAddress, channel: str, connect_timeout: float) -> None:
        self._connection = redis_connection(address, connect_timeout)
        self._channel = channel
        self._client: Any = None

    async def open(self) -> None:
        self._client = await self._connection.open()
        async with self._connection.errors("connecting"):
            await self._client.ping()

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        async with self._connection.errors(f"publishing to stream {self._channel!r}"):
            for at in range(0, len(messages), PUBLISHED_AT_ONCE):
                async with self._client.pipeline(transaction=False) as pipeline:
                    for message in messages[at : at + PUBLISHED_AT_ONCE]:
                        await self._connection.broker.publish(
                            message.body, stream=self._channel, headers=message.headers, pipeline=pipeline
                        )
                    await pipeline.execute()

    async def close(self) -> None:
        await self._connection.close()
