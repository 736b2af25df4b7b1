"""Events on their way out of the process: as CloudEvents, in order, and never at the cost of a run."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from time import monotonic, sleep
from typing import Any

import anyio
import pytest
from tests.brokers.channels import Channel

from mainstem import ConnectError, Event, EventBus, EventType, Pipeline
from mainstem.brokers import bridge_events, event_bridge
from mainstem.brokers.redis_stream import RedisPublisher

pytestmark = [pytest.mark.extras, pytest.mark.timeout(60)]


class Hook:
    """A webhook of its own, with what it was sent."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.headers: list[Any] = []
        self.answers: list[int] = []
        self.asked, self.gate = threading.Event(), threading.Event()
        self.gate.set()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.asked.set()
                hook.gate.wait(30)
                body = self.rfile.read(int(self.headers["content-length"]))
                status = hook.answers.pop(0) if hook.answers else 204
                if status < 300:
                    hook.bodies.append(json.loads(body))
                    hook.headers.append(dict(self.headers))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook?token=pw-1234"

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


def publish(bus: EventBus, count: int) -> None:
    async def main() -> None:
        for number in range(count):
            await bus.publish(Event(type=EventType.ITEM_CREATED, data={"number": number}))

    anyio.run(main)


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = monotonic() + 20
    while not is_so():
        assert monotonic() < deadline
        sleep(0.01)


def test_the_events_of_a_run_reach_a_webhook(hook: Hook) -> None:
    bus = EventBus()
    with bridge_events(bus, hook.url, headers={"authorization": "Bearer x"}) as bridge:
        result = Pipeline[list[int], list[int]]("nightly", event_bus=bus).map(abs).run([1])
        assert result.success
    assert [each["type"] for each in hook.bodies] == ["mainstem.item.created", "mainstem.item.updated"]
    assert all(each["specversion"] == "1.0" and each["id"] and each["time"] for each in hook.bodies)
    assert hook.headers[0]["content-type"] == "application/cloudevents+json"
    assert hook.headers[0]["authorization"] == "Bearer x"
    assert (bridge.sent, bridge.dropped, bridge.failed) == (2, 0, 0)
    publish(bus, 1)
    assert len(hook.bodies) == 2


@pytest.mark.parametrize("kind", ["redis", "nats", "kafka"])
def test_events_reach_a_broker_in_order(kind: str) -> None:
    channel, bus = Channel(kind), EventBus()
    with bridge_events(bus, channel.url, channel.name) as bridge:
        publish(bus, 20)
    assert bridge.sent == 20
    assert [each["data"]["number"] for each in channel.read(until=20).unwrap()] == list(range(20))


def test_one_that_is_refused_is_tried_again_and_the_next_is_sent(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(event_bridge, "FIRST_PAUSE", 0.01)
    hook.answers = [503, 204, 500, 500, 500, 204]
    bus = EventBus()
    with bridge_events(bus, hook.url) as bridge:
        publish(bus, 3)
    assert [each["data"]["number"] for each in hook.bodies] == [0, 2]
    assert (bridge.sent, bridge.failed) == (2, 1)
    assert "was not taken: HTTPStatusError" in caplog.text
    assert "pw-1234" not in caplog.text


def test_a_run_does_not_wait_for_a_hook_that_hangs(hook: Hook) -> None:
    hook.gate.clear()
    bus = EventBus()
    with bridge_events(bus, hook.url, queue_size=5, flush_seconds=10) as bridge:
        publish(bus, 20)  # would never end if it waited
        assert bridge.dropped >= 14
        hook.gate.set()
    assert bridge.sent + bridge.dropped == 20
    assert len(hook.bodies) == bridge.sent


def test_what_cannot_be_flushed_in_time_is_counted(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_bridge, "REQUEST_SECONDS", 0.2)
    hook.gate.clear()
    bus = EventBus()
    with bridge_events(bus, hook.url, flush_seconds=0.1) as bridge:
        publish(bus, 10)
    assert bridge.sent == 0
    assert bridge.dropped + bridge.failed >= 9


def test_an_end_for_which_there_is_no_room_is_not_waited_for(hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
    """The queue is full, and what is on its way is stuck: the end of the block gives up in time, and counts."""
    hook.gate.clear()
    bus = EventBus()
    with bridge_events(bus, hook.url, queue_size=2, flush_seconds=0.5) as bridge:
        publish(bus, 1)
        assert hook.asked.wait(20)  # and gives no answer
        publish(bus, 2)
        began = monotonic()
    assert monotonic() - began < 5, "the hook answers after 30 s"
    assert (bridge.sent, bridge.dropped) == (0, 2)
    assert "2 events were not sent: they could not be sent within 0.5 s after the end" in caplog.text
    hook.gate.set()
    wait_until(lambda: bridge.sent == 1)


def test_a_connection_that_cannot_be_closed_does_not_end_the_sending(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from redis import Redis

    monkeypatch.setattr(event_bridge, "FIRST_PAUSE", 0.01)
    channel, bus = Channel("redis"), EventBus()
    close = RedisPublisher.close

    async def close_and_fail(self: RedisPublisher) -> None:
        await close(self)
        raise ConnectionResetError("the connection is gone already")

    monkeypatch.setattr(RedisPublisher, "close", close_and_fail)
    with Redis.from_url(channel.url) as client, bridge_events(bus, channel.url, channel.name) as bridge:
        client.set(channel.name, "no stream")
        publish(bus, 1)
        wait_until(lambda: bridge.failed == 1)
        client.delete(channel.name)
        publish(bus, 2)
    assert (bridge.sent, bridge.failed, bridge.dropped) == (2, 1, 0)
    assert "a connection to a broker was not closed properly: ConnectionResetError" in caplog.text


def test_a_broker_that_is_not_there_costs_the_run_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_bridge, "FIRST_PAUSE", 0.01)
    bus = EventBus()
    with bridge_events(bus, "redis://127.0.0.1:1", "events") as bridge:
        publish(bus, 2)
    assert (bridge.sent, bridge.failed) == (0, 2)


@pytest.mark.parametrize(
    ("to", "options", "error", "message"),
    [
        ("https://host", {"channel": "c"}, ValueError, "a webhook has no channel"),
        ("redis://host", {}, ValueError, "name the channel"),
        ("redis://host", {"channel": "c", "headers": {"a": "b"}}, ValueError, "headers are for webhooks"),
        ("ftp://host", {"channel": "c"}, ConnectError, "names no broker"),
        (3, {"channel": "c"}, TypeError, "takes the URL of a broker"),
        ("https://host", {"queue_size": 0}, ValueError, "queue_size"),
    ],
)
def test_wrong_arguments_are_refused(to: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        bridge_events(EventBus(), to, **options)


def test_it_is_entered_once(hook: Hook) -> None:
    with bridge_events(EventBus(), hook.url) as bridge, pytest.raises(RuntimeError, match="is entered once"):
        bridge.__enter__()
