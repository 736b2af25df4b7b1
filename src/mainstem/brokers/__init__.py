"""Messages of brokers as sources and sinks, and events on their way out. They need ``mainstem[brokers]``."""

from __future__ import annotations

from mainstem.brokers.event_bridge import EventBridge, bridge_events
from mainstem.brokers.sink import BrokerSink
from mainstem.brokers.source import BrokerSource

__all__ = ["BrokerSink", "BrokerSource", "EventBridge", "bridge_events"]
