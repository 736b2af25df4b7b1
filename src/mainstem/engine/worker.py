"""What happens inside a worker process: a piece of a chunk goes through the stages that were sent there.

Nothing here is called in the process of the run itself. What comes back is plain data, and exceptions that are known to
survive the way; the run's own process counts it and puts positions right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import datetime
from time import perf_counter
from typing import Any, Self

import anyio

from mainstem.context import PipelineContext, StageError, StageProgress, context_of_run
from mainstem.engine.line import Line, StageFailed
from mainstem.engine.piece_observers import PieceObservers
from mainstem.engine.sent_error import ErrorPacker, SentError
from mainstem.result import CompositeResult, StageResult
from mainstem.stage import PipelineStage
from mainstem.stage_run import StageRun
from mainstem.stages.combiner import Combiner


@dataclass(frozen=True, slots=True)
class Errand:
    """What the workers of one section of a pipeline are to do.

    Attributes:
        stages: The stages, all elementwise.
        names: Their names in reports.
        combiner: What their output is added up with, if it is.
        pipeline_id: The run's identity.
        metadata: The run's metadata at its start.
        backend: The event loop of the run: stages are async.
        combiner_name: The name of the combiner's stage in reports.
        observers: What observes the work on each piece, each packed by itself: see ``RunObserver.for_workers``.
    """

    stages: Sequence[PipelineStage[Any, Any]]
    names: Sequence[str]
    combiner: Combiner[Any, Any, Any] | None
    pipeline_id: str
    metadata: dict[str, Any]
    backend: str
    combiner_name: str | None = None
    observers: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class StageCounts:
    """What one stage did with a piece: records that came through, were filtered, failed; and milliseconds.

    ``parts`` are the results of the stages within it, if it is made of stages, and ``errors`` says, by their path, why
    some of them failed.
    """

    passed: int
    filtered: int
    failed: int
    duration_ms: float
    retry_ms: float
    notes: tuple[str, ...]
    parts: Mapping[str, StageResult[Any]] | None
    errors: Mapping[tuple[str, ...], int]


@dataclass(frozen=True, slots=True)
class SentEntry:
    """One of the context's errors, as in ``StageError``.

    ``index`` counts the input of stage number ``at_stage`` in this worker, ``first`` being the first of the piece.
    """

    at_stage: int
    error: int
    stage: str
    record: Any
    index: int | None
    first: int
    at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a piece.

    Attributes:
        records: How many came out.
        counts: What each stage did, and the combiner after them; ``None`` for one that had nothing to do.
        entries: What went wrong with records.
        failed: The number of the stage that failed, that of the combiner coming after the last.
        error: Why it failed; or what was raised that is no ``Exception``, and then no stage failed.
        errors: The exceptions, by the numbers above.
        seconds: How long it took.
    """

    records: int
    counts: Sequence[StageCounts | None]
    entries: Sequence[SentEntry]
    failed: int | None
    error: int | None
    errors: Sequence[SentError]
    seconds: float


class ReadOnlyMetadata(dict[str, Any]):
    """The run's metadata as functions in a worker see it: what they wrote there would be lost."""

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "a function in a worker process cannot change context.metadata: nobody would see it; "
            "give the value on with the record, or run without workers"
        )

    __setitem__: Any = _refuse
    __delitem__: Any = _refuse
    __ior__: Any = _refuse
    update: Any = _refuse
    setdefault: Any = _refuse
    pop: Any = _refuse
    popitem: Any = _refuse
    clear: Any = _refuse


class _Entries(list[StageError]):
    """The context's errors, each with the name of the stage that was running when it was added."""

    def __init__(self, context: PipelineContext) -> None:
        super().__init__()
        self._context = context
        self.running: list[str | None] = []

    def append(self, entry: StageError, /) -> None:
        self.extend((entry,))

    def extend(self, entries: Iterable[StageError], /) -> None:
        super().extend(entries)
        self.running += [self._context.current_stage] * (len(self) - len(self.running))

    def __iadd__(self, entries: Iterable[StageError], /) -> Self:  # type: ignore[misc, override]  # as with any list
        self.extend(entries)
        return self

    def clear(self) -> None:
        super().clear()
        self.running.clear()


