"""``AggregateStage``: all records into one value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from inspect import isawaitable
from time import perf_counter
from typing import Any, overload

from typing_extensions import TypeVar

from mainstem.context import PipelineContext, context_of_run
from mainstem.result import StageResult
from mainstem.stage import PipelineStage, StageKind
from mainstem.stage_run import count_records
from mainstem.stages.combiner import Combiner
from mainstem.stages.record_function import take_all
from mainstem.type_hints import base_arguments, function_hints, iterable_of

T = TypeVar("T")
In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)


class AggregateStage(PipelineStage[In_contra, Out_co]):
    """Reduce a whole collection to one value.

    Args:
        aggregator: A function of the whole collection, sync or async; or a ``Combiner``, which works record by record and
            so can also stream and be distributed.
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
        self: AggregateStage[Iterable[T], Out_co], aggregator: Combiner[T, Out_co, Any], *, name: str | None = None
    ) -> None: ...
    @overload
    def __init__(self, aggregator: Callable[[In_contra], Awaitable[Out_co]], *, name: str | None = None) -> None: ...
    @overload
    def __init__(self, aggregator: Callable[[In_contra], Out_co], *, name: str | None = None) -> None: ...
    def __init__(self, aggregator: Any, *, name: str | None = None) -> None:
        if isinstance(aggregator, type) and issubclass(aggregator, Combiner):
            raise TypeError(f"{aggregator.__name__} is a class of combiners: make one with {aggregator.__name__}(...)")
        if not isinstance(aggregator, Combiner) and not callable(aggregator):
            raise TypeError(f"aggregator of AggregateStage must be a function or a Combiner, not {aggregator!r}")
        self._aggregator = aggregator
        if name is not None:
            self.name = name

    @property
    def combiner(self) -> Combiner[Any, Out_co, Any] | None:
        """The combiner, if it was given one."""
        return self._aggregator if isinstance(self._aggregator, Combiner) else None  # pyright: ignore[reportUnknownVariableType]

    @property
    def kind(self) -> StageKind:  # type: ignore[override]  # depends on what it was given
        """``COMBINER`` for a combiner; a function is ``BLOCKING``."""
        return StageKind.BLOCKING if self.combiner is None else StageKind.COMBINER

    def _hints(self) -> tuple[Any, Any]:
        if self.combiner is None:
            return function_hints(self._aggregator)
        arguments = base_arguments(type(self.combiner), (), Combiner)
        return (iterable_of(arguments[0]), arguments[1]) if len(arguments) > 1 else (Any, Any)

    async def process(self, data: In_contra, context: PipelineContext) -> StageResult[Out_co]:
        started = perf_counter()
        with context_of_run(context):
            if self.combiner is None:
                handled = count_records(data)
                answer = self._aggregator(data)
                if isawaitable(answer):
                    answer = await answer
            else:
                records, error = take_all(data)  # type: ignore[arg-type, var-annotated]  # a combiner's input is iterable
                if error is not None:
                    return StageResult.failure(error, records_processed=len(records))
                handled = len(records)
                answer = self.combiner.combine(records)
        return StageResult(data=answer, duration_ms=(perf_counter() - started) * 1000, records_processed=handled)
