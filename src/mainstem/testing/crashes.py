"""``survives_crashes``: does a pipeline of yours lose nothing, and double nothing, when it is killed?"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, TypeAlias, cast

from mainstem.durable.options import Place
from mainstem.errors import RunCompletedError, describe_error
from mainstem.faults import kill_at, watch_faults
from mainstem.pipeline import Pipeline
from mainstem.result import PipelineResult
from mainstem.testing.crash_content import Content, content_of, differences

Make: TypeAlias = Callable[[Path], Pipeline[Any, Any, Any]]
Read: TypeAlias = Callable[[Path], Iterable[Any]]

ATTEMPT_SECONDS = 60.0
"""How long an attempt may take at least; one of a slow pipeline, ten times as long as undisturbed."""
_NEEDED = ("anyio._backends._asyncio", "asyncio", "mainstem.durable.run", "mainstem.pipeline_run", "mainstem.connect")
_RUN_ID = "crash"
_UNDISTURBED = "undisturbed"


class CrashTestFailed(AssertionError):  # noqa: N818 - read as the failed assertion that it is
    """A pipeline lost or doubled something when it was killed, or cannot be tested."""


@dataclass(slots=True)
class CrashReport:
    """What ``survives_crashes`` did.

    Attributes:
        kills: How often a process was killed.
        points: The named points it was killed at.
        runs: How many runs were brought to their end.
        records: How many records a run loads.
        seed: What the random kills were drawn with.
    """

    kills: int = 0
    points: set[str] = field(default_factory=lambda: set[str]())
    runs: int = 0
    records: int = 0
    seed: int = 0


def survives_crashes(
    make: Make,
    read: Read,
    *,
    data: Any = None,
    kills: int = 20,
    points: bool = True,
    seed: int | None = None,
    store: Callable[[Path], Place] | None = None,
    folder: Callable[[], Any] = TemporaryDirectory,
    commit_every: int = 100,
    workers: int | None = None,
) -> CrashReport:
    """Kill a pipeline with SIGKILL, at every step between two commits and at random, and see that nothing is lost.

    It is run once undisturbed. Then each run is killed, resumed and killed again in processes of its own until it is
    done, and must have loaded the same records, kept the same rejects and counted the same: as sets, with doubles.

    Not for pipelines of frames: the threads of Polars are not there in a forked process, where its first call hangs.

    Args:
        make: Makes the pipeline, whose target lies in the folder it is given. It is called in forked processes, so any
            function will do.
        read: Returns the records that are in the target, each with a ``repr`` of its own.
        data: The input, if the pipeline does not begin with a source.
        kills: How many random kills there are to be, at least.
        points: Whether to kill it at each named point first, on the first batch, a middle one and the last.
        seed: What random kills are drawn with, as shares of the time a run takes; a new one by default.
        store: Where the store of a run is, given the run's folder; a SQLite file in that by default.
        folder: Makes a folder for each run, and removes it: a context manager.
        commit_every: How many records of the input make a batch: few, so that there are many places to be killed at.
        workers: How many worker processes to use.

    Raises:
        CrashTestFailed: If something was lost or doubled; it says what, and how to repeat it. And if the test would
            prove nothing: where ``make``, ``read`` or an undisturbed run fails, nothing is loaded, two undisturbed runs
            do not load the same, or ``read`` finds records in a new folder.

    Example:
        >>> import csv
        >>> from mainstem import LoadReport
        >>> from mainstem.connect import CsvSink
        >>> def as_record(number: int) -> dict[str, int]:
        ...     return {"number": number}
        >>> def make(folder: Path) -> Pipeline[list[int], LoadReport, LoadReport]:
        ...     return Pipeline[list[int], LoadReport]("numbers").map(as_record).add_stage(CsvSink(folder / "out.csv"))
        >>> def read(folder: Path) -> list[dict[str, str]]:
        ...     with (folder / "out.csv").open(newline="") as file:
        ...         return list(csv.DictReader(file))
        >>> survives_crashes(make, read, data=list(range(500)), kills=2, points=False).records
        500
    """
    seed = random.randrange(2**32) if seed is None else seed
    test = CrashTest(make, read, data, store, folder, commit_every, workers, seed)
    expected = test.undisturbed()
    if points:
        for name, occurrence in test.points():
            test.kill_at_point(name, occurrence, expected)
    target = test.report.kills + kills
    while test.report.kills < target:
        test.kill_at_random(expected, target - test.report.kills)
    return test.report


class CrashTest:
    """The steps of ``survives_crashes``; see there for the arguments."""

    def __init__(
        self,
        make: Make,
        read: Read,
        data: Any,
        store: Callable[[Path], Place] | None,
        folder: Callable[[], Any],
        commit_every: int,
        workers: int | None,
        seed: int,
    ) -> None:
        self._make, self._read, self._data, self._folder = make, read, data, folder
        self._store = store or _store_in
        self._options: dict[str, Any] = {"commit_every": commit_every, "workers": workers}
        self._random = random.Random(seed)
        # Forked, so that what this process has imported need not be imported for each kill; it must have no threads.
        self._processes = multiprocessing.get_context("fork")
        for module in _NEEDED:
            import_module(module)
        self.report = CrashReport(seed=seed)
        self._passed: list[str] = []
        self._seconds = inf

    def undisturbed(self) -> Content:
        """Run twice without a kill, and see what is loaded, which points there are, and how long it takes.

        Raises:
            CrashTestFailed: If there is nothing to test with.
        """
        first, second = self._run_undisturbed(), self._run_undisturbed()
        problems = list(differences(first, second))
        if problems:
            raise self._failed(_UNDISTURBED, "a second run does not load what the first one did:", *problems)
        if not first.rows:
            raise self._failed(_UNDISTURBED, "read() finds no record after the run: does the pipeline end in a sink?")
        with self._folder() as place:
            try:
                found = len(list(self._read(Path(place))))
            except Exception:
                found = 0  # where nothing was loaded there need be nothing that can be read
        if found:
            raise self._failed(
                _UNDISTURBED,
                f"read() finds {found:,} records in a folder that nothing was loaded into: the target of make(folder) "
                "must lie in that folder, and read(folder) must read it there",
            )
        self.report.records = first.rows.total()
        return first

    def _run_undisturbed(self) -> Content:
        with self._folder() as place:
            folder = Path(place)
            pipe, sent = self._processes.Pipe(duplex=False)
            began = monotonic()
            process = self._start(folder, None, sent)
            sent.close()  # so that a process that ends without a word is noticed
            with pipe, suppress(EOFError):
                self._passed = pipe.recv()
            process.join()
            self._seconds = min(self._seconds, monotonic() - began)
            self._check_end(process, _UNDISTURBED, folder)
            return self._content(folder, _UNDISTURBED)

    def points(self) -> Iterator[tuple[str, int]]:
        """Give each point that a run passes, with the first, a middle and the last time it does."""
        for name, times in Counter(self._passed).items():
            for occurrence in sorted({1, (times + 1) // 2, times}):
                yield name, occurrence

    def kill_at_point(self, name: str, occurrence: int, expected: Content) -> None:
        """Kill a run at a point, and again at a later one of its next attempt, and bring it to its end."""
        self.report.points.add(name)
        history = f"killed at {name!r}, time {occurrence}, and again when it was resumed"
        with self._folder() as place:
            folder = Path(place)
            for at in ((name, occurrence), (name, 1)):
                process = self._start(folder, at)
                self._wait(process, history)
                if process.exitcode == -signal.SIGKILL:
                    self.report.kills += 1
                else:  # it does not come by there again
                    self._check_end(process, history, folder)
            self._finish(folder, expected, history)

    def kill_at_random(self, expected: Content, most: int) -> None:
        """Kill a run at random times until it gets to its end."""
        times: list[float] = []
        with self._folder() as place:
            folder = Path(place)
            history = ""
            while len(times) < most:
                began = monotonic()
                process = self._start(folder, None)
                times.append(self._random.random() * max(0.02, self._seconds))
                process.join(times[-1])
                history = f"killed at random after {', '.join(f'{each:.3f}' for each in times)} s"
                if process.exitcode is not None:
                    self._check_end(process, history, folder)
                    if len(times) == 1:  # a whole run, and perhaps on a machine less busy than when it was measured
                        self._seconds = min(self._seconds, monotonic() - began)
                    break
                process.kill()
                process.join()
                self.report.kills += 1
            self._finish(folder, expected, history)

    def _start(self, folder: Path, at: tuple[str, int] | None, passed: Any = None) -> Any:
        process = self._processes.Process(target=self._attempt, args=(folder, at, passed))
        process.start()
        return process

    def _attempt(self, folder: Path, at: tuple[str, int] | None, passed: Any) -> None:
        """Run the pipeline in this process, which is one of its own."""
        points: list[str] = []
        watch_faults(points.append if passed is not None else None)
        if at is not None:
            kill_at(*at)
        try:
            error = self._run(folder)
        except RunCompletedError as completed:
            error = completed if passed is not None else None
        except Exception as raised:
            error = raised
        if passed is not None:
            passed.send(points)
        if error is not None:
            (folder / "error").write_text(_in_words(error))
        os._exit(0 if error is None else 1)

    def _run(self, folder: Path) -> BaseException | None:
        try:
            pipeline = self._make(folder)
        except Exception as error:
            raise CrashTestFailed(f"make() failed: {describe_error(error)}") from error
        if not isinstance(cast("object", pipeline), Pipeline):
            raise CrashTestFailed(f"make() must return a Pipeline, and returned {pipeline!r:.200}")
        result: PipelineResult[Any] = pipeline.run(
            self._data, store=self._store(folder), run_id=_RUN_ID, **self._options
        )
        return result.error

    def _wait(self, process: Any, history: str) -> None:
        seconds = max(ATTEMPT_SECONDS, 10 * self._seconds)
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise self._failed(history, f"the run had not come to its end after {seconds:.0f} s")

    def _finish(self, folder: Path, expected: Content, history: str) -> None:
        process = self._start(folder, None)
        self._wait(process, history)
        self._check_end(process, history, folder)
        self.report.runs += 1
        problems = list(differences(expected, self._content(folder, history)))
        if problems:
            raise self._failed(history, *problems)

    def _check_end(self, process: Any, history: str, folder: Path) -> None:
        if process.exitcode == 0:
            return
        error = folder / "error"
        raise self._failed(
            history, error.read_text() if error.exists() else f"the process ended with {process.exitcode}"
        )

    def _failed(self, history: str, *problems: str) -> CrashTestFailed:
        repeat = [] if history == _UNDISTURBED else [f"to repeat it: survives_crashes(..., seed={self.report.seed})"]
        return CrashTestFailed("\n".join([f"{history}:", *problems, *repeat]))

    def _content(self, folder: Path, history: str) -> Content:
        try:
            rows = Counter(map(repr, self._read(folder)))
        except Exception as error:
            raise self._failed(history, f"read() failed: {describe_error(error)}") from error
        return content_of(self._store(folder), _RUN_ID, rows)


def _in_words(error: BaseException) -> str:
    if isinstance(error, CrashTestFailed):
        return str(error)
    return "\n".join([f"the run did not come to its end: {describe_error(error)}", *getattr(error, "__notes__", [])])


def _store_in(folder: Path) -> Place:
    return folder / "crash-store.db"
