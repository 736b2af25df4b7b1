"""``Pipeline``: stages in order, with hooks, events and one structured result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, overload

import anyio
from typing_extensions import TypeVar, Unpack

from mainstem import clock
from mainstem.context import PipelineContext
from mainstem.endpoints import CHUNK_SIZE
from mainstem.errors import BlockingCallError, StageTypeError
from mainstem.events import EventBus, default_event_bus
from mainstem.hooks import Hookable, Hooks
from mainstem.ids import new_id
from mainstem.notebook import ShownAsGraph
from mainstem.options import check_count
from mainstem.result import PipelineResult
from mainstem.stage import (
    GroupingStage,
    PipelineStage,
    RecordsStage,
    UnchangedStage,
    UngroupingStage,
    extend_checked,
)
from mainstem.stage_run import unique_names
from mainstem.stages.aggregate import AggregateStage
from mainstem.stages.batch import BatchStage
from mainstem.stages.combiner import Combiner
from mainstem.stages.filter import FilterStage
from mainstem.stages.flatten import FlattenStage
from mainstem.stages.limit import LimitStage
from mainstem.stages.map import MapStage
from mainstem.stages.tap import TapStage
from mainstem.stages.validate import ValidateStage
from mainstem.streaming import PipelineStream
from mainstem.typecheck import RecordNet, check_join, fits, share_to_check, show
from mainstem.workers import Runner, Workers

In_contra = TypeVar("In_contra", contravariant=True)
Out = TypeVar("Out")
Out_co = TypeVar("Out_co", covariant=True)
Current_co = TypeVar("Current_co", covariant=True, default=Out)
I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741
T = TypeVar("T")
U = TypeVar("U")
N = TypeVar("N")

Check: TypeAlias = Literal["first", "all"] | float
"""Which records to check against the stages' annotations: the first, all, or a share such as ``0.01``."""

if TYPE_CHECKING:
    from mainstem.durable.options import RunOptions
    from mainstem.pipeline_calls import (
        Execute,
        ExecuteFromSource,
        FunctionOptions,
        LastStageOutputMismatch,
        Run,
        RunFromSource,
        Stream,
        StreamFromSource,
    )
    from mainstem.pipeline_run import PipelineRun

    # How a wrong last stage is seen by every type checker: reading ``execute`` from a pipeline whose stages end in
    # something else than its ``Out`` gives an object that cannot be called, and whose name is the message.

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

    class _StreamAttribute:
        @overload
        def __get__(self, pipeline: Pipeline[None, O, O], owner: Any) -> StreamFromSource[O]: ...
        @overload
        def __get__(self, pipeline: Pipeline[list[T], O, O], owner: Any) -> Stream[T, O]: ...
        @overload
        def __get__(self, pipeline: Pipeline[Any, O, O], owner: Any) -> Stream[Any, O]: ...
        @overload
        def __get__(self, pipeline: Pipeline[I, O, N], owner: Any) -> LastStageOutputMismatch[O, N]: ...
        def __get__(self, pipeline: Any, owner: Any) -> Any: ...


