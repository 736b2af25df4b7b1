"""Observers of a run: what an ``on_run`` hook returns, to be told of the chunks, the stages and the end of one run.

Unlike ``before_stage`` and ``after_stage`` they are not shown the data, so they change nothing about how a run is
carried out: neighbouring stages share chunks, and go to worker processes, as they do without. They observe: one that
raises is logged and recorded in ``context.errors``, is told nothing more but the end, and the run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
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


Observer: TypeAlias = "tuple[RunHook, RunObserver]"
"""An observer, after the hook that it is from."""
_NOTHING: AbstractContextManager[object] = nullcontext()


class ObservedRun:
    """The observers of one run, of which none can harm it.

    Args:
        context: The run's context.
        name: The pipeline's name.
    """

    def __init__(self, context: PipelineContext, name: str) -> None:
        self._context, self._name = context, name
        self._observers: tuple[Observer, ...] = ()
        self._of_chunks: tuple[Observer, ...] = ()
        """Those of them that have something to do with chunks."""
        self._dropped: tuple[Observer, ...] = ()
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
                    self._keep((*self._observers, (hook, observer)))
        return bool(self._observers)

    def _keep(self, observers: tuple[Observer, ...]) -> None:
        by_base: Any = RunObserver.around_chunk
        self._observers = observers
        self._of_chunks = tuple(pair for pair in observers if type(pair[1]).around_chunk is not by_base)

    def around_stage(self, stage: str) -> AbstractContextManager[object]:
        """Return what to enter around all work of a stage."""
        around: AbstractContextManager[object] = _NOTHING
        for pair in self._observers:
            try:
                found = pair[1].around_stage(stage)
            except Exception as error:
                self.drop(pair, error)
            else:
                around = around if found is None else _Around(self, pair, found, around)
        return around

    def around_chunk(self, stages: Sequence[str], records: int | None) -> AbstractContextManager[object]:
        """Return what to enter around the work of some stages on a chunk."""
        around: AbstractContextManager[object] = _NOTHING
        for pair in self._of_chunks:
            try:
                found = pair[1].around_chunk(stages, records)
            except Exception as error:
                self.drop(pair, error)
            else:
                around = around if found is None else _Around(self, pair, found, around)
        return around

    def stage_completed(self, stage: str) -> None:
        """Tell that a stage has completed."""
        for pair in self._observers:
            try:
                pair[1].stage_completed(stage)
            except Exception as error:
                self.drop(pair, error)

    def for_workers(self, stages: Sequence[str]) -> tuple[bytes, ...]:
        """Return the observers of the work in other processes, packed: one that cannot be sent is no reason to fail."""
        packed: list[bytes] = []
        for pair in self._observers:
            try:
                observer = pair[1].for_workers(stages)
                if observer is not None:
                    packed.append(import_module("cloudpickle").dumps(observer))
            except Exception as error:
                self.drop(pair, error)
        return tuple(packed)

    def end(self, end: RunEnd) -> None:
        """Tell that the run has ended, once."""
        observers = (*self._observers, *self._dropped)
        self._keep(())
        self._dropped = ()
        for pair in observers:
            try:
                pair[1].end(end)
            except Exception as error:
                self.drop(pair, error)

    def drop(self, pair: Observer, error: Exception) -> None:
        """Report what an observer raised, and tell it nothing more but the end."""
        if any(each is pair for each in self._observers):
            self._keep(tuple(each for each in self._observers if each is not pair))
            self._dropped = (*self._dropped, pair)
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
        self._context.record_error(report, stage=self._context.current_stage or self._name)


class _Around:
    """Enters what an observer has for some work, after what those before it have, and leaves it before theirs.

    It is made for every chunk, so it holds no list and calls nothing that it need not call.
    """

    __slots__ = ("_around", "_observer", "_outer", "_run")

    def __init__(
        self,
        run: ObservedRun,
        observer: Observer,
        around: AbstractContextManager[object],
        outer: AbstractContextManager[object],
    ) -> None:
        self._run, self._observer, self._around, self._outer = run, observer, around, outer

    def __enter__(self) -> None:
        if self._outer is not _NOTHING:
            self._outer.__enter__()
        try:
            self._around.__enter__()
        except Exception as error:
            self._around = _NOTHING
            self._run.drop(self._observer, error)

    def __exit__(self, *raised: Any) -> None:
        try:
            self._around.__exit__(*raised)
        except Exception as error:
            if error is not raised[1]:
                self._run.drop(self._observer, error)
        if self._outer is not _NOTHING:
            self._outer.__exit__(*raised)
