"""Runs into PostgreSQL through a proxy that cuts their connections."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from tests.crash.folders import IN_MEMORY
from tests.postgres_server import PostgresServer
from tests.tcp_proxy import CuttingProxy

from mainstem import Pipeline
from mainstem.connect import TableSink
from mainstem.engine import batch_load

ROWS = 2000


@dataclass
class Cuts:
    """What came of many cuts."""

    cuts: Counter[str] = field(default_factory=lambda: Counter[str]())
    runs: int = 0
    lost: int = 0
    doubled: int = 0


def cut_connections(
    server: PostgresServer, wanted: int, seed: int, sink: Callable[..., TableSink[Any]] = TableSink
) -> Cuts:
    """Load tables through the proxy until so many connections were cut, and count what is lost and doubled."""
    logging.getLogger("mainstem.durable").setLevel(logging.ERROR)
    found = Cuts()
    url = server.new_database()
    while found.cuts.total() < wanted:
        proxy = CuttingProxy(server.port, seed + found.runs)
        with TemporaryDirectory(dir=IN_MEMORY) as folder, _short_pauses():
            through = url.replace(f":{server.port}/", f":{proxy.port}/")
            table = f"numbers_{found.runs}"
            pipeline = Pipeline[list[Any], Any]("numbers").add_stage(sink(through, table))
            records = [{"id": number} for number in range(ROWS)]
            while not (
                result := pipeline.run(records, store=Path(folder, "store.db"), run_id=table, commit_every=100)
            ).success:
                pass
        proxy.close()
        with psycopg.connect(url) as connection:
            ids = Counter(row[0] for row in connection.execute(f"SELECT id FROM {table}"))  # type: ignore[call-overload]
        found.lost += len(set(range(ROWS)) - set(ids))
        found.doubled += sum(count - 1 for count in ids.values())
        found.cuts += proxy.cuts
        found.runs += 1
        assert result.data.records_loaded == ROWS
    server.drop_database(url)
    return found


class _short_pauses:
    """Do not wait long before a connection is tried again: the server is there."""

    def __enter__(self) -> None:
        self._before = batch_load.FIRST_PAUSE
        batch_load.FIRST_PAUSE = 0.001

    def __exit__(self, *_: object) -> None:
        batch_load.FIRST_PAUSE = self._before
