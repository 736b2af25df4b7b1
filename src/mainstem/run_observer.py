"""Observers of a run: what an ``on_run`` hook returns, to be told of the chunks, the stages and the end of one run.

Unlike ``before_stage`` and ``after_stage`` they are not shown the data, so they change nothing about how a run is
carried out: neighbouring stages share chunks, and go to worker processes, as they do without. They observe: one that
raises is logged and recorded in ``context.errors``, is told nothing more but the end, and the run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, TypeAlias

from mainstem.context import PipelineContext
from mainstem.errors import ObserverError, StopPipeline, describe_error
from mainstem.events import describe_observer
from mainstem.result import PipelineResult

RunStatus: TypeAlias = Literal["completed", "failed", "cancelled"]
"""How a run ended."""

WorkerObserver: TypeAlias = Callable[[Sequence[str], int], "AbstractContextManager[object] | None"]
"""Called in a worker process or Ray task for each piece, with the names of its stages and the number of its records;
what it returns is entered around the work. It is sent there, so it must be possible to pickle it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStart:
    """A run that begins.

    Attributes:
        pipeline: The pipeline's name.
        stages: Its stages, in order.
        names: Their names in reports.
        hints: What each of them gives, as far as annotations say.
        context: The run's context, whose ``progress`` can be read from any thread while the run goes on.
        run_id: The name of a durable run; ``None`` of any other.
        streams: Whether it hands its output on chunk by chunk.
    """

    pipeline: str
    stages: tuple[Any, ...]
    names: tuple[str, ...]
    hints: tuple[Any, ...]
    context: PipelineContext
    run_id: str | None = None
    streams: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """The end of a run.

    Attributes:
        status: How it ended.
        error: Why, if it did not complete.
        result: Its result; ``None`` if it was cancelled.
        duration_ms: How long it took.
    """

    status: RunStatus
    error: BaseException | None
    result: PipelineResult[Any] | None
    duration_ms: float


class RunObserver:
    """Base of what an ``on_run`` hook returns: override what is of interest. It belongs to one run.

    All methods are called in the run's event loop and hold it up, so they return at once. None is called for each
    record.

    Example:
        >>> from mainstem import MapStage, Pipeline
        >>> class Announce(RunObserver):
        ...     def end(self, end):
        ...         print(end.status)
        >>> pipeline = Pipeline[list[int], list[str]]("texts").add_stage(MapStage(str))
        >>> hook = pipeline.on_run(lambda start: Announce())
        >>> pipeline.run([1, 2]).data
        completed
        ['1', '2']
    """

    def around_stage(self, stage: str) -> AbstractContextManager[object] | None:
        """Return what to enter around all work of a stage whose calls overlap from one chunk to the next."""

    def around_chunk(self, stages: Sequence[str], records: int | None) -> AbstractContextManager[object] | None:
        """Return what to enter around the work on a chunk: of one stage, or of several that share a loop.

        Args:
            stages: The names of the stages.
            records: How many records they are given; 0 where a stage begins or ends without any, ``None`` where that
                cannot be told yet, as of a source that reads.
        """

    def stage_completed(self, stage: str) -> None:
        """Take note that a stage has had all its input and succeeded."""

    def for_workers(self, stages: Sequence[str]) -> WorkerObserver | None:
        """Return what observes the work of some stages in worker processes and Ray tasks."""

    def failed(self, error: Exception) -> bool:
        """Take note that another method, or what it returned, raised an error; after that only ``end`` is called.

        Returns:
            Whether that is seen to; else it is logged and recorded in ``context.errors``.
        """
        return False

    def end(self, end: RunEnd) -> None:
        """Take note that the run has ended. Called once, and last."""


RunHook: TypeAlias = Callable[[RunStart], "RunObserver | None"]
"""An ``on_run`` hook: is called when a run begins, and may return what observes it."""


