"""Calling a function again after it failed: how often, how long to wait in between, and after which errors.

The waiting and the counting are stamina's (extra ``retry``), and so are its switches: ``stamina.set_testing`` and
``stamina.set_active`` work here too, and its instrumentation sees every retry. Only what has failed once comes here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import Any, TypeAlias

from mainstem import clock
from mainstem.errors import add_note_once, missing_extra
from mainstem.options import check_count, check_seconds

RetryOn: TypeAlias = "type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool | float | timedelta]"
"""Which errors are retried: a type, several, or a function that says so, or says how long to wait."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Call a function again when it raises: up to ``attempts`` times in all, with growing waits in between.

    Before attempt ``n + 1`` it waits ``min(wait_max, wait_initial * wait_exponential ** (n - 1) + random(0,
    wait_jitter))`` seconds. The last attempt's error is the record's.

    Args:
        attempts: How often the function is called for one record at most, the first call included.
        on: Which errors are retried: an exception type, a tuple of them, or a function of the error that answers
            ``True`` or ``False``, or the time to wait (seconds or a ``timedelta``; the ``wait_`` options do not apply).
        wait_initial: Seconds before the second attempt.
        wait_max: The most seconds between two attempts.
        wait_jitter: The most seconds that are added at random, so that many clients do not come back all at once.
        wait_exponential: What the wait is multiplied by from attempt to attempt; 1 keeps it the same.
        timeout: Seconds after the first failure when no more attempt begins; ``None`` for no such limit. The limit of
            a single call is the ``timeout`` of the stage.

    Raises:
        ValueError: If an option is none of these.

    A stage that is made with a policy raises ``MissingExtraError`` if ``mainstem[retry]`` is not installed.

    Example:
        >>> from mainstem import MapStage, Pipeline
        >>> answers = iter([ConnectionError("try later"), 200])
        >>> def status(url: str) -> int:
        ...     answer = next(answers)
        ...     if isinstance(answer, Exception):
        ...         raise answer
        ...     return answer
        >>> policy = RetryPolicy(attempts=5, on=ConnectionError, wait_initial=0.001, wait_jitter=0)
        >>> Pipeline[list[str], list[int]]("status").add_stage(MapStage(status, retry=policy)).run(["/"]).data
        [200]

    Source: ``stamina.retry`` (Hynek Schlawack), whose names and defaults these are, but for fewer attempts.
    """

    attempts: int = 3
    _: KW_ONLY
    on: RetryOn = Exception
    wait_initial: float = 0.1
    wait_max: float = 5.0
    wait_jitter: float = 1.0
    wait_exponential: float = 2.0
    timeout: float | None = None

    def __post_init__(self) -> None:
        check_count("attempts of RetryPolicy", self.attempts)
        if not _is_retry_on(self.on):
            raise ValueError(
                "on of RetryPolicy must be an exception type (a subclass of Exception), a tuple of them, or a plain "
                f"function of the error, not {self.on!r}"
            )
        for option in ("wait_initial", "wait_max", "wait_jitter"):
            check_seconds(f"{option} of RetryPolicy", getattr(self, option), zero=True)
        factor: Any = self.wait_exponential
        if not isinstance(factor, (int, float)) or isinstance(factor, bool) or not 1 <= factor < float("inf"):
            raise ValueError(f"wait_exponential of RetryPolicy must be a number from 1 up, not {factor!r}")
        if self.timeout is not None:
            check_seconds("timeout of RetryPolicy", self.timeout)


def check_retry(policy: object) -> None:
    """Check the ``retry`` option of a stage.

    Raises:
        ValueError: If it is neither ``None`` nor a ``RetryPolicy``.
        MissingExtraError: If ``mainstem[retry]`` is needed and not installed.
    """
    if policy is None:
        return
    if not isinstance(policy, RetryPolicy):
        raise ValueError(f"retry must be a RetryPolicy(...), not {policy!r}")
    try:
        import stamina  # noqa: F401  # pyright: ignore[reportUnusedImport]  # late: it is an extra
    except ImportError:
        raise missing_extra("Retrying a function", "retry") from None


# No dataclass: to make one takes half a millisecond of every import.
class Outcome:
    """What the calls for one record came to in the end.

    Attributes:
        answer: What the function returned.
        error: What it raised the last time, if it never returned.
        attempts: How many times it was called.
    """

    __slots__ = ("answer", "attempts", "error")

    def __init__(self, answer: Any, error: Exception | None, attempts: int = 1) -> None:
        self.answer, self.error, self.attempts = answer, error, attempts


class Retries:
    """The second and later attempts for those records, out of some, whose first call failed.

    Args:
        policy: How to go about it.
        attempt: Makes one call for one record, to the end.
        name: The function's, for stamina's instrumentation.
    """

    def __init__(self, policy: RetryPolicy, attempt: Callable[[Any], Awaitable[Any]], name: str) -> None:
        self._policy = policy
        self._attempt = attempt
        self._name = name
        self._under_way = 0
        self._since = 0.0
        self.spent_ms = 0.0
        """Time in which at least one record was being retried; overlapping retries count once."""

    async def again(self, record: Any, error: Exception) -> Outcome:
        """Make further attempts for a record whose first call raised ``error``."""
        if not self._under_way:
            self._since = clock.perf_counter()
        self._under_way += 1
        try:
            outcome = await self._try(record, error)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self.spent_ms += (clock.perf_counter() - self._since) * 1000
        if outcome.error is not None and outcome.attempts > 1:
            add_note_once(outcome.error, f"gave up after {outcome.attempts} attempts")
        return outcome

    async def _try(self, record: Any, error: Exception) -> Outcome:
        from stamina import retry_context

        policy = self._policy
        context = retry_context(
            policy.on,
            attempts=policy.attempts,
            timeout=policy.timeout,
            wait_initial=policy.wait_initial,
            wait_max=policy.wait_max,
            wait_jitter=policy.wait_jitter,
            wait_exp_base=policy.wait_exponential,
        ).with_name(self._name, (), {})  # without the record, which its log would show
        attempts = 1
        try:
            async for attempt in context:
                if attempt.num > 1:
                    attempts += 1
                    # Outside of its block, which would ask the policy about a cancellation as well.
                    try:
                        return Outcome(await self._attempt(record), None, attempts)
                    except Exception as failure:
                        error = failure
                with attempt:
                    raise error
        except Exception as last:  # the last attempt's, or one that the policy's own function raised
            error = last
        # Here without an exception if the last attempt's was StopAsyncIteration, which ends an ``async for``.
        return Outcome(None, error, attempts)


def _is_retry_on(on: object) -> bool:
    if isinstance(on, tuple):
        members: tuple[object, ...] = on  # pyright: ignore[reportUnknownVariableType]
        return len(members) > 0 and all(map(_is_exception_type, members))
    return _is_exception_type(on) or (callable(on) and not isinstance(on, type) and not iscoroutinefunction(on))


def _is_exception_type(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Exception)
