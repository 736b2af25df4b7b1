"""Real servers of files on loopback: an S3 of moto's, and web servers that know ranges, know none, or refuse."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread
from typing import Any
from urllib.parse import unquote
from urllib.request import Request, urlopen

import obstore
import pytest
from obstore.store import S3Store

SECRET_KEY = "hunter2-hunter2"
S3_OPTIONS: dict[str, Any] = {
    "region": "us-east-1",
    "access_key_id": "AKIAEXAMPLEEXAMPLE",
    "secret_access_key": SECRET_KEY,
}
_numbers = count()


@cache
def _s3_address() -> str:
    """Start moto's server, once in a process; its thread ends with that."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # which names every request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"


class Bucket:
    """An S3 bucket of a test's own."""

    def __init__(self) -> None:
        self.name = f"bucket-{os.getpid()}-{next(_numbers)}"
        self.url = f"s3://{self.name}"
        self.options = {**S3_OPTIONS, "endpoint": _s3_address(), "client_options": {"allow_http": True}}
        self.store = S3Store(self.name, **S3_OPTIONS, endpoint=_s3_address(), client_options={"allow_http": True})
        urlopen(Request(f"{_s3_address()}/{self.name}", method="PUT"), timeout=10).close()

    def put(self, key: str, content: bytes) -> str:
        """Store an object, and return its URL."""
        obstore.put(self.store, key, content)
        return f"{self.url}/{key}"

    def remove(self, key: str) -> None:
        obstore.delete(self.store, key)


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


class WebServer:
    """A web server of files in memory, which keeps what it was asked for.

    Attributes:
        files: Content under each path.
        asked: Method, path and range of each request.
        on_request: Called before each answer.
        statuses: What is answered first, one by one.
    """

    def __init__(self, *, ranges: bool, e_tags: bool = True, status: int | None = None) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.on_request: Callable[[], object] = lambda: None
        self.statuses: list[int] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_request(self, *args: Any) -> None:
                return

            def do_GET(self) -> None:
                web.asked.append((self.command, self.path, self.headers.get("Range")))
                web.on_request()
                content = web.files.get(unquote(self.path.partition("?")[0]))
                if web.statuses:
                    self.answer(web.statuses.pop(0), b"not now")
                    return
                if status is not None or content is None:
                    self.answer(status or 404, b"no")
                    return
                headers = {"ETag": f'"{hash(content)}"'} if e_tags else {}
                asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if ranges else None
                if asked is None:
                    self.answer(200, content, headers)
                elif int(asked[1]) >= len(content):
                    self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
                else:
                    first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
                    headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
                    self.answer(206, content[first : last + 1], headers)

            def do_HEAD(self) -> None:
                self.answer(403, b"")

            def answer(self, code: int, content: bytes, headers: dict[str, str] | None = None) -> None:
                self.send_response(code)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Last-Modified", "Wed, 01 Jan 2025 00:00:00 GMT")
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(content)
                except (BrokenPipeError, ConnectionResetError):  # who asked wanted no more
                    self.close_connection = True

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def put(self, path: str, content: bytes) -> str:
        """Keep a file, and return its URL."""
        self.files[path] = content
        return self.url + path

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def web_server(*, ranges: bool = True, e_tags: bool = True, status: int | None = None) -> Iterator[WebServer]:
    """Run a web server.

    Args:
        ranges: Whether it gives parts of files.
        e_tags: Whether it says which content of a file it gives.
        status: What it answers to everything; ``None`` for what was asked.
    """
    server = WebServer(ranges=ranges, e_tags=e_tags, status=status)
    try:
        yield server
    finally:
        server.close()
