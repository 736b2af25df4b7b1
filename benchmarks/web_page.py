"""The page with 10,000 runs and 1,000,000 rejects in its store, and what it costs a pipeline that it is open."""

from __future__ import annotations

import gc
import http.client
import json
import os
import random
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.parse import quote, urlencode

from benchmarks.by_hand.orders import write_orders
from benchmarks.command import run_script
from benchmarks.durable import load
from benchmarks.measure import Settings
from benchmarks.row import Clock, Row, Target
from mainstem.store.sqlite import SqliteStore

RUNS = 10_000
REJECTS = 1_000_000
ORDERS = 300_000
ASKED = 40
"""How often each page is asked for in a round."""
AT_ONCE = 4
"""Clients that ask at the same time."""
_SHAPE = json.dumps(
    [
        {"name": "CsvSource", "class": "mainstem.connect.csv.CsvSource", "law": "stateful", "path": "orders.csv"},
        {"name": "parse", "class": "mainstem.stages.map.MapStage", "law": "elementwise", "function": "flows.parse"},
        {"name": "load", "class": "mainstem.connect.table_sink.TableSink", "law": "blocking", "table": "orders"},
    ]
)
_OWNER = json.dumps({"host": "another", "pid": 1, "started": "1"})
_COUNTS = json.dumps({name: {"records_in": 5000, "records_passed": 4900} for name in ("CsvSource", "parse", "load")})
_CODES = ["ValueError", "validation", "KeyError", "late"]
_STATES = ["open", "open", "open", "edited", "approved", "discarded", "replayed"]


def fill(file: Path, runs: int, rejects: int) -> None:
    """Fill a store: a fifth of the rejects are of one run, most of the others of every tenth."""
    SqliteStore(file).close()
    chance = random.Random(1)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executemany(
            "INSERT INTO runs (run, pipeline, run_id, status, epoch, lease, owner, started_at, beat_at, ended_at, "
            "shape, committed) VALUES (?, ?, ?, 'completed', 1, 10, ?, ?, ?, ?, ?, 20)",
            (
                (
                    run,
                    f"pipeline {run % 40}",
                    f"run {run}",
                    _OWNER,
                    *(run * 60.0 + each for each in (0, 30, 30)),
                    _SHAPE,
                )
                for run in range(1, runs + 1)
            ),
        )
        connection.executemany(
            "INSERT INTO checkpoints (run, sequence, counts, is_last, states, checksum) VALUES (?, 20, ?, 1, '{}', 0)",
            ((run, _COUNTS) for run in range(1, runs + 1)),
        )
        connection.executemany(
            "INSERT INTO rejects (run, stage, place, occurrence, error_type, message, code, record, is_exact, "
            "is_redacted, attempts, at, sequence, state) "
            "VALUES (?, 'parse', ?, 0, 'builtins.ValueError', ?, ?, ?, 1, 0, 1, ?, 1, ?)",
            (_reject(number, runs, chance) for number in range(rejects)),
        )


def _reject(number: int, runs: int, chance: random.Random) -> tuple[object, ...]:
    run = runs // 2 if number % 5 == 0 else 1 + number // 10 % max(1, runs // 10) * 10 % runs
    record = {"id": str(number), "name": f"customer {number}", "amount": "n/a", "note": "x" * chance.randrange(200)}
    code = _CODES[0] if number % 100_000 == 7 else chance.choice(_CODES[1:])  # and one that is rare
    message = f"could not convert string to float: 'n/a' (order {number})"
    return run, number, message, code, json.dumps(record), 1e9 + number, chance.choice(_STATES)


@dataclass(frozen=True)
class Asked:
    """A page to be asked for.

    Attributes:
        name: What the table calls it.
        paths: Where it is: another one each time.
        form: What is sent, if something is.
    """

    name: str
    paths: Callable[[random.Random], str]
    form: dict[str, str] | None = None


def pages(runs: int, rejects: int) -> list[Asked]:
    large = runs // 2
    return [
        Asked("runs", lambda _: "/"),
        Asked("runs, anywhere", lambda chance: f"/?before={chance.randrange(60, runs + 60)}"),
        Asked("runs by name", lambda chance: f"/?text=run+{chance.randrange(runs)}"),
        Asked("a run", lambda chance: f"/runs/{chance.randrange(1, runs + 1)}"),
        Asked("the run of most rejects", lambda _: f"/runs/{large}"),
        Asked("rejects", lambda _: "/rejects"),
        Asked("rejects, anywhere", lambda chance: f"/rejects?past={chance.randrange(60, rejects + 60)}"),
        Asked("rejects of a run", lambda chance: f"/rejects?run={large}&past={chance.randrange(rejects)}"),
        Asked("rejects of a run by state", lambda _: f"/rejects?run={large}&state=discarded"),
        Asked("rejects of a run by a rare code", lambda _: f"/rejects?run={large}&code=ValueError"),
        Asked("rejects by state", lambda chance: f"/rejects?state=approved&past={chance.randrange(60, rejects + 60)}"),
        Asked("rejects by text", lambda chance: f"/rejects?text={quote(f'customer {chance.randrange(rejects)}')}"),
        Asked("a reject", lambda chance: f"/rejects/{chance.randrange(1, rejects + 1)}"),
        Asked(
            "an edit, while it is typed",
            lambda chance: f"/rejects/{chance.randrange(1, rejects + 1)}/check",
            {"f.amount": "12.5"},
        ),
    ]


