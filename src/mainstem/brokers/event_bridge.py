"""``bridge_events``: the events of a bus, published to a broker or a webhook as CloudEvents."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from queue import Full, Queue
from threading import Thread
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Self

from mainstem.brokers.address import broker_address
from mainstem.brokers.connection import said
from mainstem.brokers.kinds import publisher_to
from mainstem.brokers.publisher import Outgoing, Publisher
from mainstem.errors import ConnectError, missing_extra
from mainstem.events import Event, EventBus, EventType
from mainstem.options import check_count, check_seconds
from mainstem.secrets import redact_url

CONTENT_TYPE = "application/cloudevents+json"
ATTEMPTS = 3
FIRST_PAUSE = 0.2
"""Seconds before an event is sent again; then twice as long."""
REQUEST_SECONDS = 10.0

logger = logging.getLogger("mainstem.events")


class EventBridge:
    """Carries events from a bus to a broker or a webhook: see ``bridge_events``.

    Attributes:
        sent: How many events have arrived there.
        dropped: How many were not sent, because so many waited already, or because there was no time left.
        failed: How many were refused, in each attempt.
    """

    def __init__(
        self,
        bus: EventBus,
        types: Sequence[EventType],
        send: Callable[[Queue[Any], EventBridge], None],
        shown: str,
        queue_size: int,
        flush_seconds: float,
    ) -> None:
        self._bus, self._types, self._send, self._shown = bus, types, send, shown
        self._flush_seconds = flush_seconds
        self._queue: Queue[Any] = Queue(queue_size)
        self._subscriptions = ExitStack()
        self._thread: Thread | None = None
        self._ends_at: float | None = None
        self.sent = self.dropped = self.failed = 0

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise RuntimeError("an EventBridge is entered once: make another with bridge_events()")
        self._thread = Thread(target=self._send, args=(self._queue, self), name="mainstem-event-bridge", daemon=True)
        self._thread.start()
        for each in self._types:
            self._subscriptions.enter_context(self._bus.subscribe(each, self._take))
        return self

    def _take(self, event: Event) -> None:
        """Put an event in the queue, and never wait for room in it: the run goes on."""
        try:
            self._queue.put_nowait(event)
        except Full:
            self._drop(1, f"{self._queue.maxsize:,} events wait for it already")

    def _drop(self, count: int, why: str) -> None:
        self.dropped += count
        logger.warning("%s: %d events were not sent: %s", self._shown, count, why)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._subscriptions.close()
        self._ends_at = monotonic() + self._flush_seconds
        marks = 1
        try:
            self._queue.put(None, timeout=self._flush_seconds)
        except Full:  # nothing was sent in all that time
            marks = 0
        assert self._thread is not None
        self._thread.join(max(0.0, self._ends_at - monotonic()) + 1)
        left = self._queue.qsize() - (0 if self._queue.empty() else marks)
        if left > 0:
            self._drop(left, f"they could not be sent within {self._flush_seconds:g} s after the end")

    def is_late(self) -> bool:
        """Say whether the time for what is left is over."""
        return self._ends_at is not None and monotonic() > self._ends_at

    def refused(self, event: Event, error: Exception) -> None:
        """Note that an event could not be sent."""
        self.failed += 1
        logger.error("%s: event %s (%s) was not taken: %s", self._shown, event.id, event.type.value, said(error))


def bridge_events(
    bus: EventBus,
    to: object,
    channel: str | None = None,
    *,
    types: Sequence[EventType] = tuple(EventType),
    headers: Mapping[str, str] | None = None,
    queue_size: int = 1000,
    flush_seconds: float = 10.0,
) -> EventBridge:
    """Publish the events of a bus to a broker's channel or a webhook while the returned bridge is open.

    Events are sent as CloudEvents 1.0 in JSON, in order, by a thread of their own: no run waits for them. If more than
    ``queue_size`` wait, further ones are dropped, counted in ``dropped`` and logged. One that is refused is tried
    again twice, then counted in ``failed`` and logged; the next is sent. What is left when the bridge is closed is sent
    for ``flush_seconds`` at most. ``data`` that JSON cannot say is sent as text.

    Args:
        bus: Where the events come from.
        to: A webhook (``https://``, ``http://``: ``POST``, with ``mainstem[http]``), the URL of a broker, or a broker
            object of FastStream, as in ``BrokerSource`` (``mainstem[brokers]``).
        channel: The broker's stream, subject, queue or topic; none for a webhook.
        types: Which events.
        headers: What a webhook is sent beside the content, such as a token.
        queue_size: How many events may wait.
        flush_seconds: Seconds.

    Returns:
        The bridge, to be used in a ``with`` block.

    Raises:
        ConnectError: If the URL is of no broker and no webhook.
        MissingExtraError: If the extra for it is not installed.
        TypeError: If ``to`` is neither URL nor broker.
        ValueError: If a broker comes without a channel, a webhook with one, or a number is wrong.

    Source: the CloudEvents 1.0 specification, its JSON format and its HTTP binding in structured mode.

    Example:
        >>> from mainstem import EventBus, Pipeline
        >>> bus = EventBus()
        >>> with bridge_events(bus, "https://hooks.example.org/runs") as bridge:  # doctest: +SKIP
        ...     Pipeline("nightly", event_bus=bus).map(str).run([1, 2])
    """
    check_count("queue_size of bridge_events", queue_size)
    check_seconds("flush_seconds of bridge_events", flush_seconds)
    if isinstance(to, str) and to.startswith(("http://", "https://")):
        if channel is not None:
            raise ValueError(f"a webhook has no channel, and {channel!r} was given")
        return EventBridge(bus, types, _webhook(to, headers or {}), redact_url(to), queue_size, flush_seconds)
    if not channel:
        raise ValueError("name the channel of the broker that events are published to")
    if headers:
        raise ValueError("headers are for webhooks: a broker's messages have those of BrokerSink")
    address = broker_address(to, "bridge_events")

    def send(queue: Queue[Any], bridge: EventBridge) -> None:
        asyncio.run(_publish(queue, bridge, lambda: publisher_to(address, channel, REQUEST_SECONDS)))

    return EventBridge(bus, types, send, f"{address.shown} {channel}", queue_size, flush_seconds)


def _body(event: Event) -> bytes:
    return json.dumps(event.to_cloudevent(), default=str).encode()


def _webhook(url: str, headers: Mapping[str, str]) -> Callable[[Queue[Any], EventBridge], None]:
    try:
        import httpx
    except ImportError:
        raise missing_extra("Sending events to a webhook", "http") from None

    def send(queue: Queue[Any], bridge: EventBridge) -> None:
        with httpx.Client(timeout=REQUEST_SECONDS, headers={**headers, "content-type": CONTENT_TYPE}) as client:
            while (event := queue.get()) is not None and not bridge.is_late():
                pause = FIRST_PAUSE
                for left in reversed(range(ATTEMPTS)):
                    try:
                        client.post(url, content=_body(event)).raise_for_status()
                        bridge.sent += 1
                        break
                    except Exception as error:  # of whatever kind: the run is not to suffer from it
                        if not left or bridge.is_late():
                            bridge.refused(event, error)
                            break
                        sleep(pause)
                        pause *= 2

    return send


async def _publish(queue: Queue[Any], bridge: EventBridge, make: Callable[[], Publisher]) -> None:
    publisher: Publisher | None = None
    while (event := await asyncio.to_thread(queue.get)) is not None and not bridge.is_late():
        pause = FIRST_PAUSE
        for left in reversed(range(ATTEMPTS)):
            try:
                if publisher is None:
                    publisher = await _opened(make())
                await publisher.publish([Outgoing(_body(event), CONTENT_TYPE)])
                bridge.sent += 1
                break
            except Exception as error:  # of whatever kind: the run is not to suffer from it
                broken, publisher = publisher, None
                await _closed(broken)
                if not left or bridge.is_late():
                    bridge.refused(event, error)
                    break
                await asyncio.sleep(pause)
                pause *= 2
    await _closed(publisher)


async def _closed(publisher: Publisher | None) -> None:
    """Close a publisher; what goes wrong with that is logged, for the events after it are to be sent."""
    if publisher is None:
        return
    try:
        await publisher.close()
    except Exception as error:
        logger.warning("a connection to a broker was not closed properly: %s", said(error))


async def _opened(publisher: Publisher) -> Publisher:
    try:
        await publisher.open()
    except ConnectError:
        await publisher.close()
        raise
    return publisher
