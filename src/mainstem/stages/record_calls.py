"""Making one call for each record, and keeping what it gave: the loops of the stages that call a function per record.

Sync functions are called through ``map`` and ``list.extend``, which run at C speed, keep what they had when the
function raises, and can go on with the same iterator: each record is handed to the function exactly once, and there
is no per-record cost beside the call. Async functions are called by a fixed number of workers over one iterator,
never as a task per record. Only a record whose call has failed is looked at by itself, to be retried.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from mainstem.retry import Outcome
from mainstem.side_by_side import run_side_by_side

Failure: TypeAlias = tuple[int, Exception]
"""Position among the records, and what the function raised."""
Again: TypeAlias = Callable[[Any, Exception], Awaitable[Outcome]]
"""Makes further attempts for a record whose first call raised."""


# No dataclass: to make one takes half a millisecond of every import.
class Calls:
    """What calling a function for each of some records gave.

    Attributes:
        records: The records whose call succeeded, in order.
        answers: What it returned for each of them.
        failures: The records whose call failed, by position.
        positions: The positions of ``records``, where calls after a failure may have succeeded before others were made;
            ``None`` where each record up to the last is one of ``records`` or of ``failures``.
        attempts: How many calls were made for a record, by position, where it was more than one.
        retry_ms: Time in which records were being retried.
    """

    def __init__(
        self,
        records: Sequence[Any],
        answers: list[Any],
        failures: list[Failure] | None = None,
        positions: Sequence[int] | None = None,
        attempts: dict[int, int] | None = None,
        retry_ms: float = 0.0,
    ) -> None:
        self.records, self.answers, self.positions = records, answers, positions
        self.failures: list[Failure] = [] if failures is None else failures
        self.attempts: dict[int, int] = {} if attempts is None else attempts
        self.retry_ms = retry_ms

    def done(self) -> Sequence[int]:
        """Return the positions of ``records``."""
        if self.positions is not None:
            return self.positions
        failed = {at for at, _ in self.failures}
        return [at for at in range(len(self.answers) + len(failed)) if at not in failed]


STOP_ITERATION_RAISED = "the function raised StopIteration"


def as_failure(error: Exception) -> Exception:
    """Return the error as the failure of a record: a StopIteration would read as the end of the data further on."""
    return RuntimeError(STOP_ITERATION_RAISED) if isinstance(error, StopIteration) else error


_PENDING = object()


async def call_sync(call: Callable[[Any], Any], records: Sequence[Any], go_on: bool, again: Again | None) -> Calls:
    calls = Calls(records, [])
    answers, failures = calls.answers, calls.failures
    remaining = iter(records)
    try:
        while True:
            try:
                answers.extend(map(call, remaining))
            except Exception as error:
                failure = error
            else:
                if len(answers) + len(failures) >= len(records):
                    break
                # Out of map(), a StopIteration reads as the end of the records; as in a generator it is an error.
                failure = RuntimeError(STOP_ITERATION_RAISED)
            outcome = await outcome_of(calls, len(answers) + len(failures), records, failure, again)
            if outcome.error is None:
                answers.append(outcome.answer)
            elif not go_on:
                break
        if failures:
            calls.records = _without(records, failures) if go_on else records[: len(answers)]
        return calls
    finally:  # an error that was raised below keeps this frame, which is not to keep the chunk
        del records, remaining, calls, answers, failures


async def outcome_of(
    calls: Calls, position: int, records: Sequence[Any], error: Exception, again: Again | None
) -> Outcome:
    """Find out, and note in ``calls``, what becomes of the record at ``position``, whose first call raised."""
    outcome = Outcome(None, error) if again is None else await again(records[position], error)
    if outcome.attempts > 1:
        calls.attempts[position] = outcome.attempts
    if outcome.error is not None:
        calls.failures.append((position, outcome.error))
    return outcome


async def await_each(
    call: Callable[[Any], Awaitable[Any]],
    records: Sequence[Any],
    go_on: bool,
    concurrency: int,
    again: Again | None,
) -> Calls:
    """Await ``call(record)`` for each record, at most ``concurrency`` at a time; the answers are in order."""
    if concurrency == 1 or len(records) <= 1:
        return await _await_one_by_one(call, records, go_on, again)
    answers: list[Any] = [_PENDING] * len(records)
    calls = Calls(records, answers)
    remaining = enumerate(records)

    async def work() -> bool:
        for position, record in remaining:
            try:
                answers[position] = await call(record)
            except Exception as error:
                outcome = await outcome_of(calls, position, records, error, again)
                if outcome.error is None:
                    answers[position] = outcome.answer
                elif not go_on:
                    return False
        return True

    await run_side_by_side([work] * min(concurrency, len(records)))
    if calls.failures:
        calls.failures.sort(key=lambda failure: failure[0])
        done = [at for at, answer in enumerate(answers) if answer is not _PENDING]
        calls.records, calls.answers, calls.positions = [records[at] for at in done], [answers[at] for at in done], done
    return calls


async def _await_one_by_one(
    call: Callable[[Any], Awaitable[Any]], records: Sequence[Any], go_on: bool, again: Again | None
) -> Calls:
    calls = Calls(records, [])
    answers = calls.answers
    append = answers.append
    for record in records:
        try:
            append(await call(record))
        except Exception as error:
            outcome = await outcome_of(calls, len(answers) + len(calls.failures), records, error, again)
            if outcome.error is None:
                append(outcome.answer)
            elif not go_on:
                break
    if calls.failures:
        calls.records = _without(records, calls.failures) if go_on else records[: len(answers)]
    return calls


async def settle(calls: Calls, go_on: bool, concurrency: int, again: Again | None) -> Calls:
    """Await those answers that are awaitables, after the fact."""
    unfinished = calls.answers
    before = calls.done()

    async def settle_one(at: int) -> Any:
        answer = unfinished[at]
        return await answer if inspect.isawaitable(answer) else answer

    async def try_again(at: int, error: Exception) -> Outcome:
        assert again is not None
        return await again(calls.records[at], error)

    try:
        every = range(len(unfinished))
        settled = await await_each(settle_one, every, go_on, concurrency, try_again if again else None)
    finally:
        for answer in unfinished:
            if inspect.iscoroutine(answer):
                answer.close()
    failures = calls.failures + [(before[at], error) for at, error in settled.failures]
    return Calls(
        [calls.records[at] for at in settled.records],
        settled.answers,
        sorted(failures, key=lambda failure: failure[0]),
        [before[at] for at in settled.done()],
        calls.attempts | {before[at]: attempts for at, attempts in settled.attempts.items()},
    )


def joined(first: Calls, rest: Calls) -> Calls:
    """Put the calls of one record before those of the records after it."""
    return Calls(
        [*first.records, *rest.records],
        first.answers + rest.answers,
        first.failures + [(at + 1, error) for at, error in rest.failures],
        attempts=first.attempts | {at + 1: attempts for at, attempts in rest.attempts.items()},
    )


def _without(records: Sequence[Any], failures: list[Failure]) -> Sequence[Any]:
    if not failures:
        return records
    failed = {at for at, _ in failures}
    return [record for at, record in enumerate(records) if at not in failed]


def fail_answers(calls: Calls, check: Callable[[Any], Any], *, go_on: bool) -> None:
    """Replace each answer by ``check(answer)``; where that raises, make the record a failure.

    Without ``go_on`` nothing after the first failure is kept.
    """
    positions = calls.done()
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
