"""``Pipeline``: stages in order, with hooks, events and one structured result."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, Self, TypeAlias, overload

import anyio
from typing_extensions import TypeVar

from mainstem.context import PipelineContext, context_of_run
from mainstem.engine.memory import MemoryRun
from mainstem.errors import BlockingCallError, StageTypeError, StopPipeline, describe_error
from mainstem.events import Event, EventBus, EventType, default_event_bus
from mainstem.hooks import CompletionHook, ErrorHook, Hooks, StageHook, call_hooks
from mainstem.ids import new_id
from mainstem.result import PipelineResult, StageResult
from mainstem.stage import (
    GroupingStage,
    PipelineStage,
    RecordsStage,
    UnchangedStage,
    UngroupingStage,
    extend_checked,
)
from mainstem.stage_run import count_records, summarize, unique_names
from mainstem.stages.aggregate import AggregateStage
from mainstem.stages.batch import BatchStage
from mainstem.stages.combiner import Combiner
from mainstem.stages.filter import FilterStage
from mainstem.stages.flatten import FlattenStage
from mainstem.stages.map import MapStage
from mainstem.stages.validate import ValidateStage
from mainstem.typecheck import RecordNet, check_join, fits, share_to_check, show

logger = logging.getLogger("mainstem.pipeline")

In_contra = TypeVar("In_contra", contravariant=True)
Out = TypeVar("Out")
Out_co = TypeVar("Out_co", covariant=True)
Current_co = TypeVar("Current_co", covariant=True, default=Out)
I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741
T = TypeVar("T")
U = TypeVar("U")
N = TypeVar("N")
StageHookT = TypeVar("StageHookT", bound=StageHook)
ErrorHookT = TypeVar("ErrorHookT", bound=ErrorHook)
CompletionHookT = TypeVar("CompletionHookT", bound=CompletionHook)

Check: TypeAlias = Literal["first", "all"] | float
"""Which records to check against the stages' annotations: the first, all, or a share such as ``0.01``."""

if TYPE_CHECKING:
    # How a wrong last stage is seen by every type checker: reading ``execute`` from a pipeline whose stages end in
    # something else than its ``Out`` gives an object that cannot be called, and whose name is the message.

    class Execute(Protocol[In_contra, Out_co]):
        """``execute`` of a finished pipeline."""

        async def __call__(
            self, data: In_contra, *, context: PipelineContext | None = None
        ) -> PipelineResult[Out_co]: ...

    class ExecuteFromSource(Protocol[Out_co]):
        """``execute`` of a finished pipeline that begins with a source."""

        async def __call__(
            self, data: None = None, *, context: PipelineContext | None = None
        ) -> PipelineResult[Out_co]: ...

    class Run(Protocol[In_contra, Out_co]):
        """``run`` of a finished pipeline."""

        def __call__(self, data: In_contra, *, context: PipelineContext | None = None) -> PipelineResult[Out_co]: ...

    class RunFromSource(Protocol[Out_co]):
        """``run`` of a finished pipeline that begins with a source."""

        def __call__(self, data: None = None, *, context: PipelineContext | None = None) -> PipelineResult[Out_co]: ...

    class LastStageOutputMismatch(Generic[O, N]):
        """The pipeline is to give ``O``, and its last stage gives ``N``: it cannot be run."""

    class _ExecuteAttribute:
        @overload
        def __get__(self, pipeline: Pipeline[None, O, O], owner: Any) -> ExecuteFromSource[O]: ...
        @overload
        def __get__(self, pipeline: Pipeline[I, O, O], owner: Any) -> Execute[I, O]: ...
        @overload
        def __get__(self, pipeline: Pipeline[I, O, N], owner: Any) -> LastStageOutputMismatch[O, N]: ...
        def __get__(self, pipeline: Any, owner: Any) -> Any: ...

    class _RunAttribute:
        @overload
        def __get__(self, pipeline: Pipeline[None, O, O], owner: Any) -> RunFromSource[O]: ...
        @overload
        def __get__(self, pipeline: Pipeline[I, O, O], owner: Any) -> Run[I, O]: ...
        @overload
        def __get__(self, pipeline: Pipeline[I, O, N], owner: Any) -> LastStageOutputMismatch[O, N]: ...
        def __get__(self, pipeline: Any, owner: Any) -> Any: ...


