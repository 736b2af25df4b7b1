"""A real exporter into a real receiver, and receivers that are down, slow or wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from tests.observe.receivers import attributes_of, names, nobody, receiver
from tests.runs import pipeline_of

from mainstem import MapStage
from mainstem.observe import OpenTelemetryHook

pytestmark = [pytest.mark.extras]


def increment(number: int) -> int:
    return number + 1


@contextmanager
def sdk(url: str) -> Generator[tuple[OpenTelemetryHook, Callable[[], None]]]:
    """An SDK that sends in batches, and what has it send all that it has."""
    spans = TracerProvider()
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces", timeout=1)))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{url}/v1/metrics", timeout=1))
    metrics = MeterProvider([reader])

    def flush() -> None:
        spans.force_flush()
        metrics.force_flush()

    try:
        yield OpenTelemetryHook(tracer_provider=spans, meter_provider=metrics), flush
    finally:
        spans.shutdown()
        metrics.shutdown(1000)


def test_spans_and_metrics_arrive_at_a_collector() -> None:
    with receiver() as received, sdk(received.url) as (hook, flush):
        result = pipeline_of(MapStage(increment), name="sent").add_hooks(hook).run([1, 2])
        flush()
        assert names(received.spans) == ["chunk", "run sent", "stage MapStage"]
        run = next(span for span in received.spans if span.name == "run sent")
        assert attributes_of(run)["mainstem.run.id"] == result.context.pipeline_id
        assert {span.trace_id for span in received.spans} == {run.trace_id}
        assert {metric.name for metric in received.metrics} == {
            "mainstem.records.filtered",
            "mainstem.records.in",
            "mainstem.records.out",
            "mainstem.records.rejected",
            "mainstem.run.duration",
            "mainstem.runs.active",
            "mainstem.stage.busy_time",
        }
        (records,) = [metric for metric in received.metrics if metric.name == "mainstem.records.in"]
        assert records.sum.is_monotonic
        assert [point.as_int for point in records.sum.data_points] == [2]


@pytest.mark.parametrize("fault", ["down", "slow", "wrong"])
def test_a_receiver_that_is_down_slow_or_wrong_neither_fails_nor_holds_up_a_run(fault: str) -> None:
    hold = threading.Event() if fault == "slow" else None
    with (
        receiver(500 if fault == "wrong" else 200, hold) as received,
        sdk(nobody() if fault == "down" else received.url) as (hook, _),
    ):
        pipeline = pipeline_of(MapStage(increment)).add_hooks(hook)
        started = perf_counter()
        for _ in range(20):
            result = pipeline.run([1])
            assert (result.data, result.context.errors) == ([2], [])
        assert perf_counter() - started < 5


class BrokenProcessor(SpanProcessor):
    """A part of an SDK that raises."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise RuntimeError("broken start")

    def on_end(self, span: Any) -> None:
        raise RuntimeError("broken end")


def test_an_sdk_that_raises_is_logged_once_and_runs_go_on(caplog: pytest.LogCaptureFixture) -> None:
    spans = TracerProvider()
    spans.add_span_processor(BrokenProcessor())
    hook = OpenTelemetryHook(tracer_provider=spans, meter_provider=MeterProvider())
    pipeline = pipeline_of(MapStage(increment)).add_hooks(hook)
    for _ in range(3):
        result = pipeline.run([1])
        assert (result.data, result.context.errors) == ([2], [])
    ours = [record for record in caplog.records if record.name.startswith("mainstem")]
    assert [record.levelname for record in ours] == ["WARNING"]
    assert "telling OpenTelemetry of a run failed: RuntimeError: broken start" in ours[0].getMessage()


def test_an_sdk_that_raises_in_the_middle_has_the_run_counted_all_the_same() -> None:
    class BreaksAtEnd(BrokenProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None: ...

    spans = TracerProvider()
    spans.add_span_processor(BreaksAtEnd())
    hook = OpenTelemetryHook(tracer_provider=spans, meter_provider=MeterProvider())
    result = pipeline_of(MapStage(increment), name="counted").add_hooks(hook).run(list(range(2500)))
    assert result.success
    assert hook._metrics.totals.running() == {"counted": 0}
