"""Kafka: topics, read as a member of a consumer group whose offsets are committed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import anyio

from mainstem.brokers.address import BrokerAddress, import_faststream
from mainstem.brokers.connection import BrokerConnection
from mainstem.brokers.publisher import Outgoing, Publisher
from mainstem.brokers.pushed import PushedSubscription
from mainstem.brokers.subscription import Delivery, SubscriptionOptions


def kafka_connection(address: BrokerAddress, connect_timeout: float) -> BrokerConnection:
    """Return a connection that is not open yet."""
    broker = address.broker
    if broker is None:
        assert address.url is not None
        servers = address.url.partition("://")[2].rstrip("/").split(",")
        broker = import_faststream("kafka", "A Kafka broker").KafkaBroker(
            servers, logger=None, acks="all", request_timeout_ms=max(1000, int(connect_timeout * 1000))
        )
    return BrokerConnection(address, broker, connect_timeout)


class _Assigned:
    """Hears of the partitions that a member of a group is given."""

    def __init__(self) -> None:
        self.happened = anyio.Event()

    def on_partitions_revoked(self, revoked: object) -> None:
        """Do nothing: what others have committed meanwhile is theirs, and a commit of ours then fails."""

    def on_partitions_assigned(self, assigned: object) -> None:
        """Note that there may be messages now."""
        self.happened.set()


class KafkaSubscription(PushedSubscription):
    """A member of a consumer group."""

    def __init__(self, address: BrokerAddress, options: SubscriptionOptions) -> None:
        super().__init__(kafka_connection(address, options.connect_timeout), options)
        self._assigned = _Assigned()

    def subscriber(self) -> Any:
        policy = import_faststream("middlewares", "A Kafka broker").AckPolicy
        return self.connection.broker.subscriber(
            self.options.channel,
            group_id=self.options.group,
            auto_offset_reset="earliest",
            ack_policy=policy.MANUAL,
            listener=self._assigned,
            no_reply=True,
            persistent=False,
        )

    async def begin(self) -> None:
        """Wait until the group has given this member its partitions; it may be given none, if it has many members."""
        if getattr(self.subscribed, "consumer", None) is None:  # in the memory of FastStream's test broker
            return
        with anyio.move_on_after(self.options.connect_timeout):
            await self._assigned.happened.wait()

    def delivery(self, message: Any) -> Delivery:
        raw = message.raw_message
        key = (raw.partition, raw.offset)
        return Delivery(message.body, f"partition {raw.partition}, offset {raw.offset}", message, key)

    async def forget(self, deliveries: Sequence[Delivery]) -> None:
        """Commit, of each partition, the offset after the last message.

        ``ack()`` of FastStream's message commits wherever the consumer is, and that is further than what was loaded.
        """
        partition_of: Any = import_module("aiokafka").TopicPartition  # which has no types
        offsets: dict[Any, int] = {}
        consumer: Any = None
        for each in deliveries:
            consumer, raw = each.token.consumer, each.token.raw_message
            partition = partition_of(raw.topic, raw.partition)
            offsets[partition] = max(raw.offset + 1, offsets.get(partition, 0))
        if offsets:
            await consumer.commit(offsets)


class KafkaPublisher(Publisher):
    """Publishes to a topic: messages are sent in batches, and the answers of all replicas are waited for."""

    def __init__(self, address: BrokerAddress, channel: str, connect_timeout: float) -> None:
        self._connection = kafka_connection(address, connect_timeout)
        self._topic = channel

    async def open(self) -> None:
        await self._connection.open()

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        async with self._connection.errors(f"publishing to topic {self._topic!r}"):
            sent = [
                await self._connection.broker.publish(
                    message.body,
                    self._topic,
                    key=None if message.key is None else message.key.encode("utf-8"),
                    headers=message.headers,
                    no_confirm=True,
                )
                for message in messages
            ]
            for answer in sent:
                await answer

    async def close(self) -> None:
        await self._connection.close()
