"""``AggregateStage``: all records into one value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from inspect import isclass
from time import perf_counter
from typing import Any, TypeGuard, overload

from typing_extensions import TypeVar

from mainstem.context import PipelineContext, context_of_run
from mainstem.result import StageResult
from mainstem.retry import RetryPolicy
from mainstem.stage import PipelineStage, StageKind
from mainstem.stage_run import State, count_records
from mainstem.stages.combiner import Combiner
from mainstem.stages.record_function import RecordFunction
from mainstem.take_all import take_all
from mainstem.type_hints import base_arguments, function_hints, iterable_of

T = TypeVar("T")
U = TypeVar("U")
In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)


class AggregateStage(PipelineStage[In_contra, Out_co]):
    """Reduce a whole collection to one value.

    Args:
        aggregator: A function of the whole collection, sync or async; or a ``Combiner``, which works record by record
            and so can also stream and be distributed.
        retry: How to call the function again when it raised. An iterator is then read into a list first, so that each
            attempt sees all the records. Not for a ``Combiner``.
        timeout: The seconds that one call may take; of a sync function in a thread, as ``MapStage`` says. Not for a
            ``Combiner``.
        name: The stage's name in reports.

    Raises:
        TypeError: If ``aggregator`` is neither.
        ValueError: If an option is wrong, or not for a ``Combiner``.
        MissingExtraError: If there is a ``retry`` and ``mainstem[retry]`` is not installed.

    Example:
        >>> from mainstem import Pipeline, Sum
        >>> Pipeline[list[int], int]("total").add_stage(AggregateStage(Sum())).run([1, 2, 3]).data
        6
    """

    @overload
    def __init__(
        self: AggregateStage[Iterable[T], U], aggregator: Combiner[T, U, Any], *, name: str | None = None
    ) -> None: ...
    @overload
    def __init__(
        self,
        aggregator: Callable[[In_contra], Awaitable[Out_co]],
        *,
        retry: RetryPolicy | None = None,
        timeout: float | None = None,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self,
        aggregator: Callable[[In_contra], Out_co],
        *,
        retry: RetryPolicy | None = None,
        timeout: float | None = None,
        name: str | None = None,
    ) -> None: ...
    def __init__(
        self,
        aggregator: Any,
        *,
        retry: RetryPolicy | None = None,
        timeout: float | None = None,
        name: str | None = None,
    ) -> None:
        if isclass(aggregator) and issubclass(aggregator, Combiner):
            raise TypeError(f"{aggregator.__name__} is a class of combiners: make one with {aggregator.__name__}(...)")
        self._combiner: Combiner[Any, Any, Any] | None = None
        self._function: RecordFunction | None = None
        if _is_combiner(aggregator):
            if retry is not None or timeout is not None:
                raise ValueError("retry and timeout are for a function, which a Combiner is not: leave them out")
            self._combiner = aggregator
            self.kind = StageKind.COMBINER
        elif callable(aggregator):
            self._function = RecordFunction(aggregator, "aggregator of AggregateStage", retry=retry, timeout=timeout)
        else:
            raise TypeError(f"aggregator of AggregateStage must be a function or a Combiner, not {aggregator!r}")
        if name is not None:
            self.name = name

    @property
    def combiner(self) -> Combiner[Any, Any, Any] | None:
        """The combiner, if it was given one."""
        return self._combiner

    def begin(self) -> State | None:
        """Return the state of a run that has seen no records; ``None`` where the function needs all of them at once."""
        return None if self._combiner is None else _Accumulation(self._combiner)

    def _hints(self) -> tuple[Any, Any]:
        if self._function is not None:
            return function_hints(self._function.call)
        arguments = base_arguments(type(self._combiner), (), Combiner)
        return (iterable_of(arguments[0]), arguments[1]) if len(arguments) > 1 else (Any, Any)

    async def process(self, data: In_contra, context: PipelineContext) -> StageResult[Out_co]:
        started = perf_counter()
        collection: Any = data
        if self._function is not None:
            result = await self._call(self._function, collection, context)
        else:
            result = self._combine(collection, context)
        result.duration_ms = (perf_counter() - started) * 1000
        return result

    async def _call(self, function: RecordFunction, data: Any, context: PipelineContext) -> StageResult[Any]:
        handled = count_records(data)
        outcome = await function.call_with_whole(data, context, self.name)
        if outcome.error is None:
            result = StageResult(data=outcome.answer, records_processed=handled)
        else:
            result = StageResult.failure(outcome.error, records_failed=max(1, handled))
        result.notes = function.notes(context)
        return result

    def _combine(self, data: Any, context: PipelineContext) -> StageResult[Any]:
        assert self._combiner is not None
        records, input_error = take_all(data)
        if input_error is not None:
            return StageResult.failure(input_error, records_processed=len(records))
        try:
            with context_of_run(context):
                return StageResult(data=self._combiner.combine(records), records_processed=len(records))
        except Exception as error:
            return StageResult.failure(error, records_failed=max(1, len(records)))


class _Accumulation:
    """An aggregation within one run: fed chunk by chunk, it gives its answer at the end."""

    wanted: int | None = None

    def __init__(self, combiner: Combiner[Any, Any, Any]) -> None:
        self._combiner = combiner
        self._records = 0
        self._begun = False
        self._accumulator: Any = None

    async def feed(self, records: Sequence[Any], context: PipelineContext) -> StageResult[Any]:
        """Add the next records. One that cannot be added fails them all: an aggregation is of everything or nothing."""
        with context_of_run(context):
            try:
                if not self._begun:
                    self._begun, self._accumulator = True, self._combiner.create()
                self._accumulator = self._combiner.add_all(self._accumulator, records)
            except Exception as error:
                return StageResult.failure(error, records_failed=max(1, len(records)))
        self._records += len(records)
        return StageResult(data=(), records_processed=len(records))

    def merge(self, accumulator: Any, records: int) -> None:
        """Add the accumulator of the next records, made elsewhere."""
        self._accumulator = self._combiner.merge(self._accumulator, accumulator) if self._begun else accumulator
        self._begun = True
        self._records += records

    async def finish(self, context: PipelineContext) -> StageResult[Any]:
        """Give the answer."""
        with context_of_run(context):
            try:
                accumulator = self._accumulator if self._begun else self._combiner.create()
                return StageResult(data=self._combiner.finish(accumulator))
            except Exception as error:
                return StageResult.failure(error, records_failed=max(1, self._records))


def _is_combiner(aggregator: object) -> TypeGuard[Combiner[Any, Any, Any]]:
    return isinstance(aggregator, Combiner)
