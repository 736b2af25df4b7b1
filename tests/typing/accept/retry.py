"""Retry policies, time limits, taps and throttles."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_type

from functions import Parse, fetch, increment, is_even, is_known, is_positive, not_empty, slow_total, text, total

from mainstem import (
    AggregateStage,
    ChainedStage,
    FilterStage,
    MapStage,
    Pipeline,
    RetryPolicy,
    StageError,
    TapStage,
    ThrottleStage,
    ValidateRecordsStage,
    ValidateStage,
)


def is_temporary(error: Exception) -> bool:
    return isinstance(error, ConnectionError)


def wait_for(error: Exception) -> timedelta | bool:
    return timedelta(seconds=1) if is_temporary(error) else False


def log(thing: object) -> None: ...


async def send(number: int) -> str:
    return str(number)


RetryPolicy()
RetryPolicy(5)
RetryPolicy(attempts=5, wait_initial=1, wait_max=10, wait_jitter=0, wait_exponential=1, timeout=60)
RetryPolicy(on=(OSError, ValueError))
RetryPolicy(on=is_temporary)
RetryPolicy(on=wait_for)
RetryPolicy(on=lambda error: "later" in str(error))
policy = RetryPolicy(on=OSError)
assert_type(policy.attempts, int)
assert_type(policy.timeout, float | None)

numbers = Parse() >> MapStage(increment, retry=policy, timeout=2)
assert_type(numbers, ChainedStage[str, list[int]])
assert_type(numbers >> MapStage(fetch, retry=policy, timeout=0.5, concurrency=9), ChainedStage[str, list[str]])
assert_type(numbers >> FilterStage(is_positive, retry=policy, timeout=2.0), ChainedStage[str, list[int]])
assert_type(numbers >> FilterStage(is_known, retry=None, timeout=None), ChainedStage[str, list[int]])
assert_type(numbers >> ValidateRecordsStage(is_even, retry=policy, timeout=2.0), ChainedStage[str, list[int]])
assert_type(numbers >> ValidateStage(not_empty, retry=policy, timeout=2.0), ChainedStage[str, list[int]])
assert_type(numbers >> AggregateStage(total, retry=policy, timeout=2.0), ChainedStage[str, int])
assert_type(numbers >> AggregateStage(slow_total, retry=policy), ChainedStage[str, int])

# taps and throttles keep the type of the records
assert_type(numbers >> TapStage(log), ChainedStage[str, list[int]])
assert_type(numbers >> TapStage(print, continue_on_error=True, name="shown"), ChainedStage[str, list[int]])
assert_type(numbers >> TapStage(send, concurrency=5, retry=policy, timeout=1.0), ChainedStage[str, list[int]])
assert_type(numbers >> TapStage(send) >> MapStage(text), ChainedStage[str, list[str]])
assert_type(numbers >> ThrottleStage(10), ChainedStage[str, list[int]])
assert_type(numbers >> ThrottleStage(10, per=60, name="slow") >> MapStage(text), ChainedStage[str, list[str]])

fluent = (
    Pipeline[list[int], list[str]]("fluent")
    .map(lambda number: number + 1, retry=policy, timeout=2.0)
    .filter(lambda number: number > 3, retry=policy, timeout=2.0)
    .tap(lambda number: log(number), retry=policy, timeout=2.0)
    .tap(send, concurrency=2)
    .map(fetch, retry=policy, timeout=2.0, concurrency=3)
)
assert_type(fluent, Pipeline[list[int], list[str], list[str]])
added = Pipeline[list[int], list[int]]("added").add_stage(TapStage(send)).add_stage(ThrottleStage(3))
assert_type(added, Pipeline[list[int], list[int], list[int]])


def attempts_of(entry: StageError) -> int:
    return entry.attempts
