"""The kinds of broker, and how each is subscribed and published to."""

from __future__ import annotations

from mainstem.brokers.address import BrokerAddress
from mainstem.brokers.publisher import Publisher
from mainstem.brokers.subscription import Subscription, SubscriptionOptions


def subscription_to(address: BrokerAddress, options: SubscriptionOptions) -> Subscription:
    """Return a subscription that is not open yet."""
    if address.kind == "redis":
        from mainstem.brokers.redis_stream import RedisSubscription

        return RedisSubscription(address, options)
    if address.kind == "nats":
        from mainstem.brokers.nats_subject import NatsSubscription

        return NatsSubscription(address, options)
    if address.kind == "rabbit":
        from mainstem.brokers.rabbit_queue import RabbitSubscription

        return RabbitSubscription(address, options)
    if address.kind == "kafka":
        from mainstem.brokers.kafka_topic import KafkaSubscription

        return KafkaSubscription(address, options)
    from mainstem.brokers.mqtt_topic import MqttSubscription

    return MqttSubscription(address, options)


def publisher_to(address: BrokerAddress, channel: str, connect_timeout: float) -> Publisher:
    """Return a publisher that is not open yet."""
    if address.kind == "redis":
        from mainstem.brokers.redis_stream import RedisPublisher

        return RedisPublisher(address, channel, connect_timeout)
    if address.kind == "nats":
        from mainstem.brokers.nats_subject import NatsPublisher

        return NatsPublisher(address, channel, connect_timeout)
    if address.kind == "rabbit":
        from mainstem.brokers.rabbit_queue import RabbitPublisher

        return RabbitPublisher(address, channel, connect_timeout)
    if address.kind == "kafka":
        from mainstem.brokers.kafka_topic import KafkaPublisher

        return KafkaPublisher(address, channel, connect_timeout)
    from mainstem.brokers.mqtt_topic import MqttPublisher

    return MqttPublisher(address, channel, connect_timeout)
