"""Functions that tests have carried out in worker processes and Ray tasks."""

from __future__ import annotations

import os
from typing import Any

from opentelemetry import baggage, trace

from mainstem import current_context


def set_up_sdk() -> None:
    """Set up an SDK in a worker, which sends each span at once to where the environment says."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(os.environ["TEST_OTLP_URL"] + "/v1/traces")))
    trace.set_tracer_provider(provider)


def describe(number: int) -> dict[str, Any]:
    """Say what is current."""
    found = trace.get_current_span().get_span_context()
    return {
        "process": os.getpid(),
        "trace": found.trace_id,
        "span": found.span_id,
        "tenant": baggage.get_baggage("tenant"),
        "run": current_context().pipeline_id,
    }


def call_service(number: int) -> int:
    """Make a span for some records, as an instrumented client would."""
    if number % 50 == 0:
        with trace.get_tracer("client").start_as_current_span("call a service"):
            return number
    return number


def broken_set_up() -> None:
    raise RuntimeError("no SDK here")
