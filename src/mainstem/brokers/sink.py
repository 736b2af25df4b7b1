"""``BrokerSink``: records as messages of a broker, each confirmed before a load is committed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from mainstem.brokers.address import broker_address
from mainstem.brokers.kinds import publisher_to
from mainstem.brokers.publisher import Outgoing, Publisher
from mainstem.brokers.reach import reach
from mainstem.connect.json_encoding import json_line, unwritable_as_json
from mainstem.connect.rejects import Reject, settle_rejects
from mainstem.connect.rows import class_of
from mainstem.context import PipelineContext
from mainstem.datasets import Dataset
from mainstem.endpoints import Position, SinkStage, SinkTransaction
from mainstem.errors import ValidationError, describe_error
from mainstem.options import check_seconds
from mainstem.records import field_reader

MessageKey: TypeAlias = str | Callable[[Any], object] | None
"""What a message's key is: the name of a field, or a function of the record."""

BYTES = "application/octet-stream"


class BrokerSink(SinkStage[Any]):
    """Publish records to a broker's channel, in order: at least once, each confirmed by the broker before the commit.

    A record is written as ``JsonLinesSink`` writes it, as a JSON object; ``bytes`` are published as they are. What JSON
    cannot say fails the load; with ``continue_on_error`` such a record is recorded in ``context.errors`` and left out.

    Messages are published when they are written, for a broker has no way to hold them back. So a load that fails after
    that has published some, and publishes them again when the run is resumed: consumers must be ready to see a message
    twice, say by an id in it.

    The channel is a stream of Redis; a subject of NATS that a JetStream stream holds; a queue of RabbitMQ, which is
    made, durable, if it is not there; a topic of Kafka, whose replicas all confirm; or a topic of MQTT, at quality of
    service 1, of which the broker confirms that it has the message, not that anybody listens. Only asyncio will do.

    Args:
        url_or_broker: As in ``BrokerSource``.
        channel: The stream, subject, queue or topic.
        key: The name of a field, or a function of the record, whose value is the key: that of Kafka, by which messages
            are spread over partitions; of other brokers a header ``key``. ``None`` is no key.
        continue_on_error: Whether to record what cannot be written and go on.
        connect_timeout: Seconds.
        name: The stage's name in reports.

    Raises:
        ConnectError: If the URL is of no broker.
        MissingExtraError: If ``mainstem[brokers]`` is not installed.
        TypeError: If the broker is none.
        ValueError: If another option cannot be one.

    Example:
        >>> from mainstem import Pipeline
        >>> sink = BrokerSink("redis://localhost", "orders", key="id")  # doctest: +SKIP
        >>> Pipeline("orders").add_stage(sink).run([{"id": 1}]).data.records_loaded  # doctest: +SKIP
        1
    """

    not_in_shape = frozenset(("address", "connect_timeout"))

    def __init__(
        self,
        url_or_broker: object,
        channel: str,
        *,
        key: MessageKey = None,
        continue_on_error: bool = False,
        connect_timeout: float = 10.0,
        name: str | None = None,
    ) -> None:
        check_seconds("connect_timeout of BrokerSink", connect_timeout)
        if not channel:
            raise ValueError(f"channel of BrokerSink must be a name, not {channel!r}")
        self._address = broker_address(url_or_broker, "BrokerSink")
        self._channel, self._key, self._connect_timeout = channel, key, connect_timeout
        self._continue_on_error = continue_on_error
        if name is not None:
            self.name = name

    @property
    def target(self) -> str:
        return f"{self._address.shown} {self._channel}"

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        return self._address.datasets(self._channel)

    async def check_access(self) -> str:
        return await reach(self._address, self._channel, self._connect_timeout)

    async def begin(self, context: PipelineContext) -> SinkTransaction[Any]:
        publisher = publisher_to(self._address, self._channel, self._connect_timeout)
        try:
            await publisher.open()
        except BaseException:
            await publisher.close()
            raise
        return _BrokerTransaction(publisher, self._key, context, self.name, self._continue_on_error)


class _BrokerTransaction(SinkTransaction[Any]):
    def __init__(
        self, publisher: Publisher, key: MessageKey, context: PipelineContext, stage: str, go_on: bool
    ) -> None:
        self._publisher, self._key = publisher, key
        self._context, self._stage, self._go_on = context, stage, go_on

    async def write(self, records: Sequence[Any]) -> int:
        messages: list[Outgoing] = []
        rejects: list[Reject] = []
        for at, record in enumerate(records):
            try:
                messages.append(outgoing(record, self._key))
            except ValidationError as error:
                rejects.append(Reject(at, record, error))
        rejected = settle_rejects(rejects, self._context, self._stage, go_on=self._go_on)
        await self._publisher.publish(messages)
        return rejected

    async def commit(self, position: Position | None = None) -> None:
        """Close the connection: each message was confirmed when it was written."""
        await self._publisher.close()

    async def abort(self) -> None:
        """Close the connection: what was published cannot be taken back."""
        await self._publisher.close()


def outgoing(record: Any, key: MessageKey) -> Outgoing:
    """Return the message that a record becomes.

    Raises:
        ValidationError: If JSON cannot say it, or it has no such key.
    """
    if isinstance(record, bytes):
        return Outgoing(record, BYTES, _key_of(record, key))
    try:
        body = json_line(record)[:-1]
    except Exception as error:  # of the record's own methods, too
        raise unwritable_as_json(error) from error
    return Outgoing(body, key=_key_of(record, key))


def _key_of(record: Any, key: MessageKey) -> str | None:
    if key is None:
        return None
    try:
        value: Any = field_reader(class_of(record))(record)[key] if isinstance(key, str) else key(record)
    except Exception as error:
        raise ValidationError(f"the record's key cannot be had: {describe_error(error)}") from error
    return None if value is None else str(value)
