"""``BrokerSource``: the messages of a broker, acknowledged when what came of them is committed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, cast, overload

from typing_extensions import TypeVar

from mainstem.brokers.address import broker_address
from mainstem.brokers.kinds import subscription_to
from mainstem.brokers.reach import reach
from mainstem.brokers.reading import Reading, Until
from mainstem.brokers.subscription import Delivery, SubscriptionOptions
from mainstem.connect.json_records import JsonRecords, kept, located
from mainstem.connect.record_type import model_of
from mainstem.connect.rejects import Reject, settle_rejects
from mainstem.connect.strict_json import decode_json
from mainstem.context import PipelineContext
from mainstem.datasets import Dataset
from mainstem.endpoints import CHUNK_SIZE, Position, SourceChunk, SourceStage
from mainstem.errors import ConnectError, ValidationError
from mainstem.options import check_count, check_seconds
from mainstem.type_hints import list_of

T = TypeVar("T")
R = TypeVar("R")

PREFETCH = 1000
REDELIVER_AFTER = timedelta(seconds=30)
GROUP = "mainstem"


class BrokerSource(SourceStage[T]):
    """Read the messages of a broker's channel: JSON objects, as they come.

    A message is acknowledged when what came of it is committed: in a durable run batch by batch (``commit_every``),
    else once, at the end, when the run has succeeded. A run that fails, is cancelled or is killed leaves its messages
    unacknowledged, and the broker delivers them again: **at least once**. Between a commit and its acknowledgement a
    run may die too, and then records are delivered again that are in the target already, even if that target keeps
    progress: give messages an id, and load with ``TableSink(..., key=...)`` in mode ``upsert``, or put a
    ``DedupeStage`` before the sink, where that must not be seen. Order is the broker's, and is lost where it delivers
    again.

    An endless source (``until="forever"``) is for durable runs, which commit as they go; the run ends when it is
    cancelled. Chunks are given as soon as messages come: none waits longer than 50 ms for others to fill its chunk.

    At most ``prefetch`` messages are held unacknowledged. When there are so many, a durable run into a sink commits,
    however long its batches may be; any other run fails, and says so. Beside them some may wait in the client: of Kafka
    up to 1 MB of each partition, of MQTT up to 65,535 messages.

    A message that is no JSON object, has a key twice or a value that JSON does not have, or that the record type
    refuses, fails the run. With ``continue_on_error`` it is recorded in ``context.errors`` (a durable run keeps it with
    the batch that it came in), acknowledged with the others, and the rest is read.

    What the channel is: of Redis a stream, with ``group`` as its consumer group; of NATS a subject that a JetStream
    stream holds, with ``group`` as a durable consumer; of RabbitMQ a queue, which is made, durable, if it is not there
    (``group`` does not count: who reads a queue shares it); of Kafka a topic, with ``group`` as its consumer group, and
    offsets that are committed after the commit; of MQTT a topic, with ``group`` as the client's id, which only one
    client may have at a time, and whose session gathers what is published while nobody reads, at quality of service 1.

    Kafka keeps the order of each partition, and shares the partitions out among a group anew when readers come or go:
    what one holds of a partition that becomes another's, the other gets, too.

    If the connection is lost, the run fails with Redis and NATS; the client has it again by itself with Kafka, RabbitMQ
    and MQTT, whose brokers then deliver again what was not acknowledged. With Kafka the run fails, too, if offsets
    cannot be committed within ``connect_timeout`` and twice ``redeliver_after``. FastStream needs asyncio: under trio
    the run fails.

    Tested on Redis, NATS, RabbitMQ and Mosquitto themselves; for Kafka on a Kafka-compatible server, the mock cluster
    of librdkafka, with a broker of Apache Kafka never.

    Args:
        url_or_broker: ``redis://``, ``nats://``, ``amqp://``, ``kafka://host:port,host:port`` or ``mqtt://``; or a
            broker object of FastStream, which is connected if it is not, and never closed here.
        channel: The stream, subject, queue or topic.
        record_type: What the records are: ``dict``, or a dataclass, ``TypedDict``, msgspec ``Struct`` or pydantic
            model, into which the objects are parsed.
        prefetch: How many messages may be unacknowledged.
        group: Sources of the same group share the messages, and go on where another ended.
        redeliver_after: After how long another consumer gets the messages of one that was killed: of Redis and NATS,
            where messages that are worked on are kept by a sign of life, and of Kafka, where it is the member's session
            timeout, and brokers take no less than 6 s unless they are told to. Others see it at once.
        stream: The JetStream stream, if it is not to be looked up by the subject.
        until: When to end: ``"forever"`` for never, a ``timedelta`` for when no message has come for so long, or how
            many messages, those that were rejected and those of earlier attempts at the run included.
        connect_timeout: Seconds.
        continue_on_error: Whether to record messages that cannot be read and go on.
        name: The stage's name in reports.

    Raises:
        ConnectError: If the URL is of no broker.
        MissingExtraError: If ``mainstem[brokers]`` is not installed.
        TypeError: If ``record_type`` or the broker is none.
        ValueError: If another option cannot be one.

    Source: FastStream for brokers; the checkpointed offsets of Flink's sources for when to acknowledge.

    Example:
        >>> from mainstem import Pipeline
        >>> source = BrokerSource("redis://localhost", "orders", until=timedelta(seconds=5))  # doctest: +SKIP
        >>> Pipeline("orders").add_stage(source).run().data  # doctest: +SKIP
        [{'id': 1, 'amount': 12.5}]
    """

    acknowledges = True
    # The broker and the channel are in the fingerprint; the rest may be changed between two attempts.
    not_in_shape = frozenset(("address", "options", "until", "json", "readings"))

    @overload
    def __init__(
        self: BrokerSource[dict[str, Any]],
        url_or_broker: object,
        channel: str,
        *,
        record_type: type[dict[Any, Any]] = ...,
        prefetch: int = PREFETCH,
        group: str = GROUP,
        redeliver_after: timedelta = REDELIVER_AFTER,
        stream: str | None = None,
        until: Until = "forever",
        connect_timeout: float = 10.0,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: BrokerSource[R],
        url_or_broker: object,
        channel: str,
        *,
        record_type: type[R],
        prefetch: int = PREFETCH,
        group: str = GROUP,
        redeliver_after: timedelta = REDELIVER_AFTER,
        stream: str | None = None,
        until: Until = "forever",
        connect_timeout: float = 10.0,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    def __init__(
        self,
        url_or_broker: object,
        channel: str,
        *,
        record_type: type[Any] = dict,
        prefetch: int = PREFETCH,
        group: str = GROUP,
        redeliver_after: timedelta = REDELIVER_AFTER,
        stream: str | None = None,
        until: Until = "forever",
        connect_timeout: float = 10.0,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None:
        check_count("prefetch of BrokerSource", prefetch)
        check_seconds("connect_timeout of BrokerSource", connect_timeout)
        _check_until(until)
        if redeliver_after < timedelta(milliseconds=100):
            raise ValueError(f"redeliver_after of BrokerSource must be 100 ms or more, not {redeliver_after!r}")
        for what, text in (("channel", channel), ("group", group)):
            if not text:
                raise ValueError(f"{what} of BrokerSource must be a name, not {text!r}")
        self._address = broker_address(url_or_broker, "BrokerSource")
        self._options = SubscriptionOptions(
            channel=channel,
            group=group,
            prefetch=prefetch,
            redeliver_after=redeliver_after,
            stream=stream,
            connect_timeout=connect_timeout,
        )
        self._until: Until = until
        self._model = model_of(record_type, "BrokerSource")
        self._json = JsonRecords(self._model)
        self._continue_on_error = continue_on_error
        self._readings: dict[str, list[Reading]] = {}
        """Those that are open, by the id of the run that reads."""
        if name is not None:
            self.name = name

    def _hints(self) -> tuple[Any, Any]:
        return None, list_of(dict[str, Any] if self._model is None else self._model)

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        return self._address.datasets(self._options.channel)

    async def fingerprint(self) -> Mapping[str, Any]:
        return {"broker": self._address.shown, "channel": self._options.channel, "group": self._options.group}

    def share_before(self, position: Position) -> float | None:
        return min(1.0, int(position["messages"]) / self._until) if isinstance(self._until, int) else None

    async def check_access(self) -> str:
        return await reach(self._address, self._options.channel, self._options.connect_timeout)

    def read_again(self, record: Any) -> T:
        return cast("T", self._json.read_again(record))

    async def read(
        self, context: PipelineContext, *, start: Position | None = None, chunk_size: int = CHUNK_SIZE
    ) -> AsyncGenerator[SourceChunk[T], None]:
        check_count("chunk_size", chunk_size)
        options = self._options
        keep_every = options.redeliver_after.total_seconds() / 3
        before = 0 if start is None else int(start["messages"])
        reading = Reading(subscription_to(self._address, options), options.prefetch, keep_every, before)
        self._readings.setdefault(context.pipeline_id, []).append(reading)
        await reading.open()
        async for deliveries in reading.chunks(self._until, chunk_size):
            records, rejects = self._parse(deliveries)
            failed = settle_rejects(rejects, context, self.name, go_on=self._continue_on_error)
            position = {"reader": reading.name, "messages": reading.taken}
            wants_commit = reading.is_full and reading.taken != self._until
            yield SourceChunk(cast("list[T]", records), position, failed, wants_commit)

    async def committed(self, position: Position) -> None:
        for reading in [each for several in self._readings.values() for each in several]:
            if reading.name == position["reader"]:
                await reading.committed(int(position["messages"]))

    async def release(self, context: PipelineContext) -> None:
        for reading in self._readings.pop(context.pipeline_id, []):
            await reading.close()

    def _parse(self, deliveries: Sequence[Delivery]) -> tuple[list[Any], list[Reject]]:
        records: list[Any] = []
        rejects: list[Reject] = []
        for at, delivery in enumerate(deliveries):
            where = f"{self._options.channel}, {delivery.shown}"
            item: Any = _text_of(delivery.body)
            try:
                item, _ = decode_json(delivery.body)
                records.append(self._json.read(item))
            except (ConnectError, ValidationError) as error:
                rejects.append(Reject(at, kept(item), located(error, where)))
            except ValueError as error:  # no JSON
                rejects.append(Reject(at, item, located(error, where)))
        return records, rejects


def _text_of(body: bytes) -> str | bytes:
    with suppress(UnicodeDecodeError):
        return body.decode("utf-8")
    return body


def _check_until(until: object) -> None:
    if until == "forever":
        return
    if isinstance(until, timedelta):
        if until <= timedelta(0):
            raise ValueError(f"until of BrokerSource must be longer than nothing, not {until!r}")
        return
    if isinstance(until, int) and not isinstance(until, bool):
        check_count("until of BrokerSource", until)
        return
    raise ValueError(f"until of BrokerSource is 'forever', a timedelta or a number of messages, not {until!r:.100}")
