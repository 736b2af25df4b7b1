"""An SDK of OpenTelemetry whose spans and metrics stay in memory."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

from mainstem.observe import OpenTelemetryHook


class Sdk:
    """Keeps what it is told."""

    def __init__(self, sampler: Sampler | None = None, **options: Any) -> None:
        self._exporter, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.spans = TracerProvider(sampler)
        self.spans.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.metrics = MeterProvider([self._reader])
        self.hook = OpenTelemetryHook(tracer_provider=self.spans, meter_provider=self.metrics, **options)

    @property
    def finished(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.finished if span.name == name]

    def one(self, name: str) -> Any:
        (span,) = self.named(name)
        return span

    def points(self, metric: str) -> dict[tuple[Any, ...], Any]:
        """Return the points of a metric, by the values of their attributes."""
        data: Any = self._reader.get_metrics_data()
        return {
            tuple(point.attributes.values()): getattr(point, "value", None) if hasattr(point, "value") else point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for each in scope.metrics
            if each.name == metric
            for point in each.data.data_points
        }

    def close(self) -> None:
        self.spans.shutdown()
        self.metrics.shutdown()
