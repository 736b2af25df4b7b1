"""``AggregateStage``: all records into one value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from inspect import isawaitable, isclass
from time import perf_counter
from typing import Any, TypeGuard, overload

from typing_extensions import TypeVar

from mainstem.context import PipelineContext, context_of_run
from mainstem.result import StageResult
from mainstem.stage import PipelineStage, StageKind
from mainstem.stage_run import count_records
from mainstem.stages.combiner import Combiner
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
        name: The stage's name in reports.

    Raises:
        TypeError: If ``aggregator`` is neither.

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
    def __init__(self, aggregator: Callable[[In_contra], Awaitable[Out_co]], *, name: str | None = None) -> None: ...
    @overload
    def __init__(self, aggregator: Callable[[In_contra], Out_co], *, name: str | None = None) -> None: ...
    def __init__(self, aggregator: Any, *, name: str | None = None) -> None:
        if isclass(aggregator) and issubclass(aggregator, Combiner):
            raise TypeError(f"{aggregator.__name__} is a class of combiners: make one with {aggregator.__name__}(...)")
        self._combiner: Combiner[Any, Any, Any] | None = None
        function: Any = aggregator
        self._function: Callable[[Any], Any] = function
        if _is_combiner(aggregator):
            self._combiner = aggregator
            self.kind = StageKind.COMBINER
        elif not callable(aggregator):
            raise TypeError(f"aggregator of AggregateStage must be a function or a Combiner, not {aggregator!r}")
        if name is not None:
            self.name = name

    @property
    def combiner(self) -> Combiner[Any, Any, Any] | None:
        """The combiner, if it was given one."""
        return self._combiner

    def _hints(self) -> tuple[Any, Any]:
        if self._combiner is None:
            return function_hints(self._function)
        arguments = base_arguments(type(self._combiner), (), Combiner)
        return (iterable_of(arguments[0]), arguments[1]) if len(arguments) > 1 else (Any, Any)

    async def process(self, data: In_contra, context: PipelineContext) -> StageResult[Out_co]:
        started = perf_counter()
        answer: Any
        handled = count_records(data)
        try:
            with context_of_run(context):
                if self._combiner is not None:
                    collection: Any = data
                    records, error = take_all(collection)
                    handled = len(records)
                    if error is not None:
                        return StageResult.failure(error, records_processed=handled)
                    answer = self._combiner.combine(records)
                else:
                    answer = self._function(data)
                    if isawaitable(answer):
                        answer = await answer
        except Exception as error:
            return StageResult.failure(error, records_failed=max(1, handled))
        return StageResult(data=answer, duration_ms=(perf_counter() - started) * 1000, records_processed=handled)


def _is_combiner(aggregator: object) -> TypeGuard[Combiner[Any, Any, Any]]:
    return isinstance(aggregator, Combiner)
