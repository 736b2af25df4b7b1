"""What happens inside a worker process: a piece of a chunk goes through the stages that were sent there.

Nothing here is called in the process of the run itself. What comes back is plain data and exceptions that are known to
survive the way; the run's own process counts it and puts positions right.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import anyio

from mainstem.context import PipelineContext, StageError, StageProgress
from mainstem.engine.line import Line, StageFailed
from mainstem.errors import WorkerFunctionError, add_note_once, describe_error
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
    """

    stages: Sequence[PipelineStage[Any, Any]]
    names: Sequence[str]
    combiner: Combiner[Any, Any, Any] | None
    pipeline_id: str
    metadata: dict[str, Any]
    backend: str


@dataclass(frozen=True, slots=True)
class StageCounts:
    """What one stage did with a piece: records that came through, were filtered, failed; and milliseconds."""

    passed: int
    filtered: int
    failed: int
    duration_ms: float


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a piece.

    Attributes:
        output: The records that came out, or the accumulator of them; ``None`` if a stage failed.
        records: How many came out.
        counts: Those of each stage.
        errors: What went wrong with records, with the number of the stage; positions count from the piece's beginning.
        failed: The number of the stage that failed, that of the combiner coming after the last.
        error: Why it failed.
        spent: Seconds of work.
    """

    output: Any
    records: int
    counts: Sequence[StageCounts]
    errors: Sequence[tuple[int, StageError]]
    failed: int | None
    error: Exception | None
    spent: float


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


class Worker:
    """The stages in a worker process, which stay from piece to piece."""

    def __init__(self, errand: Errand) -> None:
        self._errand = errand
        self._context = PipelineContext(errand.pipeline_id, metadata=ReadOnlyMetadata(errand.metadata))
        self._runs = [
            StageRun(stage, name, self._context) for stage, name in zip(errand.stages, errand.names, strict=True)
        ]
        self._line = Line(self._runs, None) if self._runs else None
        self._runner = asyncio.Runner() if errand.backend == "asyncio" else None

    def work(self, records: list[Any]) -> Done:
        """Put a piece through the stages."""
        started = perf_counter()
        before = [replace(run.progress) for run in self._runs]
        context, combiner = self._context, self._errand.combiner
        output: Any = None
        came_out, failed, error = 0, None, None
        try:
            output = records if self._line is None else self._feed(self._line, records)
            came_out = len(output)
            if combiner is not None:
                failed = len(self._runs)  # should adding raise
                output = combiner.add_all(combiner.create(), output)
                failed = None
        except StageFailed as failure:
            failed, error = self._runs.index(failure.run), failure.result.error
            failure.run.succeeded, failure.run.error = True, None
        except Exception as raised:
            error = raised
        entries = [self._numbered(entry, before) for entry in context.errors]
        context.errors.clear()
        counts = [_difference(run.progress, old) for run, old in zip(self._runs, before, strict=True)]
        spent = perf_counter() - started
        return Done(output if failed is None else None, came_out, counts, entries, failed, error, spent)

    def _feed(self, line: Line, records: list[Any]) -> list[Any]:
        if self._runner is not None:
            return self._runner.run(line.feed(records))
        return anyio.run(line.feed, records, backend=self._errand.backend)

    def _numbered(self, entry: StageError, before: Sequence[StageProgress]) -> tuple[int, StageError]:
        """Say which stage an entry is of, and count its position from the beginning of the piece."""
        names = self._errand.names
        at = max(
            (at for at, name in enumerate(names) if entry.stage == name or entry.stage.startswith(f"{name}/")),
            key=lambda at: len(names[at]),
        )
        return at, moved(entry, -before[at].records_in)


def moved(entry: StageError, by: int) -> StageError:
    """Return an entry with its position moved, which its error notes as well."""
    if entry.index is None:
        return entry
    index = entry.index + by
    notes: list[str] = getattr(entry.error, "__notes__", [])
    notes[:] = [note.replace(f"at record {entry.index},", f"at record {index},") for note in notes]
    return replace(entry, index=index)


def _difference(progress: StageProgress, before: StageProgress) -> StageCounts:
    return StageCounts(
        progress.records_passed - before.records_passed,
        progress.records_filtered - before.records_filtered,
        progress.records_failed - before.records_failed,
        progress.duration_ms - before.duration_ms,
    )


_errand_bytes = b""
_worker: Worker | None = None


def start_worker(errand: bytes) -> None:
    """Begin the life of a worker process: it ends with the process that started it, and leaves Ctrl-C to that."""
    global _errand_bytes
    _errand_bytes = errand
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()


def _die_with_parent() -> None:
    """End with the parent, whichever way it ends: by the kernel's signal on Linux, and by watching it anywhere."""
    import multiprocessing
    from multiprocessing.connection import wait

    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):  # a C library without prctl: the thread below is enough for Python code
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, name="mainstem-watch-parent", daemon=True).start()


def load_errand() -> str | None:
    """Load the stages; return what went wrong, if something did."""
    global _worker
    try:
        _worker = Worker(pickle.loads(_errand_bytes))
    except Exception as error:
        return describe_error(error)
    return None


def work(piece: bytes) -> bytes:
    """Work on a piece: pickled records in, a pickled ``Done`` out."""
    if _worker is None and (problem := load_errand()) is not None:
        raise WorkerFunctionError(problem)
    assert _worker is not None
    done = _worker.work(pickle.loads(piece))
    if done.error is not None:
        trace = "".join(traceback.format_exception(done.error)).rstrip()
        add_note_once(done.error, f"raised in a worker process:\n{trace}")
    sendable = _Sendable()
    done = replace(
        done,
        error=None if done.error is None else sendable(done.error),
        errors=[(at, replace(entry, error=sendable(entry.error))) for at, entry in done.errors],
    )
    try:
        return pickle.dumps(done, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        refusal = WorkerFunctionError(
            f"what the stages gave for these records cannot be sent back from a worker process "
            f"({describe_error(error)}): give plain data, or run without workers"
        )
        return pickle.dumps(replace(done, output=None, errors=[], failed=max(0, len(done.counts) - 1), error=refusal))


class _Sendable:
    """Makes of each error one that survives being sent to another process, and of the same error the same one."""

    def __init__(self) -> None:
        self._substitutes: dict[int, Exception] = {}

    def __call__(self, error: Exception) -> Exception:
        if id(error) in self._substitutes:
            return self._substitutes[id(error)]
        try:
            sent = pickle.loads(pickle.dumps(error))
            if type(sent) is type(error) and str(sent) == str(error):
                return error
        except Exception:
            pass  # what is wrong with the error is not what the user wants to know: its type and text are kept
        substitute = WorkerFunctionError(describe_error(error))
        for note in getattr(error, "__notes__", ()):
            substitute.add_note(note)
        self._substitutes[id(error)] = substitute
        return substitute