class Pipeline(PipelineStage[In_contra, Current_co], Hookable, ShownAsGraph, Generic[In_contra, Out, Current_co]):
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
        stream = _StreamAttribute()

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

        async def execute(
            self,
            data: Any = None,
            *,
            context: PipelineContext | None = None,
            workers: int | Workers | None = None,
            runner: Runner | None = None,
            **options: Unpack[RunOptions],
        ) -> PipelineResult[Any]:
            """Run the stages on ``data``, in memory; with a ``store`` or a ``run_id`` durably.

            A durable run from a source, or a given input, to a sink is committed batch by batch. If it is killed, fails
            or is cancelled, running it again under its ``run_id`` goes on after the last batch, with nothing lost, and
            into a sink that keeps the number of its last batch (see ``SinkStage``) nothing doubled. Rejects are kept in
            the store, and ``context.errors`` holds the latest only.

            Args:
                data: The input; left out when the first stage is a source.
                context: The run's context; a fresh one by default.
                workers: How many processes may share the work of elementwise stages and combiners; this needs
                    ``mainstem[processes]``. Their functions may be any, lambdas included, that hold nothing which
                    belongs to this process alone (a lock, an open file); the same goes for records. Where sending
                    takes longer than working, all stays in this process, and a note in the result says so.
                runner: Where else the same work is done, such as ``RayRunner()``; instead of ``workers``.
                options: What makes the run durable, and how many records may be rejected: see ``RunOptions``.

            Returns:
                The result: never an ``Exception`` of a stage, which is in ``result.error``. Its counts are those of all
                attempts at a durable run together.

            Raises:
                StageTypeError: If the last stage does not give what the pipeline is annotated with.
                NotSendableError: If there are ``workers`` and a stage cannot be sent to them.
                MissingExtraError: If there are ``workers`` and ``mainstem[processes]`` is not installed.
                TypeError: If there is no such option.
                ValueError: If an option is out of range.
                RunError: If a durable run has completed, somebody works on it, or pipeline or input have changed.
                StoreError: If its store cannot be reached, or does not belong to the target.
                GuaranteeError: If its sink cannot promise what was asked for.
                BaseException: What is no ``Exception`` passes through: a cancellation, ``KeyboardInterrupt``,
                    ``SystemExit``.
            """
            self._check_output()
            context = PipelineContext() if context is None else context
            return await self._begin_run(context, Runner.or_workers(runner, workers), options).execute(data)

        def run(
            self,
            data: Any = None,
            *,
            context: PipelineContext | None = None,
            workers: int | Workers | None = None,
            runner: Runner | None = None,
            **options: Unpack[RunOptions],
        ) -> PipelineResult[Any]:
            """Do what ``execute`` does, and wait for it; for code that is not async.

            Raises:
                BlockingCallError: Inside a running event loop, where ``await pipeline.execute(...)`` is the way.
            """
            _refuse_inside_event_loop()
            results: list[PipelineResult[Any]] = []

            async def execute() -> None:
                # Not returned: asyncio's run() makes the text of its task, the result with all its records included,
                # when it puts its signal handler back (signal.signal() looks it up in an Enum).
                results.append(await self.execute(data, context=context, workers=workers, runner=runner, **options))

            anyio.run(execute, **clock.event_loop)
            return results[0]

        def stream(
            self,
            source: Any = None,
            *,
            chunk_size: int = CHUNK_SIZE,
            context: PipelineContext | None = None,
            ordered: bool = True,
            max_in_flight: int | None = None,
            bounded: bool = False,
            workers: int | Workers | None = None,
            runner: Runner | None = None,
        ) -> PipelineStream[Any]:
            """Run the stages as a stream: chunk by chunk, in bounded memory, with the answer that ``execute`` gives.

            Parts that wait (a source, an async function, a sink) run beside one another, and nothing is read before it
            is wanted. Hooks that watch stages see each chunk; ``on_complete`` is given ``None``, or the one value that
            the last stage gives. A stage that needs its whole input gathers it, and a note in its result says so.

            Args:
                source: An iterable or async iterable of records; left out when the first stage is a source. Of an
                    async iterable, a chunk holds what has arrived when it is asked for: no record waits for others.
                chunk_size: The most records in a chunk of the input.
                context: The run's context; a fresh one by default.
                ordered: Whether the output keeps the order of the input. Without, a chunk whose async calls are done
                    does not wait for those before it.
                max_in_flight: The most chunks that there may be at a time between the input and whoever takes the
                    output, at least 2; by default as many as keep all parts busy, see the stream's ``max_in_flight``.
                workers: How many processes may share the work, as for ``execute``.
                runner: Where else the same work is done, as for ``execute``.
                bounded: Refuse stages that need their whole input, before anything is read.

            Returns:
                An async iterator of the output's chunks, best used in an ``async with`` block.

            Raises:
                StageTypeError: If the last stage does not give what the pipeline is annotated with.
                NotSendableError: If there are ``workers`` and a stage cannot be sent to them.
                MissingExtraError: If there are ``workers`` and ``mainstem[processes]`` is not installed.
                UnboundedStageError: If ``bounded`` is asked for and a stage needs its whole input.
                ValueError: If ``chunk_size`` or ``max_in_flight`` is out of range.

            Example:
                >>> from mainstem import MapStage
                >>> async def main():
                ...     pipeline = Pipeline[list[int], list[str]]("texts").add_stage(MapStage(str))
                ...     async with pipeline.stream(range(5), chunk_size=2) as chunks:
                ...         async for chunk in chunks:
                ...             print(chunk)
                ...     print(chunks.result.records_in)
                >>> anyio.run(main)
                ['0', '1']
                ['2', '3']
                ['4']
                5
            """
            self._check_output()
            check_count("chunk_size", chunk_size)
            if max_in_flight is not None:
                check_count("max_in_flight", max_in_flight, least=2)
            if bounded:
                from mainstem.engine.plan import refuse_unbounded

                refuse_unbounded(self._stages, unique_names(self._stages))
            run = self._begin_run(PipelineContext() if context is None else context, Runner.or_workers(runner, workers))
            return run.stream(source, chunk_size=chunk_size, ordered=ordered, max_in_flight=max_in_flight)

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
        **options: Unpack[FunctionOptions],
    ) -> Pipeline[I, O, list[U]]: ...
    @overload
    def map(
        self: Pipeline[I, O, Iterable[T]],
        fn: Callable[[T], U],
        **options: Unpack[FunctionOptions],
    ) -> Pipeline[I, O, list[U]]: ...
    def map(self: Pipeline[Any, Any, Any], fn: Callable[[Any], Any], **options: Any) -> Any:
        """Add ``MapStage(fn, ...)``; a lambda's parameter is inferred here."""
        return self.add_stage(MapStage[Any, Any](fn, **options))

    def filter(
        self: Pipeline[I, O, Iterable[T]],
        predicate: Callable[[T], bool | Awaitable[bool]],
        **options: Unpack[FunctionOptions],
    ) -> Pipeline[I, O, list[T]]:
        """Add ``FilterStage(predicate, ...)``."""
        return self.add_stage(FilterStage[T](predicate, **options))

    def tap(
        self: Pipeline[I, O, Iterable[T]],
        fn: Callable[[T], object],
        **options: Unpack[FunctionOptions],
    ) -> Pipeline[I, O, list[T]]:
        """Add ``TapStage(fn, ...)``."""
        return self.add_stage(TapStage[T](fn, **options))

    def batch(self: Pipeline[I, O, Iterable[T]], size: int) -> Pipeline[I, O, list[list[T]]]:
        """Add ``BatchStage(size)``."""
        return self.add_stage(BatchStage[T](size))

    def limit(self: Pipeline[I, O, Iterable[T]], count: int) -> Pipeline[I, O, list[T]]:
        """Add ``LimitStage(count)``."""
        return self.add_stage(LimitStage[T](count))

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

    async def process(self, data: In_contra, context: PipelineContext) -> PipelineResult[Current_co]:
        """Run as a stage of another pipeline: a run with events of its own, which shares metadata and errors."""
        name = context.current_stage or self.name
        return await self._begin_run(context.child(name, pipeline_id=new_id())).execute(data)

    def _begin_run(
        self, context: PipelineContext, workers: Workers | None = None, options: RunOptions | None = None
    ) -> PipelineRun:
        durability = None
        if options:
            from mainstem.durable.options import durability_of  # late: most runs have none

            durability, context.reject_limit = durability_of(**options)
        from mainstem.pipeline_run import PipelineRun  # late: what runs a pipeline takes as long to import as the rest

        names, share = unique_names(self._stages), self._share
        nets = None
        if share is not None:
            nets = [RecordNet(name, hint, share) for name, hint in zip(names, self._output_hints, strict=True)]
        return PipelineRun(
            self.name,
            self._stages,
            names,
            context,
            self._hooks,
            nets,
            self._event_bus,
            self._event_source,
            workers,
            durability,
            options.get("secret_fields", ()) if options else (),
            self._output_hints,
        )

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
