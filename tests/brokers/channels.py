"""Channels of real brokers for tests: each of a name of its own, with what the broker needs for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from os import getpid
from typing import Any

import anyio
from tests.brokers.broker_servers import (
    PASSWORD,
    BrokerServer,
    kafka_server,
    mqtt_server,
    nats_server,
    rabbit_server,
    redis_server,
)

from mainstem import Pipeline
from mainstem.brokers import BrokerSink, BrokerSource

_numbers = count()
WRONG = "a-wrong-secret"
MOMENT = timedelta(seconds=0.6)


@dataclass(frozen=True)
class Kind:
    """A kind of broker.

    Attributes:
        server: Starts it, once.
        scheme: How its URLs begin.
        user: Who connects to it; ``None`` where anybody can.
        source_options: What a source is told there, unless a test says otherwise.
    """

    server: Callable[[], BrokerServer]
    scheme: str
    user: str | None = "me"
    source_options: Mapping[str, Any] = field(default_factory=dict)

    def url(self, password: str = PASSWORD) -> str:
        credentials = "" if self.user is None else f"{self.user}:{password}@"
        return f"{self.scheme}://{credentials}127.0.0.1:{self.server().port}"


KINDS = {
    "redis": Kind(redis_server, "redis", user=""),
    "nats": Kind(nats_server, "nats"),
    "rabbit": Kind(rabbit_server, "amqp"),
    "mqtt": Kind(mqtt_server, "mqtt"),
    # A group waits for as long as a member may be silent, less a second, before a next member is given anything.
    "kafka": Kind(kafka_server, "kafka", user=None, source_options={"redeliver_after": timedelta(seconds=1.5)}),
}


class Channel:
    """A channel of its own.

    Args:
        name: The kind of its broker.
        partitions: Of how many a topic of Kafka is; with one, all of it is in order.
    """

    def __init__(self, name: str, partitions: int = 1) -> None:
        self.kind_name, self.kind = name, KINDS[name]
        self.name = f"test-{getpid()}-{next(_numbers)}"
        self.url = self.kind.url()
        if name == "nats":
            anyio.run(self._add_stream)
        if name == "kafka":
            assert kafka_server().control.add_topic(self.name, partitions) == 0
        if name == "mqtt":  # a session gathers what is published from when it was first there
            assert self.read(until=MOMENT).success

    @classmethod
    def there(cls, kind: str, url: str, name: str) -> Channel:
        """Return a channel that another process has made."""
        channel = object.__new__(cls)
        channel.kind_name, channel.kind = kind, KINDS[kind]
        channel.url, channel.name = url, name
        return channel

    async def _add_stream(self) -> None:
        import nats

        client: Any = await nats.connect(self.url)
        await client.jetstream().add_stream(name=self.name, subjects=[self.name])
        await client.close()

    def source(self, **options: Any) -> BrokerSource[Any]:
        return BrokerSource(self.url, self.name, **{"group": self.name, **self.kind.source_options, **options})

    def sink(self, **options: Any) -> BrokerSink:
        return BrokerSink(self.url, self.name, **options)

    def publish(self, records: list[Any]) -> None:
        """Publish records; bytes as they are."""
        pipeline: Any = Pipeline[Any, Any]("publish").add_stage(self.sink())
        pipeline.run(records).unwrap()

    def read(self, **options: Any) -> Any:
        pipeline: Any = Pipeline[Any, Any]("read").add_stage(self.source(**options))
        return pipeline.run()

    def left(self) -> list[Any]:
        """Read what is not acknowledged, and acknowledge it."""
        records: list[Any] = self.read(until=MOMENT, redeliver_after=MOMENT).unwrap()
        return records
