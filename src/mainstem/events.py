"""Events: what a run tells the outside, and the bus that carries it.

An ``Event`` has the attributes of CloudEvents 1.0, so it can leave the process as it is. Handlers are observers: one
that raises or hangs hurts neither the publisher nor the other handlers.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from functools import partial
from inspect import isawaitable
from types import TracebackType
from typing import Any, TypeAlias

import anyio

from mainstem.errors import ObserverError, describe_error
from mainstem.ids import new_id
from mainstem.side_by_side import run_side_by_side


class EventType(str, Enum):
    """The kinds of event a pipeline publishes."""

    ITEM_CREATED = "mainstem.item.created"
    ITEM_UPDATED = "mainstem.item.updated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened, with the attributes of CloudEvents 1.0.

    Attributes:
        type: The kind of event.
        data: What happened, as plain values.
        source: Who says so, as a URI reference.
        subject: What it is about; for pipelines the run's id.
        id: Unique together with ``source``.
        time: When, aware, in UTC.

    Example:
        >>> Event(type=EventType.ITEM_CREATED, data={"name": "demo"}).data["name"]
        'demo'
    """

    type: EventType
    data: Mapping[str, Any] = field(default_factory=lambda: dict[str, Any]())
    source: str = "mainstem"
    subject: str | None = None
    id: str = field(default_factory=new_id)
    time: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    def to_cloudevent(self) -> dict[str, Any]:
        """Return the event as CloudEvents 1.0 names it, ready for ``json.dumps`` (if ``data`` is).

        Source: the CloudEvents 1.0 specification and its JSON format.
        """
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type.value,
            "time": self.time.isoformat(),
            "datacontenttype": "application/json",
            **({} if self.subject is None else {"subject": self.subject}),
            "data": dict(self.data),
        }


EventHandler: TypeAlias = Callable[[Event], Awaitable[object] | object]


class Subscription:
    """What ``EventBus.subscribe`` returns: call ``unsubscribe()``, or use it in a ``with`` block."""

    __slots__ = ("_bus", "_event_type", "_handler")

    def __init__(self, bus: EventBus, event_type: EventType, handler: EventHandler) -> None:
        self._bus = bus
        self._event_type = event_type
        self._handler = handler

    def unsubscribe(self) -> None:
        """Stop the handler from being called. Doing so twice is harmless."""
        self._bus._remove(self)  # pyright: ignore[reportPrivateUsage]

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unsubscribe()


class EventBus:
    """Hands every published event to each handler subscribed to its type.

    Sync handlers run inline, in the order of subscription, so a slow one holds up the publisher; async handlers run
    side by side, each for at most ``handler_timeout`` seconds. ``publish`` returns when all are done. What a handler
    raises is logged, and handed back by ``publish``.

    Args:
        handler_timeout: Seconds an async handler may take; ``math.inf`` for no limit.

    Raises:
        ValueError: If ``handler_timeout`` is not positive.

    Example:
        >>> bus = EventBus()
        >>> seen = []
        >>> with bus.subscribe(EventType.ITEM_CREATED, seen.append):
        ...     errors = anyio.run(bus.publish, Event(type=EventType.ITEM_CREATED))
        >>> len(seen), errors
        (1, [])
    """

    def __init__(self, *, handler_timeout: float = 30.0) -> None:
        if not handler_timeout > 0:
            raise ValueError(f"handler_timeout must be a positive number of seconds, not {handler_timeout!r}")
        self._handler_timeout = handler_timeout
        self._subscriptions: dict[EventType, tuple[Subscription, ...]] = {}

    def subscribe(self, event_type: EventType, handler: EventHandler) -> Subscription:
        """Call ``handler``, sync or async, with every later event of that type.

        Args:
            event_type: The type to listen to.
            handler: Takes the event. Subscribed twice, it is called twice.

        Returns:
            A handle with ``unsubscribe()``.

        Raises:
            TypeError: If ``event_type`` is no ``EventType`` or ``handler`` cannot be called.
        """
        if not isinstance(event_type, EventType):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"subscribe() takes an EventType and a handler, not {event_type!r} as the type")
        if not callable(handler):
            raise TypeError(f"subscribe() takes an EventType and a handler, and {handler!r} cannot be called")
        subscription = Subscription(self, event_type, handler)
        self._subscriptions[event_type] = (*self._subscriptions.get(event_type, ()), subscription)
        return subscription

    def _remove(self, subscription: Subscription) -> None:
        event_type = subscription._event_type  # pyright: ignore[reportPrivateUsage]
        kept = tuple(each for each in self._subscriptions.get(event_type, ()) if each is not subscription)
        self._subscriptions[event_type] = kept

    async def publish(self, event: Event) -> list[ObserverError]:
        """Hand ``event`` to every handler of its type and wait for them.

        Returns:
            One error for each handler that raised or took too long, in no fixed order; empty when all went well.
        """
        subscriptions = self._subscriptions.get(event.type)
        if not subscriptions:
            return []
        errors: list[ObserverError] = []
        pending: list[tuple[EventHandler, Awaitable[object]]] = []
        for subscription in subscriptions:
            handler = subscription._handler  # pyright: ignore[reportPrivateUsage]
            try:
                answer = handler(event)
            except Exception as error:
                errors.append(self._report(handler, event, error))
            else:
                if answer is not None and isawaitable(answer):
                    pending.append((handler, answer))
        if pending:
            await run_side_by_side([partial(self._await_handler, *each, event, errors) for each in pending])
        return errors

    async def _await_handler(
        self, handler: EventHandler, answer: Awaitable[object], event: Event, errors: list[ObserverError]
    ) -> bool:
        try:
            error = await await_observer(answer, self._handler_timeout)
        except Exception as raised:
            error = raised
        if error is not None:
            errors.append(self._report(handler, event, error))
        return True

    @staticmethod
    def _report(handler: EventHandler, event: Event, cause: Exception) -> ObserverError:
        error = ObserverError(
            f"event handler {describe_observer(handler)} failed on {event.type.name}: {describe_error(cause)}"
        )
        error.__cause__ = cause
        from logging import getLogger  # late: it would be a tenth of what importing mainstem takes

        getLogger("mainstem.events").error("%s", error, exc_info=cause)
        return error


async def await_observer(answer: Awaitable[object], seconds: float) -> Exception | None:
    """Await what an async hook or handler returned, for at most ``seconds``.

    Returns:
        ``None``, or a ``TimeoutError`` if it took longer and was cancelled.

    Raises:
        Exception: Whatever the observer raises.
    """
    if seconds == math.inf:
        await answer
        return None
    with anyio.move_on_after(seconds) as scope:
        await answer
    if scope.cancelled_caught:
        return TimeoutError(f"it took longer than {seconds:g} s and was cancelled")
    return None


def describe_observer(observer: object) -> str:
    """Name a hook or handler, with file and line where it has them."""
    code = getattr(getattr(observer, "__func__", observer), "__code__", None)
    name = getattr(observer, "__qualname__", None) or repr(observer)
    return name if code is None else f"{name} ({code.co_filename}:{code.co_firstlineno})"


default_event_bus = EventBus()
"""The bus that pipelines publish to when they are given none."""
