"""What a registry of ``prometheus_client`` asks for the figures of runs when it is scraped."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mainstem.observe.totals import FIGURES, RunTotals
from mainstem.run_observer import RunEnd, RunStart

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)


class RunCollector(Collector):
    """Collects the figures of runs.

    Args:
        registry: Asks for them.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.totals = RunTotals()
        self._durations = Histogram(
            "mainstem_run_duration_seconds",
            "How long runs took.",
            ("pipeline", "status"),
            buckets=_SECONDS,
            registry=registry,
        )
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        return self._families()

    def collect(self) -> Iterable[Metric]:
        families = self._families()
        for key, figures in sorted(self.totals.stages().items()):
            for family, figure in zip(families, FIGURES, strict=False):
                family.add_metric((key.pipeline, key.stage), figures[figure])
        for pipeline, count in sorted(self.totals.running().items()):
            families[-1].add_metric((pipeline,), count)
        return families

    def _families(self) -> list[CounterMetricFamily | GaugeMetricFamily]:
        counters = [
            CounterMetricFamily(f"mainstem_{name}", meaning, labels=("pipeline", "stage"))
            for name, meaning in FIGURES.items()
        ]
        return [*counters, GaugeMetricFamily("mainstem_runs_active", "Runs that go on.", labels=("pipeline",))]

    def end(self, start: RunStart, end: RunEnd) -> None:
        """Count a run that has ended."""
        self.totals.end(start, end)
        self._durations.labels(start.pipeline, end.status).observe(end.duration_ms / 1000)
