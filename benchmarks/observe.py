"""What observing a run costs: 1,000,000 dicts in one loop, and CSV to CSV, with hooks and without.

Everything that the hooks tell is sent to a receiver in another process before the time is taken. The base is run twice,
which shows how far equal runs differ. On a busy machine that is far more than hooks cost; so streams of the same
records also take turns of 20 chunks in one event loop, and the ratio is the median of those of their turns (lowest and
highest are quartiles): what a long run pays, without what is paid once per run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from importlib.metadata import version
from itertools import cycle
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
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
from mainstem.endpoints import CHUNK_SIZE
from mainstem.observe import JsonLogFormatter, OpenLineageHook, OpenTelemetryHook, PrometheusHook, RunLogFilter

TARGET = (Target(1.02),)
TURNS, CHUNKS_A_TURN = 400, 20


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


async def take_turns(streams: Sequence[Any], turns: int) -> list[list[float]]:
    """Return the processor time that each stream took for each of its turns; who begins moves on from turn to turn."""
    times: list[list[float]] = [[] for _ in streams]
    for turn in range(turns):
        for step in range(len(streams)):
            at = (turn + step) % len(streams)
            started = process_time()
            for _ in range(CHUNKS_A_TURN):
                await anext(streams[at])
            times[at].append(process_time() - started)
    return times


def turn_by_turn(watchers: Sequence[Watcher], settings: Settings) -> list[Row]:
    """Measure streams that take turns."""
    turns = max(2, round(TURNS * settings.scale))
    chunk = make_records(CHUNK_SIZE)
    everyone: list[Watcher | None] = [None, None, *watchers]

    async def measured() -> list[list[float]]:
        async with AsyncExitStack() as stack:
            streams: list[Any] = []
            for watcher in everyone:
                pipeline = watched(
                    Pipeline[list[Record], list[int]]("turns")
                    .add_stage(MapStage(add_price_to))
                    .add_stage(FilterStage(is_wanted))
                    .add_stage(MapStage(take_price)),
                    watcher,
                )
                streams.append(await stack.enter_async_context(pipeline.stream(cycle(chunk))))
            await take_turns(streams, 1)
            return await take_turns(streams, turns)

    times = answer_of(measured())
    names = ["not observed", "not observed, again", *(watcher.name for watcher in watchers)]
    return [_row_of_turns(name, own, times[0]) for name, own in zip(names, times, strict=True)]


def _row_of_turns(name: str, own: Sequence[float], base: Sequence[float]) -> Row:
    ratios = sorted(mine / theirs for mine, theirs in zip(own, base, strict=True))
    records = len(own) * CHUNKS_A_TURN * CHUNK_SIZE
    return Row(
        figure="observed stream, turn by turn",
        contestant=name,
        version=version("mainstem"),
        records=records,
        ratio=median(ratios),
        lowest=ratios[len(ratios) // 4],
        highest=ratios[len(ratios) * 3 // 4],
        clock="CPU",
        amount=median(own) * 1e6 / (CHUNKS_A_TURN * CHUNK_SIZE),
        unit="µs a record",
        targets=() if name.startswith("not") else TARGET,
    )


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
        rows = turn_by_turn(watchers, settings)
        rows += compare(Figure("observed loop", 1_000_000, make_records, base), others, settings, show_base=True)
        folder = Path(stack.enter_context(TemporaryDirectory()))
        base, others = contestants(csv_files, watchers)
        figure = replace(csv_to_csv(folder), name="observed CSV to CSV", base=base)
        return rows + compare(figure, others, settings, show_base=True)


if __name__ == "__main__":
    run_script(__doc__, measure)
