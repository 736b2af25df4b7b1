"""Wrong uses of brokers."""

from __future__ import annotations

from mainstem import EventBus, MapStage
from mainstem.brokers import BrokerSink, BrokerSource, bridge_events


def length(name: str) -> int:
    return len(name)


BrokerSource("redis://localhost", "names") >> MapStage(length)  # expect: arg-type, reportOperatorIssue
BrokerSource("redis://localhost", "names", until="never")  # expect: call-overload, reportArgumentType
BrokerSink("redis://localhost", "names", key=3)  # expect: arg-type, reportArgumentType
bridge_events(EventBus(), "https://host", types=["created"])  # expect: list-item, reportArgumentType