class ObservedRun:
    """The observers of one run, of which none can harm it.

    Args:
        context: The run's context.
    """

    def __init__(self, context: PipelineContext) -> None:
        self._context = context
        self._observers: list[tuple[RunHook, RunObserver]] = []
        self._dropped: list[tuple[RunHook, RunObserver]] = []
        """Those that raised, and are told of the end only: they may have something to close."""

    def begin(self, hooks: Sequence[RunHook], start: RunStart) -> bool:
        """Call the hooks, and say whether one of them observes the run.

        Raises:
            StopPipeline: If a hook raised it; hooks after that one are not called.
        """
        for hook in hooks:
            try:
                observer = hook(start)
                if observer is not None and not isinstance(observer, RunObserver):  # pyright: ignore[reportUnnecessaryIsInstance]  # users err
                    raise TypeError(f"it returned {type(observer).__name__}, which is no RunObserver")
            except StopPipeline:
                raise
            except Exception as error:
                self._report(hook, error)
            else:
                if observer is not None:
                    self._observers.append((hook, observer))
        return bool(self._observers)

    def around_stage(self, stage: str) -> AbstractContextManager[object]:
        """Return what to enter around all work of a stage."""
        return _Around(self, lambda observer: observer.around_stage(stage))

    def around_chunk(self, stages: Sequence[str], records: int | None) -> AbstractContextManager[object]:
        """Return what to enter around the work of some stages on a chunk."""
        return _Around(self, lambda observer: observer.around_chunk(stages, records))

    def stage_completed(self, stage: str) -> None:
        """Tell that a stage has completed."""
        for pair in tuple(self._observers):
            try:
                pair[1].stage_completed(stage)
            except Exception as error:
                self.drop(pair, error)

    def for_workers(self, stages: Sequence[str]) -> tuple[bytes, ...]:
        """Return the observers of the work in other processes, packed: one that cannot be sent is no reason to fail."""
        packed: list[bytes] = []
        for pair in tuple(self._observers):
            try:
                observer = pair[1].for_workers(stages)
                if observer is not None:
                    packed.append(import_module("cloudpickle").dumps(observer))
            except Exception as error:
                self.drop(pair, error)
        return tuple(packed)

    def end(self, end: RunEnd) -> None:
        """Tell that the run has ended, once."""
        observers = [*self._observers, *self._dropped]
        self._observers, self._dropped = [], []
        for pair in observers:
            try:
                pair[1].end(end)
            except Exception as error:
                self.drop(pair, error)

    @property
    def observers(self) -> tuple[tuple[RunHook, RunObserver], ...]:
        """Those that are still told."""
        return tuple(self._observers)

    def drop(self, pair: tuple[RunHook, RunObserver], error: Exception) -> None:
        """Report what an observer raised, and tell it nothing more but the end."""
        if pair in self._observers:
            self._observers.remove(pair)
            self._dropped.append(pair)
        hook, observer = pair
        try:
            if observer.failed(error):
                return
        except Exception as another:
            error = another
        self._report(hook, error)

    def _report(self, hook: RunHook, error: Exception) -> None:
        report = ObserverError(f"hook {describe_observer(hook)} failed: {describe_error(error)}")
        report.__cause__ = error
        from logging import getLogger  # late: it would be a tenth of what importing mainstem takes

        getLogger("mainstem.hooks").error("%s", report, exc_info=error)
        self._context.record_error(report, stage=self._context.current_stage or "")


class _Around:
    """Enters what each observer has for some work, and leaves it in reverse."""

    __slots__ = ("_entered", "_find", "_run")

    def __init__(self, run: ObservedRun, find: Callable[[RunObserver], AbstractContextManager[object] | None]) -> None:
        self._run, self._find = run, find

    def __enter__(self) -> None:
        self._entered: list[tuple[tuple[RunHook, RunObserver], AbstractContextManager[object]]] = []
        for pair in self._run.observers:
            try:
                around = self._find(pair[1])
                if around is not None:
                    around.__enter__()
                    self._entered.append((pair, around))
            except Exception as error:
                self._run.drop(pair, error)

    def __exit__(self, *raised: Any) -> None:
        for pair, around in reversed(self._entered):
            try:
                around.__exit__(*raised)
            except Exception as error:
                if error is not raised[1]:
                    self._run.drop(pair, error)
