"""What observing a run costs: 1,000,000 dicts in one loop, and CSV to CSV, with hooks and without.

Everything that the hooks tell is sent to a receiver in another process before the time is taken. The base is run twice,
which shows how far equal runs differ.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

from openlineage.client import OpenLineageClient
from openlineage.client.transport.http import HttpConfig, HttpTransport
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import CollectorRegistry

from benchmarks.by_hand.files import Files, add_price, csv_to_csv
from benchmarks.by_hand.pricing import Record, is_wanted, make_records, take_price
from benchmarks.by_hand.pricing import add_price as add_price_to
from benchmarks.by_hand.receiver import receiver
from benchmarks.command import run_script
from benchmarks.event_loop import answer_of
from benchmarks.measure import Contestant, Figure, Settings, compare
from benchmarks.row import Row, Target
from mainstem import AggregateStage, FilterStage, LoadReport, MapStage, Pipeline, Sum
from mainstem.connect import CsvSink, CsvSource
from mainstem.observe import JsonLogFormatter, OpenLineageHook, OpenTelemetryHook, PrometheusHook, RunLogFilter

TARGET = (Target(1.02),)


class Watcher:
    """A hook, and what has it send all it has to send."""

    def __init__(self, name: str, hooks: Sequence[object], flush: Callable[[], object]) -> None:
        self.name, self.hooks, self.flush = name, hooks, flush


def telemetry(url: str, stack: ExitStack) -> Watcher:
    spans = TracerProvider()
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
    metrics = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(f"{url}/v1/metrics"))])
    stack.callback(spans.shutdown)
    stack.callback(metrics.shutdown)
    hook = OpenTelemetryHook(tracer_provider=spans, meter_provider=metrics)
    return Watcher("OpenTelemetry", [hook], lambda: (spans.force_flush(), metrics.force_flush()))


def prometheus(stack: ExitStack) -> Watcher:
    hook = PrometheusHook(CollectorRegistry())
    endpoint = stack.enter_context(hook.serve(port=0))
    return Watcher("Prometheus, scraped", [hook], lambda: urlopen(endpoint.url).read())


def lineage(url: str) -> Watcher:
    hook = OpenLineageHook(OpenLineageClient(transport=HttpTransport(HttpConfig.from_dict({"url": url}))))
    return Watcher("OpenLineage", [hook], hook.flush)


def all_of(watchers: Sequence[Watcher]) -> Watcher:
    hooks = [hook for watcher in watchers for hook in watcher.hooks]
    return Watcher("all three", hooks, lambda: [watcher.flush() for watcher in watchers])


def watched(pipeline: Any, watcher: Watcher | None) -> Any:
    for hook in () if watcher is None else watcher.hooks:
        pipeline.add_hooks(hook)
    return pipeline


def in_loop(watcher: Watcher | None) -> Callable[[list[Record]], int]:
    pipeline = watched(
        Pipeline[list[Record], int]("records")
        .add_stage(MapStage(add_price_to))
        .add_stage(FilterStage(is_wanted))
        .add_stage(MapStage(take_price))
        .add_stage(AggregateStage(Sum[int]())),
        watcher,
    )

    def run(records: list[Record]) -> int:
        total: int = answer_of(pipeline.execute(records)).unwrap()
        if watcher is not None:
            watcher.flush()
        return total

    return run


def csv_files(watcher: Watcher | None) -> Callable[[Files], bytes]:
    def run(files: Files) -> bytes:
        pipeline = watched(
            Pipeline[None, LoadReport]("prices")
            .add_stage(CsvSource(files.source))
            .add_stage(MapStage(add_price))
            .add_stage(CsvSink(files.target)),
            watcher,
        )
        pipeline.run().unwrap()
        if watcher is not None:
            watcher.flush()
        return files.take_target()

    return run


def contestants(make: Callable[[Watcher | None], Callable[[Any], object]], watchers: Sequence[Watcher]) -> Any:
    base = Contestant("not observed", make(None), package="mainstem")
    observed = [Contestant(each.name, make(each), package="mainstem", targets=TARGET) for each in watchers]
    return base, [replace(base, name="not observed, again"), *observed]


def measure(settings: Settings) -> list[Row]:
    handler = logging.NullHandler()
    handler.addFilter(RunLogFilter())
    handler.setFormatter(JsonLogFormatter())
    logging.getLogger("mainstem").addHandler(handler)
    with ExitStack() as stack:
        url = stack.enter_context(receiver())
        three = [telemetry(url, stack), prometheus(stack), lineage(url)]
        watchers = [*three, all_of(three)]
        base, others = contestants(in_loop, watchers)
        rows = compare(Figure("observed loop", 1_000_000, make_records, base), others, settings, show_base=True)
        folder = Path(stack.enter_context(TemporaryDirectory()))
        base, others = contestants(csv_files, watchers)
        figure = replace(csv_to_csv(folder), name="observed CSV to CSV", base=base)
        return rows + compare(figure, others, settings, show_base=True)


if __name__ == "__main__":
    run_script(__doc__, measure)
