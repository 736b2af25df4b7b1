"""Receivers on loopback: of OTLP over HTTP, of OpenLineage's events, and such as are down, slow or wrong."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATIENCE = 30.0
"""Seconds that a test waits for what must come."""


@dataclass
class Received:
    """What a receiver was sent.

    Attributes:
        url: Where it is.
        requests: Path and body of each request, in order.
    """

    url: str
    requests: list[tuple[str, bytes]] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def add(self, path: str, body: bytes) -> None:
        with self.arrived:
            self.requests.append((path, body))
            self.arrived.notify_all()

    def wait_for(self, found: Callable[[], Any]) -> Any:
        """Wait until ``found`` gives something, looking whenever a request has come."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: bool(found()), PATIENCE), f"{len(self.requests)} requests came"
            return found()

    @property
    def events(self) -> list[dict[str, Any]]:
        """OpenLineage's events."""
        return [json.loads(body) for _, body in self.requests]

    @property
    def spans(self) -> list[Any]:
        """The spans of OTLP."""
        found: list[Any] = []
        for path, body in self.requests:
            if path == "/v1/traces":
                request: Any = ExportTraceServiceRequest.FromString(body)
                found += [
                    span
                    for resource in request.resource_spans
                    for scope in resource.scope_spans
                    for span in scope.spans
                ]
        return found

    @property
    def metrics(self) -> list[Any]:
        """The metrics of OTLP."""
        found: list[Any] = []
        for path, body in self.requests:
            if path == "/v1/metrics":
                request: Any = ExportMetricsServiceRequest.FromString(body)
                found += [
                    each
                    for resource in request.resource_metrics
                    for scope in resource.scope_metrics
                    for each in scope.metrics
                ]
        return found


@contextmanager
def receiver(status: int = 200, hold: threading.Event | None = None) -> Generator[Received]:
    """Run a receiver within a ``with`` block.

    Args:
        status: What it answers.
        hold: If given, it answers nothing before this is set.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            received.add(self.path, body)
            if hold is not None:
                hold.wait(PATIENCE)
            try:
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()
            except OSError:  # whoever asked has given up
                self.close_connection = True

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    received = Received(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield received
    finally:
        if hold is not None:
            hold.set()
        server.shutdown()
        server.server_close()
        thread.join()


def nobody() -> str:
    """Return the URL of a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def wait_until(found: Callable[[], Any]) -> Any:
    """Wait until ``found`` gives something that nothing tells of when it comes."""
    until = monotonic() + PATIENCE
    while not (answer := found()):
        assert monotonic() < until, "it never came"
        threading.Event().wait(0.01)
    return answer


def attributes_of(span: Any) -> dict[str, Any]:
    """Return the attributes of a span of OTLP as plain values."""
    return {each.key: _plain(each.value) for each in span.attributes}


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    found = getattr(value, kind)
    return [_plain(each) for each in found.values] if kind == "array_value" else found


def names(spans: Sequence[Any]) -> list[str]:
    return sorted(span.name for span in spans)
