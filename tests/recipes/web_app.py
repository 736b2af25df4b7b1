"""A web application of the recipes, served by uvicorn in a process of its own and asked by HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from prices import DAY, LOADED, loaded_in, status_of, write_prices

RECIPES = Path(__file__).parents[2] / "examples" / "recipes"
ROWS = 200_000
"""Rows that take long enough for the application to be stopped in the middle of them."""

Ask = Callable[[str, str], tuple[int, Any]]


@contextmanager
def serving(app: str, folder: Path) -> Iterator[tuple[Ask, subprocess.Popen[bytes]]]:
    """Serve an application; when the block is left, its process has ended."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        command = [sys.executable, "-m", "uvicorn", "--app-dir", str(RECIPES), f"{app}:app"]
        command += ["--fd", str(listening.fileno()), "--log-level", "warning"]
        environment = {**os.environ, "PRICES": str(folder)}
        process = subprocess.Popen(command, env=environment, pass_fds=[listening.fileno()])
        port = listening.getsockname()[1]

        def ask(method: str, path: str) -> tuple[int, Any]:
            connection = HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                connection.request(method, path)
                answer = connection.getresponse()
                body = answer.read().decode()
            finally:
                connection.close()
            is_json = (answer.getheader("content-type") or "").startswith("application/json")
            return answer.status, json.loads(body) if is_json else body

        with process:
            try:
                yield ask, process
            finally:
                process.kill()


def wait_until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Look until something is so."""
    ends_at = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends_at, "it took too long"
        time.sleep(0.02)


def check_web_app(app: str, folder: Path) -> None:
    """Begin an import, look at it, stop the application in the middle of one, and go on with that in another."""
    write_prices(folder)
    many = "".join(f"product {number},1.00\n" for number in range(ROWS))
    write_prices(folder, f"product,price\n{many}", day="2026-03-02")
    with serving(app, folder) as (ask, process):
        assert ask("GET", f"/imports/{DAY}")[0] == 404
        assert ask("POST", "/imports/today")[0] in (404, 422)
        assert ask("POST", f"/imports/{DAY}") == (202, {"status": "begun"})
        wait_until(lambda: status_of(folder) == "completed")
        done = (200, {"status": "completed", "loaded": 2, "rejected": 1, "error": None})
        assert ask("GET", f"/imports/{DAY}") == done
        assert loaded_in(folder) == LOADED
        assert ask("POST", f"/imports/{DAY}")[0] == 202  # done already: nothing happens
        assert ask("POST", "/imports/2026-03-03")[0] == 202  # there is no such file: the application lives on
        assert ask("GET", f"/imports/{DAY}") == done

        assert ask("POST", "/imports/2026-03-02")[0] == 202
        wait_until(lambda: ask("GET", "/imports/2026-03-02")[0] == 200)
        wait_until(lambda: ask("GET", "/imports/2026-03-02")[1]["loaded"] > 0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)
    assert status_of(folder, "2026-03-02") == "cancelled"
    first = len(loaded_in(folder)) - len(LOADED)
    assert 0 < first < ROWS
    with serving(app, folder) as (ask, _):
        assert ask("POST", "/imports/2026-03-02")[0] == 202
        wait_until(lambda: ask("GET", "/imports/2026-03-02")[1]["status"] == "completed")
        assert ask("GET", "/imports/2026-03-02")[1]["loaded"] == ROWS
    loaded = loaded_in(folder)[len(LOADED) :]
    assert [product for _, product, _ in loaded] == [f"product {number}" for number in range(ROWS)]
