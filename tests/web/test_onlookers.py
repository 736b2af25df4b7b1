"""Those who look on are told what happens; many of them, and slow ones, hold up nobody."""

from __future__ import annotations

import http.client
import json
import resource
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Event
from time import monotonic

import pytest
from tests.store.records import batch, request
from tests.web.serving import Served, serving
from tests.web.shop import ROWS, run_orders

from mainstem.errors import StoreError
from mainstem.store.model import RunStatus
from mainstem.store.sqlite import SqliteStore
from mainstem.web import guard, live, serve

pytestmark = pytest.mark.extras


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "runs.db")
    yield opened
    opened.close()


@contextmanager
def events(served: Served, path: str) -> Iterator[http.client.HTTPResponse]:
    with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)) as connection:
        connection.request("GET", path, headers={"Authorization": f"Bearer {served.full}"})
        yield connection.getresponse()


def connected(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=10)


def next_event(stream: http.client.HTTPResponse) -> bytes:
    while True:
        line = stream.readline()
        assert line, "the stream has ended"
        if line.startswith(b"event:"):
            return line


def test_they_are_told_of_what_happened_since_they_were_shown_it(tmp_path: Path, store: SqliteStore) -> None:
    lease = store.begin(request("a"))
    with serving(tmp_path / "runs.db") as served:
        text = served.get("/runs/1").text
        seen = text.partition('data-seen="')[2].partition('"')[0]
        with events(served, f"/events?run=1&seen={seen}") as of_run, events(served, "/events?seen=old") as of_all:
            assert of_run.getheader("content-type") == "text/event-stream; charset=utf-8"
            assert next_event(of_all) == b"event: change\n"  # at once: what is shown is not what is there
            store.prepare(lease, batch(1))
            store.settle(lease, 1)
            assert next_event(of_run) == b"event: change\n"
            assert next_event(of_all) == b"event: change\n"


def test_of_another_run_they_are_told_nothing(
    tmp_path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "SECONDS", 0.02)
    monkeypatch.setattr(live, "_KEEP_ALIVE", 3)
    store.finish(store.begin(request("a")), RunStatus.COMPLETED)
    with serving(tmp_path / "runs.db") as served:
        seen = served.get("/runs/1").text.partition('data-seen="')[2].partition('"')[0]
        with events(served, f"/events?run=1&seen={seen}") as stream:
            store.finish(store.begin(request("b")), RunStatus.COMPLETED)
            lines = [stream.readline() for _ in range(10)]
        assert lines[0] == b"retry: 3000\n"
        assert {*lines[2:]} == {b": still here\n", b"\n"}


def test_so_many_are_told_and_no_more(tmp_path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mainstem.web.app.MOST_WATCHERS", 3)
    monkeypatch.setattr(live, "SECONDS", 0.02)
    monkeypatch.setattr(live, "_KEEP_ALIVE", 2)
    with serving(tmp_path / "runs.db") as served:
        with ExitStack() as stack:
            for _ in range(3):
                assert stack.enter_context(events(served, "/events")).readline() == b"retry: 3000\n"
            assert served.get("/events").status == 503
            assert served.get("/").status == 200
        deadline = monotonic() + 20
        while served.get("/events").status != 200:  # those who have gone are noticed
            assert monotonic() < deadline


def test_a_store_that_is_away_for_a_moment_is_looked_at_again(
    tmp_path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "SECONDS", 0.02)
    look, looks = live.pulse, 0

    def broken(*arguments: object) -> object:
        nonlocal looks
        looks += 1
        if looks in (2, 3):
            raise StoreError("it is away")
        return look(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(live, "pulse", broken)
    with serving(tmp_path / "runs.db") as served, events(served, "/events?seen=old") as stream:
        assert next_event(stream) == b"event: change\n"
        store.begin(request("a"))
        assert next_event(stream) == b"event: change\n"
    assert looks > 3


def test_a_run_that_cannot_be_read_ends_nothing(
    tmp_path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "SECONDS", 0.02)
    failed, look = Event(), live.pulse

    def watched(*arguments: object) -> object:
        try:
            return look(*arguments)  # type: ignore[arg-type]
        except Exception:
            failed.set()
            raise

    monkeypatch.setattr(live, "pulse", watched)
    store.begin(request("a"))
    owner = store.runs()[0].owner
    with serving(tmp_path / "runs.db") as served, events(served, "/events?seen=old") as stream:
        assert next_event(stream) == b"event: change\n"
        with closing(sqlite3.connect(tmp_path / "runs.db")) as connection, connection:
            connection.execute("UPDATE runs SET owner = 'nobody'")
        assert failed.wait(20)
        assert "is not as it was written" in served.get("/runs/1").text
        with closing(sqlite3.connect(tmp_path / "runs.db")) as connection, connection:
            connection.execute("UPDATE runs SET owner = ?, epoch = 7", (json.dumps(asdict(owner)),))
        assert next_event(stream) == b"event: change\n"


def test_who_sends_no_request_is_let_go(tmp_path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "HEADER_SECONDS", 0.3)
    starts = [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: "]
    with serving(tmp_path / "runs.db") as served:
        with ExitStack() as stack:
            slow = [
                stack.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=10)) for _ in range(60)
            ]
            for number, each in enumerate(slow):
                each.sendall(starts[number % len(starts)])
            assert served.get("/").status == 200
            assert all(each.recv(100) == b"" for each in slow)
        assert served.get("/").status == 200


def test_who_sends_a_request_behind_another_is_let_go_as_well(
    tmp_path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "HEADER_SECONDS", 0.3)
    with (
        serving(tmp_path / "runs.db") as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=10) as each,
    ):
        each.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert each.recv(1000).startswith(b"HTTP/1.1 200")
        each.sendall(b"GET /health HTTP/1.1\r\nHost:")
        rest = b""
        while part := each.recv(1000):
            rest += part
        assert b"200" not in rest


def test_a_body_that_is_slow_or_large_is_refused(
    tmp_path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.3)
    monkeypatch.setattr(guard, "LARGEST_BODY", 1000)
    with serving(tmp_path / "runs.db") as served:
        assert served.post("/rejects/some/approve", id="1" * 2000).status == 413
        head = [
            "POST /rejects/some/approve HTTP/1.1",
            "Host: 127.0.0.1",
            f"Authorization: Bearer {served.full}",
            "Content-Type: application/x-www-form-urlencoded",
            "Content-Length: 100",
        ]
        for path in ("/rejects/some/approve", "/login"):
            lines = [*head, "Origin: http://127.0.0.1", "", "id=1"]
            lines[0] = f"POST {path} HTTP/1.1"
            with connected(served) as connection:
                connection.sendall("\r\n".join(lines).encode())
                assert connection.recv(1000).startswith(b"HTTP/1.1 408"), path


@pytest.mark.slow
def test_a_thousand_who_send_nothing_and_some_hundred_who_look_on_hold_up_nobody(
    tmp_path: Path, store: SqliteStore
) -> None:
    run_orders(tmp_path, ROWS)
    head = "GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\n\r\n"
    with serving(tmp_path / "runs.db") as served, ExitStack() as stack:
        for number in range(1000):
            each = stack.enter_context(connected(served))
            each.sendall(head.format(served.full).encode() if number % 5 == 0 else b"GET / HTTP/1.1\r\nHost:")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        times = []
        for _ in range(40):
            started = monotonic()
            assert served.get("/rejects").status == 200
            times.append(monotonic() - started)
        assert sorted(times)[37] < 0.5
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