class Client:
    """A connection to a page, kept open."""

    def __init__(self, url: str) -> None:
        found = re.fullmatch(r"http://([\d.]+):(\d+)/\?token=(\S+)", url)
        assert found is not None, url
        self._connection = http.client.HTTPConnection(found[1], int(found[2]), timeout=60)
        self._headers = {"Authorization": f"Bearer {found[3]}"}

    def ask(self, path: str, form: dict[str, str] | None = None) -> bytes:
        headers, body = dict(self._headers), None
        if form is not None:
            headers["Content-Type"], body = "application/x-www-form-urlencoded", urlencode(form)
        self._connection.request("GET" if form is None else "POST", path, body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path} is answered with {answer.status}: {content[:500]!r}")
        return content

    def events(self, path: str) -> Iterator[bytes]:
        """Give the lines of a stream that has no end."""
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        while line := answer.readline():
            yield line

    def close(self) -> None:
        self._connection.close()


@contextmanager
def served(file: Path) -> Generator[tuple[str, int]]:
    """Start ``mainstem ui`` in a process of its own; give the address that it prints, and the process."""
    command = [sys.executable, "-m", "mainstem", "ui", "--store", str(file), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1], process.pid
        finally:
            process.terminate()


def answers(folder: Path, settings: Settings) -> list[Row]:
    """Measure how long pages take, for one who asks and for several at once."""
    runs, rejects = settings.records(RUNS), settings.records(REJECTS)
    file = folder / "runs.db"
    fill(file, max(20, runs), rejects)
    with served(file) as (url, _):
        several = pages(max(20, runs), rejects)
        rows = [_row(each.name, rejects, _times(url, [each], settings.rounds * ASKED)) for each in several]
        with ThreadPoolExecutor(AT_ONCE) as clients:
            of_each = clients.map(partial(_times, url, several, settings.rounds * ASKED), range(AT_ONCE))
            together = [each for times in of_each for each in times]
        rows.append(_row(f"all of these, {AT_ONCE} clients at once", rejects, together))
    return rows


def _times(url: str, several: list[Asked], count: int, seed: int = 0) -> list[float]:
    """Return how many milliseconds each answer took, when one that was not measured had been given."""
    client, chance = Client(url), random.Random(seed)
    found: list[float] = []
    for each in [*several, *(chance.choice(several) for _ in range(count))]:
        path = each.paths(chance)
        started = time.perf_counter()
        client.ask(path, each.form)
        found.append((time.perf_counter() - started) * 1000)
    client.close()
    return found[len(several) :]


def _row(name: str, rejects: int, times: list[float]) -> Row:
    return Row(
        figure="the page, 95 of 100 answers",
        contestant=name,
        version="",
        records=rejects,
        ratio=None,
        lowest=median(times),
        highest=max(times),
        clock="wall",
        amount=sorted(times)[min(len(times) - 1, round(0.95 * len(times)))],
        unit="ms",
        targets=(Target(100.0, "amount"),),
    )


@contextmanager
def onlooker(file: Path) -> Generator[int]:
    """Open the page as a browser does, in a process of its own, and give the process of the page."""
    with served(file) as (url, page):
        command = [
            sys.executable,
            "-c",
            "import sys; from benchmarks.web_page import look_on; look_on(sys.argv[1])",
            url,
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as browser:
            assert browser.stdout is not None
            browser.stdout.readline()
            yield page
            browser.terminate()


def look_on(url: str) -> None:
    """Do what a browser does: it is told when something happens, and asks for the runs again."""
    told, asks = Client(url), Client(url)
    asks.ask("/")
    for line in told.events("/events"):
        if line.startswith(b"retry"):
            print("looking on", flush=True)
        elif line.startswith(b"event: change"):
            asks.ask("/")


def slowdown(folder: Path, settings: Settings) -> list[Row]:
    """Measure what a durable run takes while the page is open, and what it takes alone."""
    store, url = folder / "store.db", f"sqlite:///{folder}/orders.db"
    SqliteStore(store).close()
    count = settings.records(ORDERS)
    file = folder / "orders.csv"
    write_orders(file, count)
    run = load(url, store)
    run(file)
    alone, seen = list[_Taken](), list[_Taken]()
    for number in range(2 * settings.rounds):
        for is_seen in (False, True) if number % 2 else (True, False):
            if is_seen:
                with onlooker(store) as page:
                    seen.append(_taken(run, file, page))
            else:
                alone.append(_taken(run, file, None))
    return [
        _compared("while the page is open", "wall", count, [each.wall for each in seen], [each.wall for each in alone]),
        _compared("with what the page takes", "CPU", count, [each.cpu for each in seen], [each.cpu for each in alone]),
    ]


@dataclass(frozen=True)
class _Taken:
    """Seconds that a run took, and processor seconds, those of the page's process included."""

    wall: float
    cpu: float


def _taken(run: Callable[[Path], int], file: Path, page: int | None) -> _Taken:
    gc.collect()
    before = 0.0 if page is None else _processor_seconds(page)
    wall, processor = time.perf_counter(), time.process_time()
    run(file)
    of_page = 0.0 if page is None else _processor_seconds(page) - before
    return _Taken(time.perf_counter() - wall, time.process_time() - processor + of_page)


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _compared(contestant: str, clock: Clock, count: int, seen: list[float], alone: list[float]) -> Row:
    """Compare the lowest times: others, who may be at work on this machine, can only add to them."""
    ratios = [mine / theirs for mine, theirs in zip(seen, alone, strict=True)]
    return Row(
        figure="a durable run",
        contestant=contestant,
        version="",
        records=count,
        ratio=min(seen) / min(alone),
        lowest=min(ratios),
        highest=max(ratios),
        clock=clock,
        amount=min(seen) * 1e6 / count,
        unit="µs a record",
        targets=(Target(1.02),),
    )


def measure(settings: Settings) -> list[Row]:
    with TemporaryDirectory() as place:
        return [*answers(Path(place), settings), *slowdown(Path(place), settings)]


if __name__ == "__main__":
    run_script(__doc__, measure)
