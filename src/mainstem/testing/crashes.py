"""``survives_crashes``: does a pipeline of yours lose nothing, and double nothing, when it is killed?"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, TypeAlias

from mainstem.durable.options import Place
from mainstem.errors import RunCompletedError, describe_error
from mainstem.faults import kill_at, watch_faults
from mainstem.pipeline import Pipeline
from mainstem.store.model import RejectQuery
from mainstem.store.open import open_store

Make: TypeAlias = Callable[[Path], Pipeline[Any, Any, Any]]
Read: TypeAlias = Callable[[Path], Iterable[Any]]

ATTEMPT_SECONDS = 60.0
_NEEDED = ("anyio._backends._asyncio", "asyncio", "mainstem.durable.run", "mainstem.pipeline_run", "mainstem.connect")
_RUN_ID = "crash"


class CrashTestFailed(AssertionError):  # noqa: N818 - read as the failed assertion that it is
    """A pipeline lost or doubled something when it was killed."""


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


@dataclass(frozen=True, slots=True)
class Content:
    """What is there after a run: rows, rejects and counts, each as often as it is there."""

    rows: Counter[str]
    rejects: Counter[str]
    counts: Mapping[str, tuple[int, ...]]


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

    Args:
        make: Makes the pipeline, whose target lies in the folder it is given. Any function that can be imported.
        read: Returns the records that are in the target, each with a ``repr`` of its own.
        data: The input, if the pipeline does not begin with a source.
        kills: How many random kills there are to be, at least.
        points: Whether to kill it at each named point first, on the first batch, a middle one and the last.
        seed: What random kills are drawn with; a new one by default.
        store: Where the store of a run is, given the run's folder; a SQLite file in that by default.
        folder: Makes a folder for each run, and removes it: a context manager.
        commit_every: How many records of the input make a batch: few, so that there are many places to be killed at.
        workers: How many worker processes to use.

    Raises:
        CrashTestFailed: If something was lost or doubled; it says what, and how to repeat it.

    Example:
        >>> import csv
        >>> from mainstem import LoadReport
        >>> from mainstem.connect import CsvSink, CsvSource
        >>> def make(folder: Path) -> Pipeline[list[int], LoadReport, LoadReport]:
        ...     as_record = lambda number: {"number": str(number)}
        ...     return Pipeline[list[int], LoadReport]("numbers").map(as_record).add_stage(CsvSink(folder / "out.csv"))
        >>> def read(folder: Path) -> list[list[str]]:
        ...     with (folder / "out.csv").open(newline="") as file:
        ...         return list(csv.reader(file))
        >>> report = survives_crashes(make, read, data=list(range(500)), kills=3)  # doctest: +SKIP
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
        self._seconds = 0.0

    def undisturbed(self) -> Content:
        """Run once without a kill, and see which points there are, and how long it takes."""
        with self._folder() as place:
            folder = Path(place)
            pipe, sent = self._processes.Pipe(duplex=False)
            began = monotonic()
            process = self._start(folder, None, sent)
            self._passed = pipe.recv()
            process.join()
            self._seconds = monotonic() - began
            pipe.close()
            self._check_end(process, "undisturbed", folder)
            content = self._content(folder)
            self.report.records = content.rows.total()
            return content

    def points(self) -> Iterator[tuple[str, int]]:
        """Give each point that a run passes, with the first, a middle and the last time it does."""
        for name, times in Counter(self._passed).items():
            for occurrence in sorted({1, (times + 1) // 2, times}):
                yield name, occurrence

    def kill_at_point(self, name: str, occurrence: int, expected: Content) -> None:
        """Kill a run at a point, and again at a later one of its next attempt, and bring it to its end."""
        self.report.points.add(name)
        with self._folder() as place:
            folder = Path(place)
            for at in ((name, occurrence), (name, 1)):
                process = self._start(folder, at)
                process.join()
                self.report.kills += process.exitcode == -signal.SIGKILL
            self._finish(folder, expected, f"killed at {name!r}, time {occurrence}, and again when it was resumed")

    def kill_at_random(self, expected: Content, most: int) -> None:
        """Kill a run at random times until it gets to its end."""
        times: list[float] = []
        with self._folder() as place:
            folder = Path(place)
            while len(times) < most:
                process = self._start(folder, None)
                times.append(self._random.uniform(0.0, max(0.02, self._seconds)))
                process.join(times[-1])
                if process.exitcode is not None:
                    break
                process.kill()
                process.join()
                self.report.kills += 1
            moments = ", ".join(f"{each:.3f}" for each in times)
            self._finish(folder, expected, f"killed at random after {moments} s")

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
            result = self._make(folder).run(self._data, store=self._store(folder), run_id=_RUN_ID, **self._options)
            error = result.error
        except RunCompletedError:
            error = None
        except Exception as raised:
            error = raised
        if passed is not None:
            passed.send(points)
        if error is not None:
            (folder / "error").write_text("\n".join([describe_error(error), *getattr(error, "__notes__", [])]))
        os._exit(0 if error is None else 1)

    def _finish(self, folder: Path, expected: Content, history: str) -> None:
        process = self._start(folder, None)
        process.join(ATTEMPT_SECONDS)
        if process.exitcode is None:
            process.kill()
            process.join()
        self._check_end(process, history, folder)
        self.report.runs += 1
        problems = list(differences(expected, self._content(folder)))
        if problems:
            raise CrashTestFailed("\n".join([f"{history}:", *problems, self._how_to_repeat()]))

    def _check_end(self, process: Any, history: str, folder: Path | None = None) -> None:
        if process.exitcode == 0:
            return
        error = None if folder is None else folder / "error"
        reason = error.read_text() if error is not None and error.exists() else f"exit code {process.exitcode}"
        raise CrashTestFailed(f"{history}: the run did not come to its end: {reason}\n{self._how_to_repeat()}")

    def _how_to_repeat(self) -> str:
        return f"to repeat it: survives_crashes(..., seed={self.report.seed})"

    def _content(self, folder: Path) -> Content:
        store = open_store(self._store(folder))
        try:
            (run,) = store.runs(run_id=_RUN_ID)
            rejects = Counter(
                f"{each.stage} {each.index} {each.message} {each.record} {each.state.value} settled={each.is_settled}"
                for each in store.rejects(RejectQuery(run_id=_RUN_ID))
            )
            counts = {
                stage: (each.records_in, each.records_passed, each.records_filtered, each.records_failed)
                for stage, each in run.counts.items()
            }
            return Content(Counter(map(repr, self._read(folder))), rejects, counts)
        finally:
            store.close()


def _store_in(folder: Path) -> Place:
    return folder / "crash-store.db"


def differences(expected: Content, found: Content) -> Iterator[str]:
    """Say in words what was lost, doubled or miscounted."""
    for what, wanted, there in (
        ("record", expected.rows, found.rows),
        ("reject", expected.rejects, found.rejects),
    ):
        lost, more = wanted - there, there - wanted
        if lost:
            yield f"{lost.total():,} {what}s are lost, such as {next(iter(lost)):.200}"
        if more:
            kind = "doubled" if next(iter(more)) in wanted else "there that should not be"
            yield f"{more.total():,} {what}s are {kind}, such as {next(iter(more)):.200}"
    for stage, counts in expected.counts.items():
        if found.counts.get(stage) != counts:
            yield f"stage {stage!r} counted {found.counts.get(stage)}, and not {counts} (in, passed, filtered, failed)"
