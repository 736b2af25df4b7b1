"""A user's function of one record, sync or async: the shared heart of the map, filter, tap and validate stages."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from copy import copy
from functools import partial
from typing import Any

from mainstem.context import PipelineContext, context_of_run
from mainstem.options import check_seconds
from mainstem.retry import Outcome, Retries, RetryPolicy, check_retry
from mainstem.stages.function_kind import describe_function, is_coroutine_function, returns_plain_values
from mainstem.stages.record_calls import (
    STOP_ITERATION_RAISED,
    Again,
    Calls,
    as_failure,
    await_each,
    call_sync,
    fail_answers,
    joined,
    settle,
)
from mainstem.stages.time_limit import TimeLimit
from mainstem.take_all import take_all

__all__ = ["STOP_ITERATION_RAISED", "Calls", "RecordFunction", "fail_answers"]


class RecordFunction:
    """A user's function of one record, sync or async.

    Args:
        function: A function, method, partial, class or callable object.
        role: What the stage calls it, for error messages.
        retry: How to call it again for a record for which it raised.
        timeout: The seconds that a call may take. A sync function is then called in a thread.

    Raises:
        TypeError: If it cannot be called.
        ValueError: If an option is wrong.
        MissingExtraError: If there is a policy and ``mainstem[retry]`` is not installed.
    """

    __slots__ = ("call", "function", "gave_awaitables", "is_async", "never_async", "retry", "time_limit")

    def __init__(
        self,
        function: Callable[[Any], Any],
        role: str,
        *,
        retry: RetryPolicy | None = None,
        timeout: float | None = None,
    ) -> None:
        if not callable(function):
            raise TypeError(f"{role} must be a function of one record, and {function!r} cannot be called")
        check_retry(retry)
        self.function = function
        """What the user gave."""
        self.call = function
        """What is called: the same, but for a record whose answer is there already."""
        self.is_async = is_coroutine_function(function)
        """Known to be a coroutine function."""
        self.never_async = not self.is_async and timeout is None and returns_plain_values(function)
        """Known, from its annotation, never to return an awaitable, and called where it needs no awaiting."""
        self.gave_awaitables = False
        """Whether it has been seen to return an awaitable."""
        self.retry = retry
        self.time_limit: TimeLimit | None = None
        if timeout is not None:
            check_seconds("timeout", timeout)
            self.time_limit = TimeLimit(timeout, self.describe(), in_thread=not self.is_async)

    def describe(self) -> str:
        """Name the function, with file and line where it has them."""
        return describe_function(self.function)

    def with_answer(self, answer: Any) -> RecordFunction:
        """Return the same function for one record to which it has answered already."""
        answered = copy(self)
        answered.call = partial(_give, answer)
        answered.is_async = answered.never_async = False
        return answered

    async def attempt(self, record: Any) -> Any:
        """Call the function for one record, once, and await its answer if need be."""
        if self.time_limit is not None:
            return await self.time_limit.call(self.call, record)
        answer = _call(self.call, record)
        return await answer if inspect.isawaitable(answer) else answer

    async def call_with_whole(self, data: Any, context: PipelineContext, stage: str) -> Outcome:
        """Call the function for the whole data of a stage, and report retries to ``context`` under the stage's name."""
        function = self
        if self.retry is not None and isinstance(data, Iterator):
            records, input_error = take_all(data)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            if input_error is not None:
                return Outcome(None, input_error)
            function, data = copy(self), records  # pyright: ignore[reportUnknownVariableType]
            function.call = self._call_with_iterator  # each attempt is to see all the records
        with context_of_run(context):
            calls = await function.call_each([data], go_on=False, concurrency=1)
        context.add_time(retry_ms=calls.retry_ms)
        attempts = calls.attempts.get(0, 1)
        if not calls.failures:
            return Outcome(calls.answers[0], None, attempts)
        error = as_failure(calls.failures[0][1])
        if attempts > 1:  # whoever runs the stage records its failure, but knows of one call
            context.record_error(error, stage=context.current_stage or stage, attempts=attempts)
        return Outcome(None, error, attempts)

    def _call_with_iterator(self, records: Iterable[Any]) -> Any:
        return self.call(iter(records))

    def notes(self, context: PipelineContext) -> tuple[str, ...]:
        """Say what a reader of the stage's report should know."""
        return () if self.time_limit is None else self.time_limit.notes(context)

    async def call_each(self, records: Sequence[Any], *, go_on: bool, concurrency: int) -> Calls:
        """Call the function once for each record; at the first failure stop, or with ``go_on`` collect it and go on.

        With a policy, a failure is one only when the policy gives up.
        """
        retries = self.retries()
        if retries is None:
            return await self._call_each(records, go_on, concurrency, None)
        calls = await self._call_each(records, go_on, concurrency, retries.again)
        calls.retry_ms = retries.spent_ms
        return calls

    def retries(self) -> Retries | None:
        """Return what makes further attempts for records whose first call failed, if there are to be any."""
        return None if self.retry is None else Retries(self.retry, self.attempt, self.describe())

    def call_one(self) -> Callable[[Any], Awaitable[Any]]:
        """Return a function that makes one attempt for a record, to the end."""
        return self.call if self.is_async and self.time_limit is None else self.attempt

    async def _call_each(self, records: Sequence[Any], go_on: bool, concurrency: int, again: Again | None) -> Calls:
        if self.time_limit is not None:
            return await await_each(self.attempt, records, go_on, concurrency, again)
        if self.is_async:
            return await await_each(self.call, records, go_on, concurrency, again)
        if self.never_async or not records:
            calls = await call_sync(self.call, records, go_on, again)
            if calls.answers and inspect.isawaitable(calls.answers[0]):
                self.never_async, self.gave_awaitables = False, True  # the annotation is wrong
                return await settle(calls, go_on, concurrency, again)
            return calls
        # The first answer tells whether a plain function hands out awaitables.
        first = await call_sync(self.call, records[:1], go_on, again)
        if first.answers and inspect.isawaitable(first.answers[0]):
            self.gave_awaitables = True
            return await await_each(_awaiting(self.call, first.answers[0]), records, go_on, concurrency, again)
        if first.failures and not go_on:
            return first
        rest = await call_sync(self.call, records[1:], go_on, again)
        calls = joined(first, rest)
        # A function may also do so for some records only. Looking at the types costs a fraction of the calls.
        if any(hasattr(kind, "__await__") for kind in set(map(type, rest.answers))):
            self.gave_awaitables = True
            return await settle(calls, go_on, concurrency, again)
        return calls


def _awaiting(call: Callable[[Any], Any], first: Awaitable[Any]) -> Callable[[Any], Awaitable[Any]]:
    """Return ``call`` as an async function, whose first record has its awaitable already."""
    given = [first]

    async def answer(record: Any) -> Any:
        value = given.pop() if given else _call(call, record)
        return await value if inspect.isawaitable(value) else value

    return answer


def _call(call: Callable[[Any], Any], record: Any) -> Any:
    """Call a plain function within a coroutine, which could not be left by a StopIteration: it would become another."""
    try:
        return call(record)
    except StopIteration as stop:
        raise as_failure(stop) from stop


def _give(answer: Any, _record: Any) -> Any:
    return answer
