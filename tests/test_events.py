"""Events and the bus that carries them."""

from __future__ import annotations

import json
import logging
import math
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from mainstem import Event, EventBus, EventType, ObserverError, Subscription, default_event_bus
from mainstem.events import describe_observer
from runs import Abort

pytestmark = pytest.mark.anyio

CREATED = Event(type=EventType.ITEM_CREATED, data={"name": "demo"}, subject="run-1")


def test_an_event_has_the_attributes_of_cloudevents() -> None:
    event = CREATED.to_cloudevent()
    assert event == {
        "specversion": "1.0",
        "id": CREATED.id,
        "source": "mainstem",
        "type": "mainstem.item.created",
        "time": CREATED.time.isoformat(),
        "datacontenttype": "application/json",
        "subject": "run-1",
        "data": {"name": "demo"},
    }
    assert json.loads(json.dumps(event)) == event
    assert CREATED.time.utcoffset() == timedelta(0)


def test_an_absent_subject_is_left_out_and_ids_are_unique() -> None:
    first, second = Event(type=EventType.ITEM_UPDATED), Event(type=EventType.ITEM_UPDATED)
    assert "subject" not in first.to_cloudevent()
    assert first.id != second.id
    assert first.data == {}


async def test_sync_and_async_handlers_of_the_type_get_the_event() -> None:
    bus = EventBus()
    seen: list[tuple[str, Event]] = []

    async def later(event: Event) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(("async", event))

    bus.subscribe(EventType.ITEM_CREATED, lambda event: seen.append(("sync", event)))
    bus.subscribe(EventType.ITEM_CREATED, later)
    bus.subscribe(EventType.ITEM_UPDATED, lambda event: seen.append(("other type", event)))
    assert await bus.publish(CREATED) == []
    assert seen == [("sync", CREATED), ("async", CREATED)]


async def test_sync_handlers_run_inline_in_the_order_of_subscription() -> None:
    bus = EventBus()
    seen: list[int] = []
    for number in range(3):
        bus.subscribe(EventType.ITEM_CREATED, lambda event, number=number: seen.append(number))
    await bus.publish(CREATED)
    assert seen == [0, 1, 2]


async def test_async_handlers_run_side_by_side() -> None:
    bus = EventBus()
    events = [anyio.Event(), anyio.Event()]

    async def meet(number: int) -> None:
        events[number].set()
        await events[1 - number].wait()

    bus.subscribe(EventType.ITEM_CREATED, lambda event: meet(0))
    bus.subscribe(EventType.ITEM_CREATED, lambda event: meet(1))
    with anyio.fail_after(5):
        assert await bus.publish(CREATED) == []


async def test_unsubscribing_stops_the_calls_and_doing_so_twice_is_harmless() -> None:
    bus = EventBus()
    seen: list[Event] = []
    first = bus.subscribe(EventType.ITEM_CREATED, seen.append)
    bus.subscribe(EventType.ITEM_CREATED, seen.append)
    await bus.publish(CREATED)
    assert len(seen) == 2
    first.unsubscribe()
    first.unsubscribe()
    await bus.publish(CREATED)
    assert len(seen) == 3


async def test_a_subscription_can_be_a_with_block() -> None:
    bus = EventBus()
    seen: list[Event] = []
    with bus.subscribe(EventType.ITEM_CREATED, seen.append) as subscription:
        assert isinstance(subscription, Subscription)
        await bus.publish(CREATED)
    await bus.publish(CREATED)
    assert seen == [CREATED]


