"""Wrong uses of what tells others of runs. Each refused line names the code of each checker."""

from __future__ import annotations

from functions import increment

from mainstem import MapStage, Pipeline
from mainstem.observe import Dataset, OpenLineageHook, OpenTelemetryHook, PrometheusHook, RunObserver, RunStart

pipeline = Pipeline[list[int], list[int]]("p").add_stage(MapStage(increment))

OpenTelemetryHook("http://localhost:4318")  # expect: call-arg, arg-type, reportCallIssue
OpenTelemetryHook(tracer_provider="global")  # expect: arg-type, reportArgumentType
OpenTelemetryHook(chunk_interval="1 s")  # expect: arg-type, reportArgumentType
OpenTelemetryHook(in_workers=3)  # expect: arg-type, reportArgumentType
PrometheusHook(9464)  # expect: arg-type, reportArgumentType
PrometheusHook().serve("0.0.0.0")  # expect: arg-type, reportArgumentType
OpenLineageHook("http://localhost:5000")  # expect: arg-type, reportArgumentType
OpenLineageHook(datasets={"orders": "shop.public.orders"})  # expect: dict-item, reportArgumentType
Dataset("file")  # expect: call-arg, reportCallIssue


def returns_text(start: RunStart) -> str:
    return start.pipeline


def takes_nothing() -> None: ...


pipeline.on_run(returns_text)  # expect: type-var, reportArgumentType
pipeline.on_run(takes_nothing)  # expect: type-var, reportArgumentType
pipeline.on_run(RunObserver())  # expect: type-var, reportArgumentType
