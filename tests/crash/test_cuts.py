"""Connections to PostgreSQL cut at any moment, and servers that crash: nothing lost, nothing doubled."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.crash.cuts import cut_connections
from tests.postgres_server import PostgresServer

from mainstem import Pipeline
from mainstem.connect import TableSink
from mainstem.endpoints import Claim, SinkTransaction

pytestmark = [pytest.mark.extras, pytest.mark.timeout(240)]


@pytest.mark.slow
def test_five_hundred_cuts_lose_and_double_nothing(postgres_server: PostgresServer) -> None:
    seed = random.randrange(2**32)
    found = cut_connections(postgres_server, 500, seed)
    repeat = f"python -m tests.crash cuts --number 500 --seed {seed}"
    assert (found.lost, found.doubled) == (0, 0), repeat
    assert min(found.cuts.values()) > 50, f"{found.cuts}: not all moments were met, {repeat}"


class Blind(TableSink[Any]):
    """A sink that keeps no numbers: whoever writes a batch again cannot know whether it is there."""

    async def claim(self, claim: Claim) -> None:  # type: ignore[override]
        return None

    async def begin_batch(self, context: Any, claim: Claim, sequence: int) -> SinkTransaction[Any]:
        return await self.begin(context)


def test_without_numbers_the_cuts_do_double(postgres_server: PostgresServer) -> None:
    assert cut_connections(postgres_server, 60, 1, Blind).doubled > 0


@pytest.fixture
def crashing_server() -> Iterator[PostgresServer]:
    """A server of this test alone, because it is stopped again and again."""
    server = PostgresServer()
    yield server
    server.remove()


@pytest.mark.slow
def test_a_server_that_crashes_again_and_again_loses_and_doubles_nothing(
    crashing_server: PostgresServer, tmp_path: Path
) -> None:
    url, rows, crashes = crashing_server.new_database(), 30_000, 10
    done = threading.Event()
    results: list[Any] = []

    def load() -> None:
        try:
            pipeline = Pipeline[list[Any], Any]("numbers").add_stage(TableSink(url, "numbers"))
            records = [{"id": number} for number in range(rows)]
            while not (results and results[-1].success):
                results.append(pipeline.run(records, store=tmp_path / "store.db", run_id="a", commit_every=100))
        finally:
            done.set()

    thread = threading.Thread(target=load)
    thread.start()
    for _ in range(crashes):
        if done.wait(random.uniform(0.05, 0.3)):
            break
        crashing_server.crash()
        crashing_server.start()
    thread.join()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*), count(DISTINCT id) FROM numbers").fetchall() == [(rows, rows)]
    assert len(results) == 1, "it goes on by itself when the server is back"
