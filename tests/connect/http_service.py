"""A real HTTP server on loopback for tests, whose answers a test decides on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """What was asked for, and when."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    at: float
    method: str = "GET"


@dataclass
class Reply:
    """What is answered.

    Attributes:
        body: Bytes as they are; anything else as JSON.
        promised: Bytes of the body that are promised; more than there are to cut the connection in the middle.
        waits: Seconds, or until it is set, before the answer.
    """

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    promised: int | None = None
    waits: Event | None = None

    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Answering = Callable[[Request], Reply]


class Service:
    """A running server.

    Attributes:
        requests: What it was asked for, in order.
    """

    def __init__(self, answer: Answering) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.asked = Event()
        """Set once somebody asks."""
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or the body waits for the receipt of the head

            def do_GET(self) -> None:
                service.handle(self)

            def do_HEAD(self) -> None:
                service.handle(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.origin}/items"

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Request(parts.path, query, headers, monotonic(), handler.command)
        self.requests.append(request)
        self.asked.set()
        reply = self.answer(request)
        if reply.waits is not None:
            reply.waits.wait(20)
        content = reply.content()
        try:
            handler.send_response(reply.status)
            for name, value in reply.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(content) if reply.promised is None else reply.promised))
            handler.end_headers()
            if handler.command != "HEAD":
                handler.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):  # whoever asked has gone
            handler.close_connection = True
        if reply.promised is not None:
            handler.close_connection = True

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def queries(self, name: str) -> list[str | None]:
        """The values that a query parameter had, request by request."""
        return [request.query.get(name) for request in self.requests]


@contextmanager
def serving(answer: Answering) -> Iterator[Service]:
    """Run a server within a ``with`` block."""
    service = Service(answer)
    try:
        yield service
    finally:
        service.close()


def one_after_another(*replies: Reply) -> Answering:
    """Answer with each reply once, and with the last for ever."""
    waiting = list(replies)
    return lambda _: waiting.pop(0) if len(waiting) > 1 else waiting[0]