class Pipeline(PipelineStage[In_contra, Current_co], Generic[In_contra, Out, Current_co]):
    """A named sequence of stages from ``In`` to ``Out``, which can be run, watched and used as a stage.

    Write ``Pipeline[In, Out]("name").add_stage(...)``. A third type parameter, which one never writes, follows the type
    of what the stages so far give; ``execute`` and ``run`` can be called once that is ``Out``. Runs of one pipeline may
    overlap.

    Args:
        name: Used in events, logs and reports.
        event_bus: Where its events go; the library's default bus if not given.
        hook_timeout: Seconds an async hook may take before it is cancelled and reported. A hook that limits the rate
            waits on purpose, so the limit is generous. Sync hooks run inline and cannot be limited.
        check: Check real records against the stages' annotations: ``"first"`` of each stage, ``"all"``, or a share of
            them such as ``0.01``. A record that does not fit fails its stage. Off by default.

    Raises:
        TypeError: If ``name`` is no text.
        ValueError: If ``hook_timeout`` or ``check`` is out of range.
        MissingExtraError: If ``check`` is used without ``mainstem[types]``.

    Example:
        >>> from mainstem import AggregateStage, FilterStage, MapStage
        >>> def is_even(number: int) -> bool:
        ...     return number % 2 == 0
        >>> def square(number: int) -> int:
        ...     return number * number
        >>> pipeline = (
        ...     Pipeline[list[int], int]("squares")
        ...     .add_stage(FilterStage(is_even))
        ...     .add_stage(MapStage(square))
        ...     .add_stage(AggregateStage(sum))
        ... )
        >>> result = pipeline.run([1, 2, 3, 4])
        >>> result.data, result.records_in, result.records_filtered
        (20, 4, 2)
    """

    if TYPE_CHECKING:
        # A checker is shown __new__ in the place of __init__, to start with nothing but the input as current type.

        def __new__(
            cls,
            name: str,
            *,
            event_bus: EventBus | None = None,
            hook_timeout: float = 300.0,
            check: Check | None = None,
        ) -> Pipeline[In_contra, Out, In_contra]: ...

        execute = _ExecuteAttribute()
        run = _RunAttribute()

    else:

        def __init__(
            self,
            name: str,
            *,
            event_bus: EventBus | None = None,
            hook_timeout: float = 300.0,
            check: Check | None = None,
        ) -> None:
            self._set_up(name, event_bus, hook_timeout, check)

        async def execute(self, data: Any = None, *, context: PipelineContext | None = None) -> PipelineResult[Any]:
            """Run the stages on ``data``, in memory.

            Args:
                data: The input; left out when the first stage is a source.
                context: The run's context; a fresh one by default.

            Returns:
                The result: never an ``Exception`` of a stage, which is in ``result.error``.

            Raises:
                StageTypeError: If the last stage does not give what the pipeline is annotated with.
                BaseException: What is no ``Exception`` passes through: a cancellation, ``KeyboardInterrupt``,
                    ``SystemExit``.
            """
            self._check_output()
            return await self._execute(data, PipelineContext() if context is None else context)

        def run(self, data: Any = None, *, context: PipelineContext | None = None) -> PipelineResult[Any]:
            """Do what ``execute`` does, and wait for it; for code that is not async.

            Raises:
                BlockingCallError: Inside a running event loop, where ``await pipeline.execute(...)`` is the way.
            """
            _refuse_inside_event_loop()
            results: list[PipelineResult[Any]] = []

            async def execute() -> None:
                # Not returned: asyncio's run() makes the text of its task, the result with all its records included,
                # when it puts its signal handler back (signal.signal() looks it up in an Enum).
                results.append(await self.execute(data, context=context))

            anyio.run(execute)
            return results[0]

    def _set_up(self, name: str, event_bus: EventBus | None, hook_timeout: float, check: Check | None) -> None:
        from urllib.parse import quote  # late: it would be a tenth of the time that importing mainstem takes

        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a pipeline's name is a text, not {name!r}")
        self.name = name
        self._event_bus = default_event_bus if event_bus is None else event_bus
        self._event_source = f"mainstem/{quote(name, safe='')}"
        self._hooks = Hooks(hook_timeout)
        self._share = share_to_check(check)
        self._stages: tuple[PipelineStage[Any, Any], ...] = ()
        self._output_hints: tuple[Any, ...] = ()
        self._output_fits = False
        """Whether the last output has been found to be what the pipeline is annotated with."""

    @property
    def stages(self) -> tuple[PipelineStage[Any, Any], ...]:
        """The stages in order; the members of a chain that was added are stages of their own."""
        return self._stages

    @property
    def input_hint(self) -> Any:
        annotated = self._annotation()[0]
        return self._stages[0].input_hint if annotated is Any and self._stages else annotated

    def output_hint(self, given: Any) -> Any:
        return self._output_hints[-1] if self._output_hints else given

    def _annotation(self) -> tuple[Any, Any]:
        made_as = getattr(self, "__orig_class__", None)
        taken, given = getattr(made_as, "__args__", (Any, Any))[:2]
        return Any if isinstance(taken, TypeVar) else taken, Any if isinstance(given, TypeVar) else given

    @overload
    def add_stage(self: Pipeline[I, O, Iterable[T]], stage: RecordsStage[T, object]) -> Pipeline[I, O, list[T]]: ...
    @overload
    def add_stage(
        self: Pipeline[I, O, Iterable[T]], stage: GroupingStage[T, object]
    ) -> Pipeline[I, O, list[list[T]]]: ...
    @overload
    def add_stage(
        self: Pipeline[I, O, Iterable[Iterable[T]]], stage: UngroupingStage[T, object]
    ) -> Pipeline[I, O, list[T]]: ...
    @overload
    def add_stage(self: Pipeline[I, O, T], stage: UnchangedStage[T, object]) -> Pipeline[I, O, T]: ...
    @overload
    def add_stage(self, stage: PipelineStage[Current_co, N]) -> Pipeline[In_contra, Out, N]: ...
    def add_stage(self, stage: Any) -> Any:
        """Add a stage to the end. A chain's members are added one by one.

        Returns:
            The pipeline itself; its type now says what the new stage gives.

        Raises:
            TypeError: If ``stage`` is no stage, or is the pipeline itself.
            StageTypeError: If it and what comes before it are annotated and do not fit.
        """
        if not isinstance(stage, PipelineStage):
            extend_checked((), Any, stage)
        if stage is self:
            raise TypeError(f"pipeline {self.name!r} cannot be a stage of itself")
        stages, hints = self._stages, self._output_hints
        hint = hints[-1] if hints else self._annotation()[0]
        for member in stage.members:
            if not stages:
                for receiver in member.receivers:
                    check_join(f"the input of pipeline {self.name}", self.made_at, hint, receiver)
            stages, hint = extend_checked(stages, hint, member)
            hints = (*hints, hint)
        self._stages, self._output_hints, self._output_fits = stages, hints, False
        return self

    @overload
    def map(
        self: Pipeline[I, O, Iterable[T]],
        fn: Callable[[T], Awaitable[U]],
        *,
        continue_on_error: bool = False,
        concurrency: int = 1,
        name: str | None = None,
    ) -> Pipeline[I, O, list[U]]: ...
    @overload
    def map(
        self: Pipeline[I, O, Iterable[T]],
        fn: Callable[[T], U],
        *,
        continue_on_error: bool = False,
        concurrency: int = 1,
        name: str | None = None,
    ) -> Pipeline[I, O, list[U]]: ...
    def map(self: Pipeline[Any, Any, Any], fn: Callable[[Any], Any], **options: Any) -> Any:
        """Add ``MapStage(fn, ...)``; a lambda's parameter is inferred here."""
        return self.add_stage(MapStage[Any, Any](fn, **options))

    def filter(
        self: Pipeline[I, O, Iterable[T]],
        predicate: Callable[[T], bool | Awaitable[bool]],
        *,
        continue_on_error: bool = False,
        concurrency: int = 1,
        name: str | None = None,
    ) -> Pipeline[I, O, list[T]]:
        """Add ``FilterStage(predicate, ...)``."""
        return self.add_stage(
            FilterStage[T](predicate, continue_on_error=continue_on_error, concurrency=concurrency, name=name)
        )

    def batch(self: Pipeline[I, O, Iterable[T]], size: int) -> Pipeline[I, O, list[list[T]]]:
        """Add ``BatchStage(size)``."""
        return self.add_stage(BatchStage[T](size))

    def flatten(self: Pipeline[I, O, Iterable[Iterable[T]]]) -> Pipeline[I, O, list[T]]:
        """Add ``FlattenStage()``."""
        return self.add_stage(FlattenStage[T]())

    @overload
    def aggregate(
        self: Pipeline[I, O, Iterable[T]], aggregator: Combiner[T, U, Any], *, name: str | None = None
    ) -> Pipeline[I, O, U]: ...
    @overload
    def aggregate(
        self: Pipeline[I, O, T], aggregator: Callable[[T], Awaitable[U]], *, name: str | None = None
    ) -> Pipeline[I, O, U]: ...
    @overload
    def aggregate(
        self: Pipeline[I, O, T], aggregator: Callable[[T], U], *, name: str | None = None
    ) -> Pipeline[I, O, U]: ...
    def aggregate(self: Pipeline[Any, Any, Any], aggregator: Any, *, name: str | None = None) -> Any:
        """Add ``AggregateStage(aggregator)``."""
        return self.add_stage(AggregateStage[Any, Any](aggregator, name=name))

    def validate(
        self: Pipeline[I, O, T],
        validator: Callable[[T], bool | str | Awaitable[bool | str]],
        *,
        name: str | None = None,
    ) -> Pipeline[I, O, T]:
        """Add ``ValidateStage(validator)``."""
        return self.add_stage(ValidateStage[T](validator, name=name))

    def before_stage(self, hook: StageHookT) -> StageHookT:
        """Call ``hook(stage_name, data, context)`` immediately before each stage processes ``data``.

        Sync or async; returned as it is, so this serves as a decorator. Like ``after_stage``, it sees the whole data,
        so neighbouring stages no longer share chunks while it is registered.

        Raises:
            TypeError: If it cannot be called.
        """
        self._hooks.register("before_stage", hook)
        return hook

    def after_stage(self, hook: StageHookT) -> StageHookT:
        """Call ``hook(stage_name, output, context)`` after each stage that succeeds; see ``before_stage``."""
        self._hooks.register("after_stage", hook)
        return hook

    def on_error(self, hook: ErrorHookT) -> ErrorHookT:
        """Call ``hook(stage_name, exception, context)`` when a stage fails; see ``before_stage``."""
        self._hooks.register("on_error", hook)
        return hook

    def on_complete(self, hook: CompletionHookT) -> CompletionHookT:
        """Call ``hook(output, context)`` after the pipeline has finished successfully; see ``before_stage``."""
        self._hooks.register("on_complete", hook)
        return hook

    def add_hooks(self, bundle: object) -> Self:
        """Register each of ``before_stage``, ``after_stage``, ``on_error``, ``on_complete`` that ``bundle`` has.

        Returns:
            The pipeline itself.

        Raises:
            TypeError: If it has none of them.
        """
        self._hooks.register_bundle(bundle)
        return self

    async def process(self, data: In_contra, context: PipelineContext) -> PipelineResult[Current_co]:
        """Run as a stage of another pipeline: a run with events of its own, which shares metadata and errors."""
        name = context.current_stage or self.name
        return await self._execute(data, context.child(name, pipeline_id=new_id()))

    async def _execute(self, data: Any, context: PipelineContext) -> PipelineResult[Any]:
        started = perf_counter()
        hooks = self._hooks
        names = unique_names(self._stages)
        nets = self._record_nets(names)
        run = MemoryRun(self._stages, names, context, hooks, nets)
        context.begin()
        logger.info("pipeline %s started, run %s", self.name, context.pipeline_id)
        result: StageResult[Any]
        try:
            with context_of_run(context):
                await self._publish_start(context, len(names))
                result = await run.run(data)
                if result.success:
                    await call_hooks(hooks.on_complete, (result.data, context), self.name, hooks.timeout)
                else:
                    failed = context.current_stage or self.name
                    await call_hooks(hooks.on_error, (failed, result.error, context), failed, hooks.timeout)
        except StopPipeline as stop:
            context.record_error(stop)
            result = StageResult.failure(stop)
        except GeneratorExit:
            raise  # the coroutine is being closed: nothing can be awaited any more
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await self._publish_end(context, "cancelled", error, started)
            raise
        status = "completed" if result.success else "failed"
        await self._publish_end(context, status, result.error, started)
        counts = summarize(run.stage_runs)
        if not run.stage_runs:
            counts = {"records_processed": count_records(data)}
        return PipelineResult(
            data=result.data,
            success=result.success,
            error=result.error,
            duration_ms=(perf_counter() - started) * 1000,
            context=context,
            **counts,
        )

    def _record_nets(self, names: Sequence[str]) -> list[RecordNet] | None:
        share = self._share
        if share is None:
            return None
        return [RecordNet(name, hint, share) for name, hint in zip(names, self._output_hints, strict=True)]

    async def _publish_start(self, context: PipelineContext, stage_count: int) -> None:
        await self._publish(
            EventType.ITEM_CREATED,
            context,
            {"pipeline_id": context.pipeline_id, "name": self.name, "stage_count": stage_count},
        )

    async def _publish_end(
        self, context: PipelineContext, status: str, error: BaseException | None, started: float
    ) -> None:
        context.finish()
        duration = (perf_counter() - started) * 1000
        logger.info("pipeline %s %s after %.0f ms, run %s", self.name, status, duration, context.pipeline_id)
        await self._publish(
            EventType.ITEM_UPDATED,
            context,
            {
                "pipeline_id": context.pipeline_id,
                "name": self.name,
                "status": status,
                "duration_ms": duration,
                "completed_stages": list(context.completed_stages),
                "error": None if error is None else describe_error(error),
            },
        )

    async def _publish(self, event_type: EventType, context: PipelineContext, data: Mapping[str, Any]) -> None:
        event = Event(type=event_type, data=data, source=self._event_source, subject=context.pipeline_id)
        for error in await self._event_bus.publish(event):
            context.record_error(error, stage=self.name)

    def _check_output(self) -> None:
        if self._output_fits or not self._stages:
            return
        expected = self._annotation()[1]
        if not fits(self._output_hints[-1], expected):
            last = self._stages[-1]
            raise StageTypeError(
                f"pipeline {self.name!r} is to give {show(expected)}, but its last stage, {last.name!r}, gives "
                f"{show(self._output_hints[-1])}\n"
                f"  pipeline {self.name!r} was made at {self.made_at}\n"
                f"  {last.name!r} was made at {last.made_at}"
            )
        self._output_fits = True


def _refuse_inside_event_loop() -> None:
    try:
        anyio.get_cancelled_exc_class()
    except RuntimeError:  # what anyio raises where no event loop runs
        return
    raise BlockingCallError("run() blocks, and an event loop is running here: write 'await pipeline.execute(...)'")
