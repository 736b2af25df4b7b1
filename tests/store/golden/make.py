"""Make a store of this version of the schema, with an interrupted run and rejects in it: once for each version.

python -m tests.store.golden.make
"""

from __future__ import annotations

from pathlib import Path

from tests.store.records import ELSEWHERE, batch, reject, request

from mainstem.store.model import Owner, RejectQuery, RejectState, RunStatus, StageSnapshot
from mainstem.store.schema import SCHEMA
from mainstem.store.sqlite import SqliteStore

FOLDER = Path(__file__).parent


def file_of(version: int) -> Path:
    """Return where the store of a version is."""
    return FOLDER / f"version-{version}.sqlite3"


def make(file: Path, owner: Owner = ELSEWHERE) -> None:
    """Make a store: a run that was killed when its third batch was prepared, and one that has completed."""
    store = SqliteStore(file)
    done = store.begin(request("done"))
    store.prepare(done, batch(1, reject(1), reject(None, stage="outer/inner"), is_last=True))
    store.settle(done, 1)
    store.change_rejects(
        RejectQuery(stage="map"), RejectState.APPROVED, among=[RejectState.OPEN], edited='"mended"', by="Ada"
    )
    store.finish(done, RunStatus.COMPLETED, guarantee="exactly-once")
    killed = store.begin(request("killed", source={"size": 1}, target="flights.py:pipeline", owner=owner))
    snapshots = [StageSnapshot(stage="map", payload="[1]"), StageSnapshot(stage="map", payload="[2]", is_change=True)]
    store.prepare(killed, batch(1, reject(3), snapshots=snapshots[:1]))
    store.prepare(killed, batch(2, reject(14), snapshots=snapshots[1:]))
    store.prepare(killed, batch(3, reject(25), reject(26)))
    store.close()


if __name__ == "__main__":
    place = file_of(SCHEMA.version)
    if place.exists():
        raise SystemExit(f"{place} is there already, and what an earlier version made must not change")
    make(place)
