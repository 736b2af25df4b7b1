"""Kafka: topics, read as a member of a consumer group whose offsets are committed by hand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from mainstem.brokers.address import BrokerAddress, import_faststream
from mainstem.brokers.connection import BrokerConnection, said
from mainstem.brokers.publisher import Outgoing, Publisher
from mainstem.brokers.subscription import Delivery, Subscription, SubscriptionOptions
from mainstem.errors import ConnectError, ConnectionLostError

logger = logging.getLogger("mainstem.brokers")

FOR_EVER_MS = 2**31 - 1
"""How long a member may hold what it has read: as long as whoever works on it takes."""
PAUSE = 0.05
"""Seconds between two looks whether a group has partitions for its member."""


class KafkaConnection(BrokerConnection):
    """A connection to a broker of Kafka.

    Args:
        address: The broker.
        connect_timeout: Seconds.
        reads_only: Whether nothing is published.
    """

    def __init__(self, address: BrokerAddress, connect_timeout: float, *, reads_only: bool = False) -> None:
        self._client_options: dict[str, Any] = {}
        broker = address.broker
        if broker is None:
            assert address.url is not None
            self._client_options = {
                "bootstrap_servers": address.url.partition("://")[2].rstrip("/").split(","),
                "request_timeout_ms": max(1000, int(connect_timeout * 1000)),
            }
            broker = import_faststream("kafka", "A Kafka broker").KafkaBroker(
                **self._client_options, logger=None, acks="all", consumer_only=reads_only
            )
        super().__init__(address, broker, connect_timeout)

    async def connect(self) -> Any:
        """See whether the broker answers, for FastStream never closes a producer that cannot connect."""
        if self._client_options:
            probe = import_module("aiokafka.admin").AIOKafkaAdminClient(**self._client_options)
            try:
                await probe.start()
            finally:
                await probe.close()
        return await super().connect()


class _Membership:
    """Knows whether a group has partitions for a member, or is just shared out anew."""

    def __init__(self) -> None:
        self.has_partitions = False

    def listener(self) -> Any:
        """Return what aiokafka tells of it, which must be of a class of its own."""
        membership = self
        base: Any = import_module("aiokafka").ConsumerRebalanceListener  # aiokafka has no types

        class Listener(base):  # type: ignore[misc]
            def on_partitions_revoked(self, revoked: object) -> None:
                membership.has_partitions = False

            def on_partitions_assigned(self, assigned: object) -> None:
                membership.has_partitions = True

        return Listener()


class KafkaSubscription(Subscription):
    """A member of a consumer group.

    It reads with the client beneath FastStream's broker: a subscriber of FastStream goes on for ever where the topic
    cannot be read, commits wherever it is, leaves the group where messages are worked on for five minutes, and has a
    message delivered again, while it is held, whenever another member comes or goes.
    """

    def __init__(self, address: BrokerAddress, options: SubscriptionOptions) -> None:
        self._connection = KafkaConnection(address, options.connect_timeout, reads_only=True)
        self._topic, self._group = options.channel, options.group
        self._connect_timeout = options.connect_timeout
        self._session = options.redeliver_after.total_seconds()
        # A member that is gone is missed for so long, and then the others have as long to ask for partitions.
        self._patience = options.connect_timeout + 2 * self._session
        self._membership = _Membership()
        self._consumer: Any = None
        self._done: dict[Any, int] = {}
        """By partition, the offset after what is in the target: what comes again of that is left out."""

    async def open(self) -> None:
        make_consumer = await self._connection.open()
        self._consumer = make_consumer(
            group_id=self._group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=int(self._session * 1000),
            heartbeat_interval_ms=max(1, int(self._session * 1000 / 3)),
            max_poll_interval_ms=FOR_EVER_MS,
            request_timeout_ms=int(self._patience * 1000),  # to ask for partitions is a request, too
        )
        self._consumer.subscribe([self._topic], listener=self._membership.listener())
        try:
            async with self._in_time(f"group {self._group!r} has given no partitions of topic {self._topic!r}"):
                await self._consumer.start()  # returns when the group has said which partitions are this member's
        except ConnectError:
            raise
        except Exception as error:
            raise ConnectError(
                f"{self._connection.address.shown}: topic {self._topic!r} cannot be read: {self._said(error)}"
            ) from error

    def _said(self, error: Exception) -> str:
        if type(error).__name__ != "InvalidSessionTimeoutError":
            return said(error)
        return (
            f"it takes no member that may be silent for {self._session:g} s: redeliver_after must lie between the "
            "broker's settings group.min.session.timeout.ms (6 s if nobody changed it) and group.max.session.timeout.ms"
        )

    @asynccontextmanager
    async def _in_time(self, late: str) -> AsyncGenerator[None, None]:
        """Give up on a broker that does not answer, or a group that is never done with sharing out.

        Raises:
            ConnectionLostError: If it takes longer than a group may.
        """
        try:
            async with asyncio.timeout(self._patience):
                yield
        except TimeoutError as error:
            raise ConnectionLostError(
                f"{self._connection.address.shown}: {late} in {self._patience:g} s; is the broker there?"
            ) from error

    async def take(self, most: int, seconds: float) -> Sequence[Delivery]:
        async with self._connection.errors(f"reading topic {self._topic!r}"):
            records: Any = await self._consumer.getmany(timeout_ms=int(seconds * 1000), max_records=most)
            return [
                Delivery(
                    record.value or b"",  # a message may have none
                    f"partition {record.partition}, offset {record.offset}",
                    (partition, record.offset),
                    (partition, record.offset),
                )
                for partition, several in records.items()
                for record in several
                if record.offset >= self._done.get(partition, 0)
            ]

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Commit, of each partition, the offset after the last message.

        While the group is shared out anew, nothing can be committed. Of a partition that is another member's after
        that, nothing is: the messages are delivered to that member, too.
        """
        offsets: dict[Any, int] = {}
        for each in deliveries:
            partition, offset = each.token
            offsets[partition] = offset + 1
        doing = f"committing offsets of topic {self._topic!r}"
        async with self._connection.errors(doing), self._in_time(f"{doing} was not done"):
            await self._commit(offsets)
        self._done |= offsets

    async def _commit(self, offsets: dict[Any, int]) -> None:
        failed: Any = import_module("aiokafka.errors").CommitFailedError
        while True:
            await self._given_partitions()  # to commit before that would make the member ask for them once more
            given = self._consumer.assignment()
            ours = {partition: offset for partition, offset in offsets.items() if partition in given}
            try:
                if ours:
                    await self._consumer.commit(ours)
                return
            except failed:  # and the member asks for partitions again
                self._membership.has_partitions = False

    async def _given_partitions(self) -> None:
        """Wait until the group has said which partitions are this member's.

        Raises:
            Exception: If it refuses the member, which aiokafka says to those only who ask it for messages.
        """
        nothing = import_module("aiokafka").TopicPartition(self._topic, -1)
        while not self._membership.has_partitions:
            await self._consumer.getmany(nothing)
            await asyncio.sleep(PAUSE)

    async def close(self, unacknowledged: Sequence[Delivery]) -> None:
        """Leave the group, which gives the partitions to others at once, from what is committed on.

        A broker that does not answer is not waited for: the group misses a member that is silent by itself.
        """
        consumer, self._consumer = self._consumer, None
        try:
            if consumer is not None:
                stopping = asyncio.ensure_future(consumer.stop())
                await asyncio.wait([stopping], timeout=self._connect_timeout)
                if stopping.done():
                    stopping.result()
                else:
                    logger.warning(
                        "%s: group %r was not left within %g s: its partitions are given to others when it has not "
                        "heard of this member for %g s",
                        *(self._connection.address.shown, self._group, self._connect_timeout, self._session),
                    )
        finally:
            await self._connection.close()


class KafkaPublisher(Publisher):
    """Publishes to a topic: messages are sent in batches, and the answers of all replicas are waited for."""

    def __init__(self, address: BrokerAddress, channel: str, connect_timeout: float) -> None:
        self._connection = KafkaConnection(address, connect_timeout)
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
            await asyncio.gather(*sent)

    async def close(self) -> None:
        await self._connection.close()