async def test_a_handler_may_unsubscribe_while_it_is_called() -> None:
    bus = EventBus()
    seen: list[str] = []
    subscriptions: list[Subscription] = []

    def once(event: Event) -> None:
        seen.append("once")
        subscriptions[0].unsubscribe()

    subscriptions.append(bus.subscribe(EventType.ITEM_CREATED, once))
    bus.subscribe(EventType.ITEM_CREATED, lambda event: seen.append("always"))
    await bus.publish(CREATED)
    await bus.publish(CREATED)
    assert seen == ["once", "always", "always"]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_a_handler_that_raises_is_logged_and_handed_back_and_hurts_no_other(
    is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    bus = EventBus()
    seen: list[Event] = []
    cause = ValueError("broken handler")

    def broken(event: Event) -> None:
        raise cause

    async def broken_later(event: Event) -> None:
        raise cause

    async def good_later(event: Event) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(event)

    bus.subscribe(EventType.ITEM_CREATED, broken_later if is_async else broken)
    bus.subscribe(EventType.ITEM_CREATED, seen.append)
    bus.subscribe(EventType.ITEM_CREATED, good_later)
    with caplog.at_level(logging.ERROR, "mainstem.events"):
        (error,) = await bus.publish(CREATED)
    assert isinstance(error, ObserverError)
    assert error.__cause__ is cause
    assert "broken" in str(error)
    assert "failed on ITEM_CREATED: ValueError: broken handler" in str(error)
    assert seen == [CREATED, CREATED]
    assert [entry.getMessage() for entry in caplog.records] == [str(error)]


async def test_a_handler_that_never_returns_is_cancelled_and_reported() -> None:
    bus = EventBus(handler_timeout=0.01)
    seen: list[Event] = []

    async def hang(event: Event) -> None:
        await anyio.sleep_forever()

    async def good(event: Event) -> None:
        seen.append(event)

    bus.subscribe(EventType.ITEM_CREATED, hang)
    bus.subscribe(EventType.ITEM_CREATED, good)
    with anyio.fail_after(5):
        (error,) = await bus.publish(CREATED)
    assert isinstance(error.__cause__, TimeoutError)
    assert "longer than 0.01 s" in str(error)
    assert seen == [CREATED]


async def test_an_infinite_timeout_is_none() -> None:
    bus = EventBus(handler_timeout=math.inf)
    seen: list[Event] = []

    async def later(event: Event) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(event)

    bus.subscribe(EventType.ITEM_CREATED, later)
    assert await bus.publish(CREATED) == []
    assert seen == [CREATED]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("kind", [Abort, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("others", [0, 2])
async def test_what_is_no_exception_passes_through_as_it_is(
    kind: type[BaseException], is_async: bool, others: int
) -> None:
    bus = EventBus()
    original = kind("out")

    def leave(event: Event) -> None:
        raise original

    async def leave_later(event: Event) -> None:
        raise original

    async def hang(event: Event) -> None:
        await anyio.sleep_forever()

    bus.subscribe(EventType.ITEM_CREATED, leave_later if is_async else leave)
    for _ in range(others):
        bus.subscribe(EventType.ITEM_CREATED, hang)
    with pytest.raises(kind) as caught, anyio.fail_after(5):
        await bus.publish(CREATED)
    assert caught.value is original


async def test_an_error_that_cannot_be_shown_is_reported_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    class Unshowable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

        __repr__ = __str__

    def broken(event: Event) -> None:
        raise Unshowable

    bus = EventBus()
    bus.subscribe(EventType.ITEM_CREATED, broken)
    (error,) = await bus.publish(CREATED)
    assert isinstance(error.__cause__, Unshowable)


@pytest.mark.parametrize("wrong", [0, -1, math.nan], ids=repr)
def test_a_timeout_that_is_not_positive_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="handler_timeout must be a positive number of seconds"):
        EventBus(handler_timeout=wrong)


def test_a_wrong_type_or_handler_is_refused() -> None:
    wrong: Any = "ITEM_CREATED"
    with pytest.raises(TypeError, match="not 'ITEM_CREATED' as the type"):
        EventBus().subscribe(wrong, print)
    nothing: Any = None
    with pytest.raises(TypeError, match="None cannot be called"):
        EventBus().subscribe(EventType.ITEM_CREATED, nothing)


def test_an_observer_is_named_with_its_line_where_it_has_one() -> None:
    class Handler:
        def __repr__(self) -> str:
            return "<my handler>"

        def __call__(self, event: Event) -> None: ...

    assert describe_observer(Handler()) == "<my handler>"
    assert describe_observer(len) == "len"
    assert describe_observer(Handler().__call__).endswith(
        f"Handler.__call__ ({__file__}:{Handler.__call__.__code__.co_firstlineno})"
    )


def test_there_is_a_default_bus() -> None:
    assert isinstance(default_event_bus, EventBus)
