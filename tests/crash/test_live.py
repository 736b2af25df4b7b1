"""What others see of a run that is worked on, or was killed."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest
from tests.at_once import answers_at_once
from tests.crash import pipelines

from mainstem import RunActiveError, RunCompletedError, open_store
from mainstem.store.model import RunStatus

pytestmark = pytest.mark.extras


def run_at_once(folder: Path, barrier: Any, answers: Any) -> None:
    barrier.wait()
    try:
        answers.put(pipelines.to_sqlite(folder).run(store=folder / "store.db", run_id="a", commit_every=50).success)
    except (RunActiveError, RunCompletedError) as error:
        answers.put(type(error).__name__)
    answers.close()
    answers.join_thread()
    os._exit(0)


def test_of_many_that_start_one_run_at_once_one_runs(tmp_path: Path) -> None:
    found = answers_at_once(8, run_at_once, tmp_path, method="fork")
    assert found.count(True) == 1
    assert set(found) <= {True, "RunActiveError", "RunCompletedError"}
    assert len(list(pipelines.from_sqlite(tmp_path))) == len({row[0] for row in pipelines.from_sqlite(tmp_path)})


def run_and_die(folder: Path) -> None:
    from mainstem.faults import kill_at

    kill_at("batch prepared", 2)
    pipelines.to_sqlite(folder).run(store=folder / "store.db", run_id="a", commit_every=100)


def test_a_run_that_was_killed_is_not_taken_for_one_that_runs(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=run_and_die, args=(tmp_path,))
    process.start()
    process.join()
    store = open_store(tmp_path / "store.db")
    (run,) = store.runs()
    assert (run.status, run.is_live) == (RunStatus.RUNNING, False)
    store.close()
    result = pipelines.to_sqlite(tmp_path).run(store=tmp_path / "store.db", run_id="a", commit_every=100)
    assert result.success
