"""Telling others of runs."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, assert_type

from functions import increment, text
from openlineage.client import OpenLineageClient
from opentelemetry.metrics import get_meter_provider
from opentelemetry.trace import get_tracer_provider
from prometheus_client import CollectorRegistry

from mainstem import MapStage, Pipeline, PipelineResult, PipelineStage
from mainstem.connect import CsvSink, CsvSource
from mainstem.observe import (
    Dataset,
    JsonLogFormatter,
    MetricsEndpoint,
    OpenLineageHook,
    OpenTelemetryHook,
    PrometheusHook,
    RunEnd,
    RunLogFilter,
    RunObserver,
    RunStart,
    bind_run,
)

telemetry = OpenTelemetryHook(
    tracer_provider=get_tracer_provider(),
    meter_provider=get_meter_provider(),
    chunk_interval=math.inf,
    in_workers=lambda: None,
)
assert_type(OpenTelemetryHook(), OpenTelemetryHook)

prometheus = PrometheusHook(CollectorRegistry())
assert_type(PrometheusHook().serve(), MetricsEndpoint)
with prometheus.serve(port=0, host="::1") as endpoint:
    assert_type(endpoint, MetricsEndpoint)
    assert_type(endpoint.url, str)

orders = Dataset("postgres://db:5432", "shop.public.orders")
assert_type(orders.namespace, str)
lineage = OpenLineageHook(
    OpenLineageClient(), namespace="shop", datasets={"orders": orders, "in": [orders], "out": (orders, orders)}
)
assert_type(lineage.flush(), bool)
assert_type(lineage.flush(1.5), bool)

pipeline = Pipeline[list[int], list[str]]("p").add_stage(MapStage(increment)).add_stage(MapStage(text))
observed = pipeline.add_hooks(telemetry).add_hooks(prometheus).add_hooks(lineage)
assert_type(observed.run([1]), PipelineResult[list[str]])


class Counting(RunObserver):
    def around_chunk(self, stages: Sequence[str], records: int | None) -> AbstractContextManager[object] | None:
        return nullcontext()

    def end(self, end: RunEnd) -> None:
        assert_type(end.result, PipelineResult[Any] | None)
        assert_type(end.error, BaseException | None)
        assert_type(end.duration_ms, float)


@pipeline.on_run
def count(start: RunStart) -> Counting:
    assert_type(start.names, tuple[str, ...])
    assert_type(start.run_id, str | None)
    return Counting()


@pipeline.on_run
def look(start: RunStart) -> None: ...


count_again: Counting = count(RunStart(pipeline="p", stages=(), names=(), hints=(), context=pipeline.run([1]).context))

handler = logging.StreamHandler()
handler.addFilter(RunLogFilter())
handler.setFormatter(JsonLogFormatter())
bind_run(None, "info", {"event": "it"})

assert_type(list(CsvSource("in.csv").datasets), list[Dataset])
assert_type(list(CsvSink("out.csv").datasets), list[Dataset])
assert_type(pipeline.stages, tuple[PipelineStage[Any, Any], ...])
