"""A process that was stopped, lost its run to another, and wakes up: it commits nothing any more."""

from __future__ import annotations

import multiprocessing
import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.crash import pipelines
from tests.crash.folders import PostgresFolders, plain_folder
from tests.postgres_server import PostgresServer

from mainstem import LeaseLostError
from mainstem.faults import watch_faults

pytestmark = [pytest.mark.extras, pytest.mark.timeout(120)]

LEASE = timedelta(seconds=0.4)


def run(make: Any, folder: Path) -> Any:
    return make(folder).run(store=folder / "store.db", run_id="a", commit_every=100, lease=LEASE)


def run_and_stop_at(make: Any, folder: Path, point: str, says: Any) -> None:
    """Run, and stop this process the second time it passes a point."""
    passed = 0

    def watch(name: str) -> None:
        nonlocal passed
        passed += name == point
        if name == point and passed == 2:
            watch_faults(None)
            says.send("stopping")
            os.kill(os.getpid(), signal.SIGSTOP)

    watch_faults(watch)
    try:
        error = run(make, folder).error
        says.send((type(error).__name__, str(error)))
    except LeaseLostError as lost:
        says.send((type(lost).__name__, str(lost)))
    os._exit(0)


# On SQLite a process that is stopped between writing rows and committing them has the lock of the file: it can only be
# waited for, so what others see there is that, and nothing is at stake.
@pytest.mark.parametrize(
    ("kind", "point"),
    [
        *(("sqlite", point) for point in ("batch begins", "batch committed")),
        *(
            ("postgres", point)
            for point in ("batch begins", "batch written", "batch prepared", "target commits", "batch committed")
        ),
        *(("csv", point) for point in ("batch begins", "batch written", "batch prepared", "batch committed")),
    ],
)
def test_a_process_that_lost_its_run_commits_nothing_when_it_wakes_up(
    kind: str, point: str, postgres_server: PostgresServer
) -> None:
    folders: Any = PostgresFolders(postgres_server) if kind == "postgres" else plain_folder
    make, read = getattr(pipelines, f"to_{kind}"), getattr(pipelines, f"from_{kind}")
    with folders() as undisturbed:
        assert run(make, Path(undisturbed)).success
        expected = sorted(map(repr, read(Path(undisturbed))))
    with folders() as place:
        folder = Path(place)
        fork = multiprocessing.get_context("fork")
        heard, says = fork.Pipe(duplex=False)
        zombie = fork.Process(target=run_and_stop_at, args=(make, folder, point, says))
        zombie.start()
        assert heard.recv() == "stopping"
        os.waitpid(zombie.pid or 0, os.WUNTRACED)
        while not (resumed := _try(make, folder)).success:
            pass
        loaded = sorted(map(repr, read(folder)))
        os.kill(zombie.pid or 0, signal.SIGCONT)
        kind_of_error, text = heard.recv()
        zombie.join()
        heard.close()
        assert loaded == expected
        assert sorted(map(repr, read(folder))) == expected
        assert kind_of_error in ("LeaseLostError", "ConnectionLostError", "ConnectError"), text
        assert resumed.records_in == 1000


def _try(make: Any, folder: Path) -> Any:
    """Take the run, once the stopped process's lease has run out."""
    from mainstem import RunActiveError

    while True:
        try:
            return run(make, folder)
        except RunActiveError:
            pass
