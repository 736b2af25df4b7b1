"""``mainstem ui``: where it listens, whom it lets in, and which code it loads."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Run, Write, started
from tests.cli.durable_shop import LOADED, REJECTED, SHOP, loaded, write_orders

pytestmark = pytest.mark.extras

TOKEN, OTHER = "a-token-of-somebody-else-0001", "a-token-for-looking-only-0002"
FIRST = min(REJECTED)


@pytest.fixture
def shop(write: Write, tmp_path: Path, mainstem_here: Run) -> Path:
    write("shop.py", SHOP)
    write_orders(tmp_path)
    ran = mainstem_here("run", "shop.py:daily", "--run-id", "monday", "--quiet")
    assert ran.returncode == 0, ran.stderr
    return tmp_path


@contextmanager
def ui(folder: Path, *arguments: str, **more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start it at a free port, and give the address that it prints."""
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "more": more}
    with started(folder, "ui", *arguments, "--port", "0", **streams) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("the page is at http"), line + (process.stderr.read() if process.stderr else "")
        yield process, line.split()[-1]


def ask(
    address: str, path: str = "/", method: str = "GET", token: str | None = None, body: str = ""
) -> tuple[int, str]:
    found = re.fullmatch(r"http://(127\.0\.0\.1|localhost|\[::1\]|0\.0\.0\.0):(\d+)/(?:\?token=(\S+))?", address)
    assert found, address
    with closing(http.client.HTTPConnection("127.0.0.1", int(found[2]), timeout=20)) as connection:
        headers = {"Authorization": f"Bearer {token or found[3]}", "Content-Type": "application/x-www-form-urlencoded"}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def listening(process: subprocess.Popen[str]) -> set[str]:
    """The addresses at which a process listens."""
    lines = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[3].rpartition(":")[0] for line in lines if f"pid={process.pid}," in line}


def test_it_listens_on_this_machine_only_and_ends_when_it_is_told_to(shop: Path) -> None:
    with ui(shop) as (process, address):
        assert listening(process) == {"127.0.0.1"}
        assert ask(address)[0] == 200
        assert ask(address, token="x" * 43)[0] == 401
        token = address.partition("token=")[2]
        assert len(token) == 43
        arguments = Path(f"/proc/{process.pid}/cmdline").read_text()
        assert token not in arguments
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
        assert process.returncode in (0, -signal.SIGTERM)


def test_localhost_is_both_of_its_addresses_at_one_port(shop: Path) -> None:
    with ui(shop, "--host", "localhost") as (process, address):
        assert listening(process) <= {"127.0.0.1", "[::1]"}
        assert ask(address)[0] == 200


@pytest.mark.parametrize(
    "options", [["--host", "0.0.0.0"], ["--host", "::"], ["--url", "https://pipelines.example.org"]]
)
def test_what_others_can_reach_needs_a_token(shop: Path, mainstem_here: Run, options: list[str]) -> None:
    ran = mainstem_here("ui", *options)
    assert ran.returncode == 2
    assert "needs a token of yours: --token-file, or MAINSTEM_UI_TOKEN" in ran.stderr


def test_tokens_come_from_the_environment_or_from_files_and_are_not_printed(shop: Path) -> None:
    (shop / "read").write_text(f"{OTHER}\n")
    more = {"MAINSTEM_UI_TOKEN": TOKEN}
    with ui(shop, "--host", "0.0.0.0", "--read-token-file", "read", **more) as (process, address):
        assert listening(process) == {"0.0.0.0"}
        assert TOKEN not in address
        assert ask(address, token=TOKEN)[0] == 200
        assert ask(address, token=OTHER)[0] == 200
        assert ask(address, "/rejects/1/discard", "POST", OTHER)[0] == 403
        assert ask(address, "/rejects/1/discard", "POST", TOKEN)[0] == 303
        assert ask(address, token="x" * 43)[0] == 401


@pytest.mark.parametrize(
    ("options", "more", "said"),
    [
        ([], {"MAINSTEM_UI_TOKEN": "short"}, "in MAINSTEM_UI_TOKEN must be 22 to 512 letters"),
        (["--token-file", "nowhere"], {}, "nowhere"),
        ([], {"MAINSTEM_UI_TOKEN": TOKEN, "MAINSTEM_UI_READ_TOKEN": TOKEN}, "is the same as the other"),
        (["--port", "99999"], {}, "--port is a number up to 65535"),
        (["--host", "no.such.host.invalid"], {}, "cannot listen at no.such.host.invalid"),
        (["--url", "ftp://x"], {"MAINSTEM_UI_TOKEN": TOKEN}, "--url: the address of the page is one such as https"),
        (["shop.py:nothing"], {}, "has no attribute 'nothing'"),
    ],
)
def test_wrong_usage_is_said(
    shop: Path, mainstem_here: Run, options: list[str], more: dict[str, str], said: str
) -> None:
    ran = mainstem_here("ui", *options, **more)
    assert ran.returncode == 2
    assert said in ran.stderr


def test_a_port_that_is_taken_is_said(shop: Path, mainstem_here: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ran = mainstem_here("ui", "--port", str(taken.getsockname()[1]))
    assert ran.returncode == 2
    assert "Address already in use" in ran.stderr


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path, mainstem_here: Run) -> None:
    ran = mainstem_here("ui")
    assert ran.returncode == 1
    assert "there is no store" in ran.stderr
    assert not (tmp_path / "mainstem.db").exists()


def test_rejects_are_replayed_with_the_target_that_was_given(shop: Path) -> None:
    with ui(shop, "shop.py:daily") as (_, address):
        assert ask(address, "/rejects/1/edit", "POST", body="f.amount=2&then=approve&seen=open++0")[0] == 303
        assert ask(address, "/runs/1/replay", "POST")[0] == 303
        while "replayed</b>" not in (text := ask(address, "/runs/1")[1]):
            assert "failed</span>" not in text
    assert loaded(shop) == sorted({*LOADED, FIRST})


def test_the_settings_of_a_run_are_those_it_was_started_with(shop: Path, mainstem_here: Run) -> None:
    arguments = ["run", "shop.py:daily", "--run-id", "other", "--set", "database=sqlite:///other.db", "--quiet"]
    assert mainstem_here(*arguments).returncode == 0
    with ui(shop, "shop.py:daily") as (_, address):
        count = len(REJECTED)
        assert ask(address, f"/rejects/{count + 1}/edit", "POST", body="f.amount=2&then=approve&seen=open++0")[0] == 303
        assert ask(address, "/runs/2/replay", "POST")[0] == 303
        while "replayed</b>" not in (text := ask(address, "/runs/2")[1]):
            assert "failed</span>" not in text
    assert FIRST not in loaded(shop)


def test_code_that_is_broken_is_said_at_the_start(write: Write, shop: Path, mainstem_here: Run) -> None:
    write("broken.py", "raise RuntimeError('not today')")
    ran = mainstem_here("ui", "broken.py:daily")
    assert ran.returncode == 1
    assert "not today" in ran.stderr


def test_without_the_extra_the_line_that_installs_it_is_named(
    shop: Path, mainstem_here: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    ran = mainstem_here("ui")
    assert ran.returncode == 2
    assert "pip install 'mainstem[web]'" in ran.stderr
