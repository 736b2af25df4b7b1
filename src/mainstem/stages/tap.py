"""``TapStage``: do something with each record, and pass it on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typing_extensions import TypeVar

from mainstem.retry import RetryPolicy
from mainstem.stage import RecordsStage
from mainstem.stages.record_calls import Calls
from mainstem.stages.record_function_stage import LoopStep, RecordFunctionStage
from mainstem.type_hints import function_hints, iterable_of, list_of

T = TypeVar("T", default=Any)


class TapStage(RecordFunctionStage[T, T], RecordsStage[T, T]):
    """Call a function for each record for what it does (write a log, count, notify), and pass the record on unchanged.

    What the function returns is not looked at, but for an awaitable, which is awaited. A record for which it raises has
    failed, as with ``MapStage``.

    Args:
        fn: Takes one record; sync or async.
        continue_on_error: Whether to record records for which it failed, and go on without them.
        concurrency: How many awaits of an async ``fn`` may be under way at a time; order is kept.
        retry: How to call ``fn`` again for a record for which it raised.
        timeout: The seconds that one call may take; of a sync ``fn`` in a thread, as ``MapStage`` says.
        name: The stage's name in reports.

    Raises:
        TypeError: If ``fn`` cannot be called.
        ValueError: If ``concurrency`` is no positive whole number, or ``timeout`` no positive number.
        MissingExtraError: If there is a ``retry`` and ``mainstem[retry]`` is not installed.

    Example:
        >>> from mainstem import Pipeline
        >>> seen: list[str] = []
        >>> Pipeline[list[str], list[str]]("tapped").add_stage(TapStage(seen.append)).run(["a", "b"]).data
        ['a', 'b']
        >>> seen
        ['a', 'b']

    Source: ``tap`` of RxJS, ``do`` of ReactiveX.
    """

    def __init__(
        self,
        fn: Callable[[T], object],
        *,
        continue_on_error: bool = False,
        concurrency: int = 1,
        retry: RetryPolicy | None = None,
        timeout: float | None = None,
        name: str | None = None,
    ) -> None:
        self._set_up(
            fn,
            "fn of TapStage",
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
        return self._loop_step("tap", TapStage)

    def _take_answers(self, calls: Calls) -> tuple[list[Any], int]:
        return list(calls.records), 0
