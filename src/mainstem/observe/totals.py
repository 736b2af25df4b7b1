"""What the runs of all pipelines that a hook observes have come to: the figures behind its metrics.

Nothing is counted here while a run goes on. Whoever asks is given the counts that the runs keep anyway, so metrics cost
a run the same however many records it has, and are up to date in the middle of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Final

from mainstem.context import StageProgress
from mainstem.resumed_progress import ResumedProgress
from mainstem.run_observer import RunEnd, RunStart

FIGURES: Final[Mapping[str, str]] = {
    "records_in": "Records that the stage has taken.",
    "records_out": "Records that came through the stage, in the unit of what it takes.",
    "records_filtered": "Records that the stage dropped on purpose.",
    "records_rejected": "Records that failed in the stage.",
    "busy_seconds": "Time spent in the stage, its waiting for answers included.",
}
"""The figures of a stage, and what they mean."""


@dataclass(frozen=True, slots=True, order=True)
class StageKey:
    """A stage of a pipeline."""

    pipeline: str
    stage: str


class RunTotals:
    """The figures of all runs, those that have ended and those that go on. Any thread may ask.

    A figure never goes down: where a run takes back what it had counted (a record that was handled, and failed when its
    window was closed), the figure stays until the others have made up for it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._ended: dict[StageKey, dict[str, float]] = {}
        self._highest: dict[StageKey, dict[str, float]] = {}
        self._running: dict[int, RunStart] = {}

    def begin(self, start: RunStart) -> None:
        """Take note of a run that begins."""
        with self._lock:
            self._running[id(start)] = start

    def end(self, start: RunStart, end: RunEnd) -> None:
        """Add up a run that has ended."""
        with self._lock:
            if self._running.pop(id(start), None) is not None:
                _add(self._ended, start)

    def stages(self) -> dict[StageKey, Mapping[str, float]]:
        """Return the figures of each stage that has begun in a run."""
        with self._lock:
            found = {key: dict(figures) for key, figures in self._ended.items()}
            for start in self._running.values():
                _add(found, start)
            for key, figures in found.items():
                known = self._highest.setdefault(key, {})
                for name, value in figures.items():
                    known[name] = max(value, known.get(name, 0))
            return {key: dict(self._highest[key]) for key in found}

    def running(self) -> dict[str, int]:
        """Return how many runs of each pipeline go on; 0 of one of which none does any more."""
        with self._lock:
            found = {key.pipeline: 0 for key in self._ended}
            for start in self._running.values():
                found[start.pipeline] = found.get(start.pipeline, 0) + 1
            return found


def _add(totals: dict[StageKey, dict[str, float]], start: RunStart) -> None:
    for name, progress in dict(start.context.progress).items():
        figures = totals.setdefault(StageKey(start.pipeline, name), dict.fromkeys(FIGURES, 0))
        for figure, value in figures_of(progress).items():
            figures[figure] += value


def figures_of(progress: StageProgress) -> dict[str, float]:
    """Return the figures of a stage in this attempt at a run, without those of earlier attempts."""
    earlier = progress.earlier if isinstance(progress, ResumedProgress) else StageProgress()
    return {
        "records_in": progress.records_in - earlier.records_in,
        "records_out": progress.records_passed - earlier.records_passed,
        "records_filtered": progress.records_filtered - earlier.records_filtered,
        "records_rejected": progress.records_failed - earlier.records_failed,
        "busy_seconds": (progress.duration_ms - earlier.duration_ms) / 1000,
    }
