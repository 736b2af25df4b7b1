"""When an HTTP request is made again, and after how long: as the server says, or else as the policy does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from mainstem.errors import ConnectionLostError
from mainstem.retry import Retries, RetryPolicy

T = TypeVar("T")


class ServerBusyError(ConnectionLostError):
    """The server asked to come again later.

    Attributes:
        retry_after: Seconds from when it said so; ``None`` if it did not say when.
    """

    retry_after: float | None = None


def seconds_of(retry_after: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds to wait that a ``Retry-After`` header asks for, in seconds or as a date (RFC 9110, 10.2.3).

    Args:
        retry_after: The header's value.
        now: The time, where it is not the present.

    Returns:
        The seconds, 0 for a date that has passed; ``None`` if there is no such header, or it is neither.

    Example:
        >>> seconds_of("120")
        120.0
        >>> seconds_of("Wed, 21 Oct 2015 07:28:30 GMT", datetime(2015, 10, 21, 7, 28, tzinfo=timezone.utc))
        30.0
    """
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])  # thirty years are long enough
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=timezone.utc)
    return max(0.0, (at - (now or datetime.now(timezone.utc))).total_seconds())


class RequestRetries:
    """Makes requests, and makes those again that failed for a reason that may pass.

    Args:
        policy: How often, and how long to wait where the server does not say; its ``on`` is asked about errors that
            may pass only. ``None`` makes each request once.
        longest: The most seconds that are waited because the server says so.
        name: Whose requests they are, for stamina's instrumentation.
    """

    def __init__(self, policy: RetryPolicy | None, longest: float, name: str) -> None:
        self._policy = None if policy is None else replace(policy, on=self._wait_after)
        self._on = None if policy is None else policy.on
        self._longest = longest
        self._name = name
        self._spent_ms = 0.0

    def take_ms(self) -> float:
        """Return the time, since it was asked last, that went into waiting for and making later attempts."""
        spent, self._spent_ms = self._spent_ms, 0.0
        return spent

    async def call(self, request: Callable[[], Awaitable[T]]) -> T:
        """Make a request until it succeeds or there is no more reason to try.

        Raises:
            ConnectionLostError: If it failed to the last.
            Exception: What else it raised.
        """
        try:
            return await request()
        except ConnectionLostError as error:
            failure = error
        if self._policy is None:
            raise failure

        async def attempt(_: object) -> T:
            return await request()

        retries = Retries(self._policy, attempt, self._name)
        try:
            outcome = await retries.again(None, failure)
        finally:
            self._spent_ms += retries.spent_ms
        if outcome.error is not None:
            raise outcome.error
        answer: T = outcome.answer
        return answer

    def _wait_after(self, error: Exception) -> bool | float | timedelta:
        if not isinstance(error, ConnectionLostError):
            return False
        said = self._said_by_policy(error)
        if said is False or not isinstance(error, ServerBusyError) or error.retry_after is None:
            return said
        return False if error.retry_after > self._longest else error.retry_after

    def _said_by_policy(self, error: Exception) -> bool | float | timedelta:
        on: Any = self._on
        if isinstance(on, (type, tuple)):
            return isinstance(error, on)
        said: bool | float | timedelta = on(error)
        return said
