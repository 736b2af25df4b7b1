"""MQTT: topics, in a session that outlives the connection, with quality of service 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mainstem.brokers.address import BrokerAddress, import_faststream
from mainstem.brokers.connection import BrokerConnection
from mainstem.brokers.publisher import Outgoing, Publisher
from mainstem.brokers.pushed import PushedSubscription
from mainstem.brokers.subscription import Delivery, SubscriptionOptions

SESSION_SECONDS = 7 * 24 * 3600
"""How long a broker keeps the messages of a session whose client is away."""
MOST_IN_FLIGHT = 65_535
"""The largest number of unacknowledged messages that MQTT can name."""


class MqttSubscription(PushedSubscription):
    """A session of its own name.

    The broker is told to push as many messages as MQTT can name: told of fewer, Mosquitto pushes more all the same when
    a session is taken up again, and the client ends the connection; told nothing, it waits after 20 for what is
    acknowledged after the commit only.
    """

    def __init__(self, address: BrokerAddress, options: SubscriptionOptions) -> None:
        broker = address.broker
        if broker is None:
            broker = import_faststream("mqtt", "An MQTT broker").MQTTBroker(
                address.url,
                client_id=options.group,
                clean_session=False,
                session_expiry_interval=SESSION_SECONDS,
                receive_maximum=MOST_IN_FLIGHT,
                mqtt_connect_timeout=options.connect_timeout,
                logger=None,
            )
        super().__init__(BrokerConnection(address, broker, options.connect_timeout), options)

    def subscriber(self) -> Any:
        policy = import_faststream("middlewares", "An MQTT broker").AckPolicy
        qos = import_faststream("mqtt", "An MQTT broker").QoS
        return self.connection.broker.subscriber(
            self.options.channel,
            qos=qos.AT_LEAST_ONCE,
            ack_policy=policy.MANUAL,
            no_reply=True,
            persistent=False,
        )

    def delivery(self, message: Any) -> Delivery:
        return Delivery(message.body, f"message of topic {message.raw_message.topic}", message)

    async def forget(self, deliveries: Sequence[Delivery]) -> None:
        for each in deliveries:
            await each.token.ack()

    async def unsubscribe(self) -> None:
        """Let the session gather what is published meanwhile: to stop FastStream's subscriber alone would end it."""
        inner: Any = getattr(self.subscribed, "_subscription", None)
        if inner is not None:
            await inner.detach()
        await super().unsubscribe()


class MqttPublisher(Publisher):
    """Publishes to a topic, and waits until the broker has taken each message."""

    def __init__(self, address: BrokerAddress, channel: str, connect_timeout: float) -> None:
        broker = address.broker
        if broker is None:
            broker = import_faststream("mqtt", "An MQTT broker").MQTTBroker(
                address.url, mqtt_connect_timeout=connect_timeout, logger=None
            )
        self._connection = BrokerConnection(address, broker, connect_timeout)
        self._topic = channel

    async def open(self) -> None:
        await self._connection.open()

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        qos = import_faststream("mqtt", "An MQTT broker").QoS
        async with self._connection.errors(f"publishing to topic {self._topic!r}"):
            for message in messages:
                await self._connection.broker.publish(
                    message.body, self._topic, qos=qos.AT_LEAST_ONCE, headers=message.headers
                )

    async def close(self) -> None:
        await self._connection.close()
