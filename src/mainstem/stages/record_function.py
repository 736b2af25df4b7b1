"""Calling a user's function once for each record: the shared heart of the map, filter and validate-records stages.

Sync functions are called through ``map`` and ``list.extend``, which run at C speed, keep what they had when the
function raises, and can go on with the same iterator: each record is handed to the function exactly once, and there
is no per-record cost beside the call. Async functions are called by a fixed number of workers over one iterator,
never as a task per record.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from types import UnionType
from typing import Any, TypeAlias, Union, get_args, get_origin

from typing_extensions import TypeVar

from mainstem.side_by_side import run_side_by_side
from mainstem.type_hints import function_hints

T = TypeVar("T")
In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)

Failure: TypeAlias = tuple[int, Exception]
"""Position among the records, and what the function raised."""


@dataclass(slots=True)
class Calls:
    """What calling a function for each of some records gave.

    Attributes:
        records: The records whose call succeeded, in order.
        answers: What it returned for each of them.
        failures: The records whose call failed, by position.
        positions: The positions of ``records``, where calls after a failure may have succeeded before others were made;
            ``None`` where each record up to the last is one of ``records`` or of ``failures``.
    """

    records: Sequence[Any]
    answers: list[Any]
    failures: list[Failure] = field(default_factory=lambda: list[Failure]())
    positions: Sequence[int] | None = None


class RecordFunction:
    """A user's function of one record, sync or async.

    Args:
        function: A function, method, partial, class or callable object.
        role: What the stage calls it, for error messages.

    Raises:
        TypeError: If it cannot be called.
    """

    __slots__ = ("call", "function", "gave_awaitables", "is_async", "never_async")

    def __init__(self, function: Callable[[Any], Any], role: str) -> None:
        if not callable(function):
            raise TypeError(f"{role} must be a function of one record, and {function!r} cannot be called")
        self.function = function
        """What the user gave."""
        self.call = function
        """What is called: the same, but for a record whose answer is there already."""
        self.is_async = _is_async(function)
        """Known to be a coroutine function."""
        self.never_async = not self.is_async and _returns_plain_values(function)
        """Known, from its annotation, never to return an awaitable."""
        self.gave_awaitables = False
        """Whether it has been seen to return an awaitable."""

    def describe(self) -> str:
        """Name the function, with file and line where it has them."""
        function: Any = self.function
        while isinstance(function, partial):
            function = function.func
        if not inspect.isroutine(function) and not isinstance(function, type):
            function = type(function).__call__
        code = getattr(getattr(function, "__func__", function), "__code__", None)
        name = getattr(function, "__qualname__", repr(function))
        return name if code is None else f"{name} ({code.co_filename}:{code.co_firstlineno})"

    def with_answer(self, answer: Any) -> RecordFunction:
        """Return the same function for one record to which it has answered already."""
        answered = copy(self)
        answered.call = partial(_give, answer)
        answered.is_async = answered.never_async = False
        return answered

    async def call_each(self, records: Sequence[Any], *, go_on: bool, concurrency: int) -> Calls:
        """Call the function once for each record; at the first failure stop, or with ``go_on`` collect it and go on."""
        if self.is_async:
            return await self._call_async(records, go_on, concurrency)
        if self.never_async or not records:
            calls = self._call_sync(records, go_on)
            if calls.answers and inspect.isawaitable(calls.answers[0]):
                self.never_async, self.gave_awaitables = False, True  # the annotation is wrong
                return await _settle(calls, go_on, concurrency)
            return calls
        # The first answer tells whether a plain function hands out awaitables.
        first = self._call_sync(records[:1], go_on)
        if first.answers and inspect.isawaitable(first.answers[0]):
            self.gave_awaitables = True
            return await self._call_async(records, go_on, concurrency, first.answers[0])
        if first.failures and not go_on:
            return first
        rest = self._call_sync(records[1:], go_on)
        calls = _joined(first, rest)
        # A function may also do so for some records only. Looking at the types costs a fraction of the calls.
        if any(hasattr(kind, "__await__") for kind in set(map(type, rest.answers))):
            self.gave_awaitables = True
            return await _settle(calls, go_on, concurrency)
        return calls

    def _call_sync(self, records: Sequence[Any], go_on: bool) -> Calls:
        answers: list[Any] = []
        failures: list[Failure] = []
        remaining = iter(records)
        while True:
            try:
                answers.extend(map(self.call, remaining))
            except Exception as error:
                failure = error
            else:
                if len(answers) + len(failures) >= len(records):
                    break
                # Out of map(), a StopIteration reads as the end of the records; as in a generator it is an error.
                failure = RuntimeError(STOP_ITERATION_RAISED)
            failures.append((len(answers) + len(failures), failure))
            if not go_on:
                break
        return Calls(_without(records, failures) if go_on else records[: len(answers)], answers, failures)

    async def _call_async(
        self, records: Sequence[Any], go_on: bool, concurrency: int, first: Awaitable[Any] | None = None
    ) -> Calls:
        call = self.call

        async def answer(position: int) -> Any:
            if first is not None and position == 0:
                return await first
            value = call(records[position])
            return await value if inspect.isawaitable(value) else value

        if self.is_async:
            return await _await_each(records, lambda position: call(records[position]), go_on, concurrency)
        return await _await_each(records, answer, go_on, concurrency)


STOP_ITERATION_RAISED = "the function raised StopIteration"

_PENDING = object()


async def _await_each(
    records: Sequence[Any], call: Callable[[int], Awaitable[Any]], go_on: bool, concurrency: int
) -> Calls:
    """Await ``call(position)`` for each record, at most ``concurrency`` at a time; the answers are in order."""
    answers: list[Any] = [_PENDING] * len(records)
    failures: list[Failure] = []
    positions = iter(range(len(records)))

    async def work() -> bool:
        for position in positions:
            try:
                answers[position] = await call(position)
            except Exception as error:
                failures.append((position, error))
                if not go_on:
                    return False
        return True

    if concurrency == 1 or len(records) <= 1:
        await work()
    else:
        await run_side_by_side([work] * min(concurrency, len(records)))
    if not failures:
        return Calls(records, answers)
    failures.sort(key=lambda failure: failure[0])
    done = [at for at, answer in enumerate(answers) if answer is not _PENDING]
    return Calls([records[at] for at in done], [answers[at] for at in done], failures, done)


async def _settle(calls: Calls, go_on: bool, concurrency: int) -> Calls:
    """Await those answers that are awaitables, after the fact."""
    unfinished = calls.answers

    async def settle(position: int) -> Any:
        answer = unfinished[position]
        return await answer if inspect.isawaitable(answer) else answer

    try:
        settled = await _await_each(calls.records, settle, go_on, concurrency)
    finally:
        for answer in unfinished:
            if inspect.iscoroutine(answer):
                answer.close()
    failed_before = {at for at, _ in calls.failures}
    positions = [at for at in range(len(unfinished) + len(failed_before)) if at not in failed_before]
    failures = calls.failures + [(positions[at], error) for at, error in settled.failures]
    done = positions if settled.positions is None else [positions[at] for at in settled.positions]
    return Calls(settled.records, settled.answers, sorted(failures, key=lambda failure: failure[0]), done)


def _joined(first: Calls, rest: Calls) -> Calls:
    """Put the calls of one record before those of the records after it."""
    return Calls(
        [*first.records, *rest.records],
        first.answers + rest.answers,
        first.failures + [(at + 1, error) for at, error in rest.failures],
    )


def _without(records: Sequence[Any], failures: list[Failure]) -> Sequence[Any]:
    if not failures:
        return records
    failed = {at for at, _ in failures}
    return [record for at, record in enumerate(records) if at not in failed]


def _is_async(function: Any) -> bool:
    while isinstance(function, partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or (
        not inspect.isroutine(function)
        and not isinstance(function, type)
        and inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004 - is it async, not callable
    )


def _returns_plain_values(function: Any) -> bool:
    called = function
    while isinstance(called, partial):
        called = called.func
    if hasattr(called, "__wrapped__") or hasattr(getattr(called, "__call__", None), "__wrapped__"):  # noqa: B004
        return False  # functools.wraps() copies the annotations of an async function onto a plain one
    _, returned = function_hints(function)
    return all(_is_plain(member) for member in _members_of(returned))


def _members_of(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _is_plain(hint: Any) -> bool:
    kind = get_origin(hint) or hint
    if kind is Any or kind is object:  # Any is a class, to isinstance()
        return False
    return kind is None or (isinstance(kind, type) and not hasattr(kind, "__await__"))


def fail_answers(calls: Calls, check: Callable[[Any], Any], *, go_on: bool) -> None:
    """Replace each answer by ``check(answer)``; where that raises, make the record a failure.

    Without ``go_on`` nothing after the first failure is kept.
    """
    failed = {position for position, _ in calls.failures}
    positions = calls.positions or [at for at in range(len(calls.answers) + len(failed)) if at not in failed]
    records: list[Any] = []
    answers: list[Any] = []
    for position, record, answer in zip(positions, calls.records, calls.answers, strict=False):
        try:
            answers.append(check(answer))
        except Exception as error:
            calls.failures.append((position, error))
            if not go_on:
                break
        else:
            records.append(record)
    calls.records, calls.answers = records, answers
    calls.failures.sort(key=lambda failure: failure[0])


def _give(answer: Any, _record: Any) -> Any:
    return answer
