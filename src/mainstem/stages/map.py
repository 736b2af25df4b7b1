"""``MapStage``: one record in, one record out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, overload

from typing_extensions import TypeVar

from mainstem.retry import RetryPolicy
from mainstem.stages.record_calls import Calls
from mainstem.stages.record_function_stage import LoopStep, RecordFunctionStage
from mainstem.type_hints import function_hints, iterable_of, list_of

T_contra = TypeVar("T_contra", contravariant=True)
U_co = TypeVar("U_co", covariant=True)


class MapStage(RecordFunctionStage[T_contra, U_co]):
    """Apply a function to each record, in order.

    ``fn`` may be sync or async: a coroutine function, or anything callable whose answer is awaitable. Each record is
    handed to it exactly once, unless ``retry`` says otherwise. By default the first failure fails the stage; with
    ``continue_on_error`` each failed record is recorded in ``context.errors`` with its position and error, and the rest
    go on.

    Nothing can interrupt a sync ``fn`` on the event loop's thread. So with a ``timeout`` it is called in another
    thread, which costs 50 to 90 µs a record, and ``concurrency`` applies to it too. A call that is given up runs on in
    its thread to its end (a program waits for it before it exits), and ``StageResult.notes`` says how many still do.

    Args:
        fn: Takes one record, returns one.
        continue_on_error: Whether to record failed records and go on.
        concurrency: How many awaits of an async ``fn`` may be under way at a time; the output keeps the input's order.
            Sync functions are called one by one, on the event loop's thread, unless there is a ``timeout``.
        retry: How to call ``fn`` again for a record for which it raised.
        timeout: The seconds that one call may take; past them it fails with a ``TimeoutError``.
        name: The stage's name in reports.

    Raises:
        TypeError: If ``fn`` cannot be called.
        ValueError: If ``concurrency`` is no positive whole number, or ``timeout`` no positive number.
        MissingExtraError: If there is a ``retry`` and ``mainstem[retry]`` is not installed.

    Example:
        >>> from mainstem import Pipeline
        >>> Pipeline[list[str], list[int]]("lengths").add_stage(MapStage(len)).run(["a", "bc"]).data
        [1, 2]
    """

    @overload
    def __init__(
        self,
        fn: Callable[[T_contra], Awaitable[U_co]],
        *,
        continue_on_error: bool = False,
        concurrency: int = 1,
        retry: RetryPolicy | None = None,
        timeout: float | None = None,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self,
        fn: Callable[[T_contra], U_co],
        *,
        continue_on_error: bool = False,
        concurrency: int = 1,
        retry: RetryPolicy | None = None,
        timeout: float | None = None,
        name: str | None = None,
    ) -> None: ...
    def __init__(
        self,
        fn: Callable[[Any], Any],
        *,
        continue_on_error: bool = False,
        concurrency: int = 1,
        retry: RetryPolicy | None = None,
        timeout: float | None = None,
        name: str | None = None,
    ) -> None:
        self._set_up(
            fn,
            "fn of MapStage",
            continue_on_error=continue_on_error,
            concurrency=concurrency,
            retry=retry,
            timeout=timeout,
            name=name,
        )

    def _hints(self) -> tuple[Any, Any]:
        taken, given = function_hints(self._function.call)
        return iterable_of(taken), list_of(given)

    def loop_step(self) -> LoopStep | None:
        return self._loop_step("map", MapStage)

    def _take_answers(self, calls: Calls) -> tuple[list[Any], int]:
        return calls.answers, 0