class Worker:
    """The stages in a worker process, which stay from piece to piece.

    Args:
        errand: What it is to do.
    """

    def __init__(self, errand: Errand) -> None:
        self._errand = errand
        self._context = PipelineContext(errand.pipeline_id, metadata=ReadOnlyMetadata(errand.metadata))
        self._context.errors = self._entries = _Entries(self._context)
        self._runs = [
            StageRun(stage, name, self._context) for stage, name in zip(errand.stages, errand.names, strict=True)
        ]
        self._line = Line(self._runs, None) if self._runs else None
        names = [*errand.names, *([] if errand.combiner_name is None else [errand.combiner_name])]
        self._observers = PieceObservers(errand.observers, names) if errand.observers else None
        self._runner = asyncio.Runner() if errand.backend == "asyncio" else None

    def close(self) -> None:
        """Close the event loop."""
        if self._runner is not None:
            self._runner.close()

    def work(self, records: list[Any]) -> tuple[Any, Done]:
        """Put a piece through the stages.

        Returns:
            The records that came out, or the accumulator of them, ``None`` if a stage failed; and all the rest.
        """
        if self._observers is None:
            return self._work(records)
        with self._observers.around(len(records)):
            return self._work(records)

    def _work(self, records: list[Any]) -> tuple[Any, Done]:
        started = perf_counter()
        before = [replace(run.progress) for run in self._runs]
        for run in self._runs:
            run.feeds, run.notes, run.parts = 0, (), None
        self._context.chunk_start = before[0].records_in if before else 0
        self._entries.clear()
        output: Any = None
        error: BaseException | None = None
        came_out, failed, added = 0, None, None
        try:
            output = self._feed(records)
            came_out = len(output)
            if self._errand.combiner is not None:
                failed, combining = len(self._runs), perf_counter()
                output = self._combine(self._errand.combiner, output)
                failed, added = None, _combined(came_out, perf_counter() - combining)
        except StageFailed as failure:
            failed, error = self._runs.index(failure.run), failure.result.error
            failure.run.succeeded, failure.run.error = True, None
        except BaseException as raised:
            error = raised
            failed = (0 if failed is None else failed) if isinstance(raised, Exception) else None
        packer = ErrorPacker()
        counts = [
            _counted(run, old, packer) if run.feeds else None for run, old in zip(self._runs, before, strict=True)
        ]
        done = Done(
            came_out,
            [*counts, added],
            [self._entry(at, before, packer) for at in range(len(self._entries))],
            failed,
            None if error is None else packer.add(error),
            packer.sent(),
            perf_counter() - started,
        )
        return None if error is not None else output, done

    def _feed(self, records: list[Any]) -> list[Any]:
        if self._line is None:
            return records
        if self._runner is not None:
            # The runner keeps a context of its own from its first piece on, without what observes this one has set.
            context = None if self._observers is None else copy_context()
            return self._runner.run(self._line.feed(records), context=context)
        return anyio.run(self._line.feed, records, backend=self._errand.backend)

    def _combine(self, combiner: Combiner[Any, Any, Any], records: list[Any]) -> Any:
        self._context.current_stage = self._errand.combiner_name
        with context_of_run(self._context):
            return combiner.add_all(combiner.create(), records)

    def _entry(self, at: int, before: Sequence[StageProgress], packer: ErrorPacker) -> SentEntry:
        entry, running, names = self._entries[at], self._entries.running[at], [*self._errand.names]
        if self._errand.combiner_name is not None:
            names.append(self._errand.combiner_name)
        number = names.index(running) if running in names else 0
        first = before[number].records_in if number < len(before) else 0
        error = packer.add(entry.error)
        return SentEntry(number, error, entry.stage, entry.record, entry.index, first, entry.at, entry.attempts)


def _combined(records: int, seconds: float) -> StageCounts:
    return StageCounts(records, 0, 0, seconds * 1000, 0.0, (), None, {})


def _counted(run: StageRun, before: StageProgress, packer: ErrorPacker) -> StageCounts:
    progress = run.progress
    errors: dict[tuple[str, ...], int] = {}
    return StageCounts(
        progress.records_passed - before.records_passed,
        progress.records_filtered - before.records_filtered,
        progress.records_failed - before.records_failed,
        progress.duration_ms - before.duration_ms,
        progress.retry_ms - before.retry_ms,
        run.notes,
        None if run.parts is None else _without_errors(run.parts, (), errors, packer),
        errors,
    )


def _without_errors(
    parts: Mapping[str, StageResult[Any]],
    path: tuple[str, ...],
    errors: dict[tuple[str, ...], int],
    packer: ErrorPacker,
) -> dict[str, StageResult[Any]]:
    """Return results without their data and their errors, which go another way."""
    stripped: dict[str, StageResult[Any]] = {}
    for name, result in parts.items():
        if result.error is not None:
            errors[(*path, name)] = packer.add(result.error)
        stripped[name] = replace(result, data=None, error=None)
        if isinstance(result, CompositeResult):
            inner = _without_errors(result.stage_results, (*path, name), errors, packer)
            stripped[name] = replace(result, data=None, error=None, stage_results=inner)
    return stripped
