"""The metrics of OpenTelemetry: instruments that read the figures of runs when the SDK collects them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import version
from threading import Lock
from weakref import WeakKeyDictionary

from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation, get_meter

from mainstem.observe.totals import FIGURES, RunTotals
from mainstem.run_observer import RunEnd, RunStart

_NAMES = {
    "records_in": ("mainstem.records.in", "{record}"),
    "records_out": ("mainstem.records.out", "{record}"),
    "records_filtered": ("mainstem.records.filtered", "{record}"),
    "records_rejected": ("mainstem.records.rejected", "{record}"),
    "busy_seconds": ("mainstem.stage.busy_time", "s"),
}
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
"""Bounds of the histogram of durations: OpenTelemetry's own are made for milliseconds."""


class RunMetrics:
    """The instruments of one meter provider.

    Args:
        meter: What makes them.
    """

    def __init__(self, meter: Meter) -> None:
        self.totals = RunTotals()
        for figure, (name, unit) in _NAMES.items():
            meter.create_observable_counter(
                name, callbacks=[_reader_of(self.totals, figure)], unit=unit, description=FIGURES[figure]
            )
        meter.create_observable_up_down_counter(
            "mainstem.runs.active", callbacks=[self._read_running], unit="{run}", description="Runs that go on."
        )
        self._durations = meter.create_histogram(
            "mainstem.run.duration",
            unit="s",
            description="How long runs took.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )

    def _read_running(self, options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(count, {"mainstem.pipeline": name}) for name, count in self.totals.running().items()]

    def end(self, start: RunStart, end: RunEnd) -> None:
        """Count a run that has ended."""
        self.totals.end(start, end)
        self._durations.record(
            end.duration_ms / 1000, {"mainstem.pipeline": start.pipeline, "mainstem.status": end.status}
        )


def _reader_of(totals: RunTotals, figure: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def read(options: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(figures[figure], {"mainstem.pipeline": key.pipeline, "mainstem.stage": key.stage})
            for key, figures in totals.stages().items()
        ]

    return read


_known: WeakKeyDictionary[MeterProvider, RunMetrics] = WeakKeyDictionary()
_global: list[RunMetrics] = []
_making = Lock()


def metrics_to(provider: MeterProvider | None) -> RunMetrics:
    """Return the instruments of a meter provider, the same for all hooks: there is one of each name."""
    scope = "mainstem", version("mainstem")
    with _making:
        if provider is None:
            if not _global:
                _global.append(RunMetrics(get_meter(*scope)))
            return _global[0]
        if provider not in _known:
            _known[provider] = RunMetrics(provider.get_meter(*scope))
        return _known[provider]
