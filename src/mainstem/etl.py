"""``create_etl_pipeline``: extract, transform, load from three functions."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from inspect import isawaitable
from typing import Any, overload

from typing_extensions import TypeVar

from mainstem.context import PipelineContext, context_of_run
from mainstem.events import EventBus
from mainstem.pipeline import Pipeline
from mainstem.result import StageResult
from mainstem.stage import PipelineStage
from mainstem.stages.map import MapStage
from mainstem.stages.record_function import RecordFunction
from mainstem.take_all import take_all
from mainstem.type_hints import function_hints, list_of, record_of

I = TypeVar("I")  # noqa: E741
T = TypeVar("T")
U = TypeVar("U")
L = TypeVar("L")


class ExtractStage(PipelineStage[Any, list[Any]]):
    """Fetch records with a function of no argument, or of the value given to ``execute``."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = RecordFunction(function, "extract")
        self._takes_input = _takes_argument(function)
        self.name = "extract"

    def _hints(self) -> tuple[Any, Any]:
        taken, given = function_hints(self._function.call)
        return (taken if self._takes_input else Any), list_of(record_of(given))

    async def process(self, data: Any, context: PipelineContext) -> StageResult[list[Any]]:
        with context_of_run(context):
            call: Any = self._function.call
            fetched: Any = call(data) if self._takes_input else call()
            if isawaitable(fetched):
                fetched = await fetched
            records, error = take_all(fetched)
        if error is not None:
            return StageResult.failure(error, records_processed=len(records))
        return StageResult(data=list(records), records_processed=len(records))


class LoadStage(PipelineStage[list[Any], Any]):
    """Persist the list of records with a function."""

    def __init__(self, function: Callable[[list[Any]], Any]) -> None:
        self._function = RecordFunction(function, "load")
        self.name = "load"

    def _hints(self) -> tuple[Any, Any]:
        return function_hints(self._function.call)

    async def process(self, data: list[Any], context: PipelineContext) -> StageResult[Any]:
        with context_of_run(context):
            answer = self._function.call(data)
            if isawaitable(answer):
                answer = await answer
        return StageResult(data=answer, records_processed=len(data))


def _takes_argument(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False  # a builtin without a signature
    return any(
        each.default is each.empty and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        for each in parameters
    )


@overload
def create_etl_pipeline(
    extract: Callable[[], Awaitable[Iterable[T]] | Iterable[T]],
    transform: Callable[[T], Awaitable[U] | U],
    load: Callable[[list[U]], Awaitable[L]],
    *,
    name: str = "etl",
    continue_on_error: bool = False,
    concurrency: int = 1,
    event_bus: EventBus | None = None,
) -> Pipeline[None, L, L]: ...
@overload
def create_etl_pipeline(
    extract: Callable[[], Awaitable[Iterable[T]] | Iterable[T]],
    transform: Callable[[T], Awaitable[U] | U],
    load: Callable[[list[U]], L],
    *,
    name: str = "etl",
    continue_on_error: bool = False,
    concurrency: int = 1,
    event_bus: EventBus | None = None,
) -> Pipeline[None, L, L]: ...
@overload
def create_etl_pipeline(
    extract: Callable[[I], Awaitable[Iterable[T]] | Iterable[T]],
    transform: Callable[[T], Awaitable[U] | U],
    load: Callable[[list[U]], Awaitable[L]],
    *,
    name: str = "etl",
    continue_on_error: bool = False,
    concurrency: int = 1,
    event_bus: EventBus | None = None,
) -> Pipeline[I, L, L]: ...
@overload
def create_etl_pipeline(
    extract: Callable[[I], Awaitable[Iterable[T]] | Iterable[T]],
    transform: Callable[[T], Awaitable[U] | U],
    load: Callable[[list[U]], L],
    *,
    name: str = "etl",
    continue_on_error: bool = False,
    concurrency: int = 1,
    event_bus: EventBus | None = None,
) -> Pipeline[I, L, L]: ...
def create_etl_pipeline(
    extract: Callable[..., Any],
    transform: Callable[[Any], Any],
    load: Callable[[list[Any]], Any],
    *,
    name: str = "etl",
    continue_on_error: bool = False,
    concurrency: int = 1,
    event_bus: EventBus | None = None,
) -> Pipeline[Any, Any, Any]:
    """Make a pipeline of three stages, ``extract``, ``transform`` and ``load``, from three functions, sync or async
    each.

    Args:
        extract: Returns the records; takes no argument, or the value given to ``execute``.
        transform: Takes a record, returns one.
        load: Takes the list of all transformed records and persists it; what it returns is the run's output.
        name: The pipeline's name.
        continue_on_error: Whether records whose transformation fails are recorded and left out, instead of failing the
            run.
        concurrency: How many awaits of an async ``transform`` may be under way at a time; order is kept.
        event_bus: Where its events go.

    Returns:
        A pipeline, to which hooks and further stages can be added.

    Raises:
        TypeError: If one of the three cannot be called.
        StageTypeError: If their annotations do not fit one another.

    Example:
        >>> def extract() -> list[str]:
        ...     return ["3", "x", "4"]
        >>> stored: list[int] = []
        >>> pipeline = create_etl_pipeline(extract, int, stored.extend, continue_on_error=True)
        >>> result = pipeline.run()
        >>> stored, result.success, [entry.index for entry in result.context.errors]
        ([3, 4], True, [1])
    """
    transform_stage = MapStage[Any, Any](
        transform, continue_on_error=continue_on_error, concurrency=concurrency, name="transform"
    )
    return (
        Pipeline[Any, Any](name, event_bus=event_bus)
        .add_stage(ExtractStage(extract))
        .add_stage(transform_stage)
        .add_stage(LoadStage(load))
    )
