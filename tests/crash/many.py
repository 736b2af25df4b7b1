"""Many kills, or many cuts, in a process of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.crash import pipelines
from tests.crash.cuts import cut_connections
from tests.crash.folders import PostgresFolders, plain_folder
from tests.postgres_server import PostgresServer

from mainstem.testing.crashes import CrashTestFailed, survives_crashes


def kill(target: str, kills: int, seed: int) -> dict[str, Any]:
    """Kill runs into a target so many times."""
    server = PostgresServer() if target == "postgres" else None
    try:
        folder: Callable[[], Any] = plain_folder if server is None else PostgresFolders(server)
        make, read = getattr(pipelines, f"to_{target}"), getattr(pipelines, f"from_{target}")
        try:
            found = survives_crashes(make, read, kills=kills, points=False, seed=seed, folder=folder, commit_every=50)
        except CrashTestFailed as failed:
            return {"failed": 1, "what": f"seed {seed}: {failed}"}
        return {"kills": found.kills, "runs": found.runs, "failed": 0}
    finally:
        if server is not None:
            server.remove()


def cut(number: int, seed: int) -> dict[str, Any]:
    """Cut so many connections."""
    server = PostgresServer()
    try:
        found = cut_connections(server, number, seed)
    finally:
        server.remove()
    return {
        "runs": found.runs,
        "lost": found.lost,
        "doubled": found.doubled,
        **{f"cuts {k}": v for k, v in found.cuts.items()},
    }
