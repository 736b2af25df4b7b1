"""Right uses of brokers: sources of records, sinks, and events on their way out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_type

from mainstem import EventBus, LoadReport, Pipeline
from mainstem.brokers import BrokerSink, BrokerSource, EventBridge, bridge_events


@dataclass
class Order:
    id: int


def number_of(order: Order) -> int:
    return order.id


orders = BrokerSource("redis://localhost", "orders", record_type=Order, until=timedelta(seconds=5))
assert_type(orders, BrokerSource[Order])
assert_type(BrokerSource("nats://localhost", "orders", until=10), BrokerSource[dict[str, Any]])
numbers = Pipeline[None, list[int]]("numbers").add_stage(orders).map(number_of)
assert_type(numbers.run().data, list[int] | None)
copied = Pipeline[None, LoadReport]("copied").add_stage(orders).add_stage(BrokerSink("amqp://localhost", "q", key="id"))
assert_type(copied.run().data, LoadReport | None)
assert_type(bridge_events(EventBus(), "https://host/hook"), EventBridge)
