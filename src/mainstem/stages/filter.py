"""``FilterStage``: keep the records that match."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import chain, compress
from typing import Any

from typing_extensions import TypeVar

from mainstem.retry import RetryPolicy
from mainstem.stage import RecordsStage
from mainstem.stages.record_calls import Calls, fail_answers
from mainstem.stages.record_function_stage import LoopStep, RecordFunctionStage
from mainstem.type_hints import function_hints, iterable_of, list_of

T = TypeVar("T", default=Any)

_END: tuple[Any] = (object(),)
"""A record and an answer of its own, to see that ``compress`` came to the end: a StopIteration would cut it short."""


class FilterStage(RecordFunctionStage[T, T], RecordsStage[T, T]):
    """Keep the records for which a predicate says yes, in order.

    The answer is taken for its truth. Records it drops count as ``records_filtered``, not as failed.

    Args:
        predicate: Takes one record; sync or async.
        continue_on_error: Whether to record records whose check failed, and go on without them.
        concurrency: How many awaits of an async predicate may be under way at a time; order is kept.
        retry: How to call the predicate again for a record for which it raised.
        timeout: The seconds that one call may take; of a sync predicate in a thread, as ``MapStage`` says.
        name: The stage's name in reports.

    Raises:
        TypeError: If ``predicate`` cannot be called.
        ValueError: If ``concurrency`` is no positive whole number, or ``timeout`` no positive number.
        MissingExtraError: If there is a ``retry`` and ``mainstem[retry]`` is not installed.

    Example:
        >>> from mainstem import Pipeline
        >>> Pipeline[list[str], list[str]]("digits").add_stage(FilterStage(str.isdigit)).run(["1", "x", "2"]).data
        ['1', '2']
    """

    def __init__(
        self,
        predicate: Callable[[T], bool | Awaitable[bool]],
        *,
        continue_on_error: bool = False,
        concurrency: int = 1,
        retry: RetryPolicy | None = None,
        timeout: float | None = None,
        name: str | None = None,
    ) -> None:
        self._set_up(
            predicate,
            "predicate of FilterStage",
            continue_on_error=continue_on_error,
            concurrency=concurrency,
            retry=retry,
            timeout=timeout,
            name=name,
        )

    def _hints(self) -> tuple[Any, Any]:
        taken, _ = function_hints(self._function.call)
        return iterable_of(taken), list_of(taken)

    def loop_step(self) -> LoopStep | None:
        return self._loop_step("filter", FilterStage)

    def _take_answers(self, calls: Calls) -> tuple[list[Any], int]:
        kept: list[Any] = []
        try:
            kept.extend(compress(chain(calls.records, _END), chain(calls.answers, _END)))
            complete = bool(kept) and kept.pop() is _END[0]
        except Exception:
            complete = False
        if not complete:
            # The truth of an answer may be an error too, as with an array of several values: find out whose.
            fail_answers(calls, bool, go_on=self._continue_on_error)
            kept = list(compress(calls.records, calls.answers))
        return kept, len(calls.answers) - len(kept)
