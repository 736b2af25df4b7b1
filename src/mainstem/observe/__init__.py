"""Telling others of runs: OpenTelemetry, Prometheus, OpenLineage, and structured logs.

Each is a hook that a pipeline takes with ``add_hooks``; logs have a filter and a formatter of the standard library's
kind. What they tell others never fails a run, nor holds it up: a receiver that is down is logged once.
"""

from mainstem.datasets import Dataset
from mainstem.observe.lineage import OpenLineageHook
from mainstem.observe.logs import JsonLogFormatter, RunLogFilter, bind_run
from mainstem.observe.prometheus import MetricsEndpoint, PrometheusHook
from mainstem.observe.telemetry import OpenTelemetryHook
from mainstem.run_observer import RunEnd, RunObserver, RunStart

__all__ = [
    "Dataset",
    "JsonLogFormatter",
    "MetricsEndpoint",
    "OpenLineageHook",
    "OpenTelemetryHook",
    "PrometheusHook",
    "RunEnd",
    "RunLogFilter",
    "RunObserver",
    "RunStart",
    "bind_run",
]
