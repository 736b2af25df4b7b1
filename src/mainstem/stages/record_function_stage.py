"""The base of the stages that call a function for each record."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Generic, Self

from typing_extensions import TypeVar

from mainstem.context import PipelineContext, context_of_run
from mainstem.errors import add_note_once
from mainstem.options import check_count
from mainstem.result import StageResult
from mainstem.stage import PipelineStage, StageKind
from mainstem.stages.record_function import STOP_ITERATION_RAISED, Calls, RecordFunction
from mainstem.take_all import take_all

In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)


@dataclass(frozen=True, slots=True)
class LoopStep:
    """What a stage does with one record.

    Attributes:
        kind: ``map``: the answer goes on; ``filter``: the record does if the answer is true; ``check``: it does if the
            answer is ``True``, and ``require`` raises for any other.
        function: The user's function.
        require: See ``check``.
        go_on: Whether to go on past a failed record.
        record_failure: Takes context, record, position and error, and records that the record failed.
    """

    kind: str
    function: RecordFunction
    require: Callable[[Any], None] | None
    go_on: bool
    record_failure: Callable[[PipelineContext, Any, int, Exception], Exception]


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
        name: The stage's name.

    Raises:
        TypeError: If ``function`` cannot be called.
        ValueError: If ``concurrency`` is no positive whole number.
    """

    kind = StageKind.ELEMENTWISE

    def _set_up(
        self,
        function: Callable[[Any], Any],
        role: str,
        *,
        continue_on_error: bool,
        concurrency: int,
        name: str | None,
    ) -> None:
        check_count("concurrency", concurrency)
        self._function = RecordFunction(function, role)
        self._continue_on_error = continue_on_error
        self._concurrency = concurrency
        if name is not None:
            self.name = name

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
        if type(self) is not base or self._function.is_async:
            return None
        return LoopStep(kind, self._function, require, self._continue_on_error, self._record_failure)

    def with_answer(self, answer: Any) -> Self:
        """Return the same stage for one record to which the function has answered already."""
        answered = copy(self)
        answered._function = self._function.with_answer(answer)
        return answered

    def _record_failure(self, context: PipelineContext, record: Any, position: int, error: Exception) -> Exception:
        """Record that a record failed, at a position of the data that was handed over; return its error."""
        if isinstance(error, StopIteration):
            error = RuntimeError(STOP_ITERATION_RAISED)
        context.record_error(error, stage=context.current_stage or self.name, record=record, index=position)
        if not self._continue_on_error:
            add_note_once(error, f"at record {context.chunk_start + position}, in {self._function.describe()}")
        return error

    async def process(self, data: Iterable[In_contra], context: PipelineContext) -> StageResult[list[Out_co]]:
        started = perf_counter()
        records, input_error = take_all(data)
        go_on = self._continue_on_error
        with context_of_run(context):
            calls = await self._function.call_each(records, go_on=go_on, concurrency=self._concurrency)
            output, filtered = self._take_answers(calls)
        recorded = [self._record_failure(context, records[at], at, failure) for at, failure in calls.failures]
        error = recorded[0] if recorded and not go_on else input_error
        return StageResult(
            data=output if error is None else None,
            success=error is None,
            error=error,
            duration_ms=(perf_counter() - started) * 1000,
            records_processed=len(output) + filtered,
            records_failed=len(calls.failures),
            records_filtered=filtered,
        )
