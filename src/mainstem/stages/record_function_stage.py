"""The base of the stages that call a function for each record."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from time import perf_counter
from typing import Any, Generic, Self

from typing_extensions import TypeVar

from mainstem.context import PipelineContext, context_of_run
from mainstem.errors import add_note_once
from mainstem.options import check_count
from mainstem.result import StageResult
from mainstem.retry import RetryPolicy
from mainstem.stage import PipelineStage, StageKind
from mainstem.stages.record_calls import Calls, as_failure
from mainstem.stages.record_function import RecordFunction
from mainstem.take_all import take_all

In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)


# No dataclass: to make one takes half a millisecond of every import.
class LoopStep:
    """What a stage does with one record.

    Attributes:
        kind: ``map``: the answer goes on; ``tap``: the record does; ``filter``: it does if the answer is true;
            ``check``: it does if the answer is ``True``, and ``require`` raises for any other.
        function: The user's function.
        require: See ``check``.
        go_on: Whether to go on past a failed record.
        record_failure: Takes context, record, position and error, and records that the record failed.
    """

    def __init__(
        self,
        kind: str,
        function: RecordFunction,
        require: Callable[[Any], None] | None,
        go_on: bool,
        record_failure: Callable[[PipelineContext, Any, int, Exception], Exception],
    ) -> None:
        self.kind, self.function, self.require = kind, function, require
        self.go_on, self.record_failure = go_on, record_failure


class RecordFunctionStage(
    PipelineStage[Iterable[In_contra], list[Out_co]],  # pyright: ignore[reportInvalidTypeArguments]  # a new list
    Generic[In_contra, Out_co],
):
    """Base of the stages that call a function for each record; they call ``_set_up`` when they are made.

    Args:
        function: The function.
        role: What the stage calls it, for error messages.
        continue_on_error: Whether a failed record is recorded in ``context.errors`` and left out, instead of failing
            the stage.
        concurrency: How many calls of an async function may be under way at a time. Sync functions run one by one.
        retry: How to call the function again for a record for which it raised.
        timeout: The seconds that one call may take.
        name: The stage's name.

    Raises:
        TypeError: If ``function`` cannot be called.
        ValueError: If an option is wrong.
        MissingExtraError: If there is a retry policy and ``mainstem[retry]`` is not installed.
    """

    kind = StageKind.ELEMENTWISE
    expands = False

    def _set_up(
        self,
        function: Callable[[Any], Any],
        role: str,
        *,
        continue_on_error: bool,
        concurrency: int,
        name: str | None,
        retry: RetryPolicy | None = None,
        timeout: float | None = None,
    ) -> None:
        check_count("concurrency", concurrency)
        self._function = RecordFunction(function, role, retry=retry, timeout=timeout)
        self._continue_on_error = continue_on_error
        self._concurrency = concurrency
        self.waits = self._function.is_async or timeout is not None
        if name is not None:
            self.name = name

    @property
    def concurrency(self) -> int:
        """How many calls of an async function may be under way at a time."""
        return self._concurrency

    @property
    def record_function(self) -> RecordFunction:
        """The function, as the stage calls it."""
        return self._function

    @property
    def continue_on_error(self) -> bool:
        """Whether a record that fails is left out, instead of failing the stage."""
        return self._continue_on_error

    @property
    def overlaps_calls(self) -> bool:
        """Whether calls for different records overlap, so that the whole input at once is better than chunks of it."""
        return self._concurrency > 1 and not self._function.never_async

    @abstractmethod
    def _take_answers(self, calls: Calls) -> tuple[list[Any], int]:
        """Turn the function's answers into the output, and say how many records were filtered.

        An answer that is no answer becomes one more of ``calls.failures`` and leaves ``calls.records`` and
        ``calls.answers``.
        """

    def loop_step(self) -> LoopStep | None:
        """Return what the stage does with one record, so that it can be done in a loop with that of its neighbours.

        ``None`` if it cannot, or if a subclass does more than its base.
        """
        return None

    def _loop_step(self, kind: str, base: type[Any], require: Callable[[Any], None] | None = None) -> LoopStep | None:
        function = self._function
        if type(self) is not base or function.is_async or function.retry or function.time_limit:
            return None
        return LoopStep(kind, self._function, require, self._continue_on_error, self._record_failure)

    def with_answer(self, answer: Any) -> Self:
        """Return the same stage for one record to which the function has answered already."""
        answered = copy(self)
        answered._function = self._function.with_answer(answer)
        return answered

    def _record_failure(
        self, context: PipelineContext, record: Any, position: int, error: Exception, attempts: int = 1
    ) -> Exception:
        """Record that a record failed, at a position of the data that was handed over; return its error."""
        error = as_failure(error)
        stage = context.current_stage or self.name
        context.record_error(error, stage=stage, record=record, index=position, attempts=attempts)
        if not self._continue_on_error:
            add_note_once(error, f"at record {context.chunk_start + position}, in {self._function.describe()}")
        return error

    async def process(self, data: Iterable[In_contra], context: PipelineContext) -> StageResult[list[Out_co]]:
        started = perf_counter()
        records, input_error = take_all(data)
        with context_of_run(context):
            calls = await self._function.call_each(
                records, go_on=self._continue_on_error, concurrency=self._concurrency
            )
        result = self.conclude(records, calls, context, input_error)
        result.duration_ms = (perf_counter() - started) * 1000
        return result

    def conclude(
        self, records: Sequence[Any], calls: Calls, context: PipelineContext, input_error: Exception | None = None
    ) -> StageResult[list[Out_co]]:
        """Turn what the calls for some records gave into the stage's result for them."""
        go_on = self._continue_on_error
        with context_of_run(context):
            output, filtered = self._take_answers(calls)
        recorded = [
            self._record_failure(context, records[at], at, failure, calls.attempts.get(at, 1))
            for at, failure in calls.failures
        ]
        if calls.retry_ms:
            context.add_time(retry_ms=calls.retry_ms)
        error = recorded[0] if recorded and not go_on else input_error
        return StageResult(
            data=output if error is None else None,
            success=error is None,
            error=error,
            records_processed=len(output) + filtered,
            records_failed=len(calls.failures),
            records_filtered=filtered,
            notes=self._function.notes(context),
        )
