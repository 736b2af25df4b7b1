"""Replays that are killed: at every step of a batch and at random, each reject is loaded once all the same."""

from __future__ import annotations

import multiprocessing
import os
import random
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mainstem import DedupeStage, MapStage, Pipeline, RejectLedger, RunActiveError, open_store
from mainstem.connect import TableSink
from mainstem.faults import kill_at, watch_faults
from mainstem.store.model import RejectState

pytestmark = [pytest.mark.extras, pytest.mark.timeout(300)]
POINTS = (
    "run taken",
    "run claimed",
    "run settled",
    "batch begins",
    "batch written",
    "store prepares",
    "batch prepared",
    "target commits",
    "batch committed",
    "run ends",
    "store finishes",
    "run ended",
    "store takes a run",
    "store settles",
)
SEED = int(os.environ.get("REPLAY_SEED", "0")) or random.randrange(1, 1 << 30)
"""Of the random kills: REPLAY_SEED=... repeats a failed test with the same."""


def refuse(number: int) -> dict[str, int]:
    raise ValueError("not yet")


def accept(number: int) -> dict[str, int]:
    if number % 100 == 99:
        raise ValueError("never")
    return {"number": number, "other": number % 500}


def other(row: dict[str, int]) -> int:
    return row["other"] if row["number"] < 100 else row["number"]


def pipeline(url: str, function: Any) -> Any:
    rows: Any = Pipeline[Any, Any]("numbers").add_stage(MapStage(function, name="row", continue_on_error=True))
    return rows.add_stage(DedupeStage(other)).add_stage(TableSink[Any](url, "numbers"))


def replay(store: str, url: str) -> Any:
    with RejectLedger(store) as ledger:
        return ledger.run_replay(pipeline(url, accept), "day", force=True)


def make_rejects(store: str, url: str, count: int) -> None:
    assert pipeline(url, refuse).run([*range(count)], store=store, run_id="day").success
    with RejectLedger(store) as ledger:
        assert ledger.approve(run_id="day") == count


def killed(store: str, url: str, point: str, occurrence: int) -> bool:
    """Replay in a process that is killed at a point; whether it was."""

    def attempt() -> None:
        kill_at(point, occurrence)
        replay(store, url)
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=attempt)
    process.start()
    process.join()
    assert process.exitcode in (0, -9)
    return process.exitcode == -9


def check(store: str, rows: Iterable[int], count: int) -> None:
    expected = Counter(number for number in range(count) if number % 100 != 99)
    assert Counter(rows) == expected
    with RejectLedger(store) as ledger:
        states = Counter(each.state for each in ledger.each(run_id="day"))
        failed = {int(each.record) for each in ledger.each(run_id="day", states=["open"])}
    assert states == {RejectState.REPLAYED: len(expected), RejectState.OPEN: count - len(expected)}
    assert failed == {number for number in range(count) if number % 100 == 99}


class Sqlite:
    def __init__(self, folder: Path) -> None:
        self.store, self.url = str(folder / "store.db"), f"sqlite:///{folder}/target.db"
        self._file = folder / "target.db"

    def rows(self) -> list[int]:
        with closing(sqlite3.connect(self._file)) as connection:
            return [number for (number,) in connection.execute("SELECT number FROM numbers")]

    def prepare(self) -> None:
        with closing(sqlite3.connect(self._file)) as connection, connection:
            connection.execute("CREATE TABLE numbers (number INTEGER, other INTEGER)")


class Postgres:
    """The store and the target in one database."""

    def __init__(self, url: str) -> None:
        self.store = self.url = url

    def rows(self) -> list[int]:
        import psycopg

        with psycopg.connect(self.url) as connection:
            return [row[0] for row in connection.execute("SELECT number FROM numbers")]

    def prepare(self) -> None:
        import psycopg

        with psycopg.connect(self.url) as connection:
            connection.execute("CREATE TABLE numbers (number BIGINT, other BIGINT)")


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Sqlite | Postgres:
    made = Sqlite(tmp_path) if request.param == "sqlite" else Postgres(request.getfixturevalue("postgres_url"))
    made.prepare()
    return made


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mainstem.durable.replay.BATCH", 50)


@pytest.mark.slow
@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_every_step_twice_in_a_row_each_reject_is_loaded_once(place: Sqlite | Postgres, point: str) -> None:
    make_rejects(place.store, place.url, 200)
    kills = [killed(place.store, place.url, point, occurrence) for occurrence in (1, 2, 1)]
    if point == "store takes a run":
        assert kills == [False, False, True], "only a replay that is resumed passes here, and only once"
    else:
        assert any(kills)
    replay(place.store, place.url)
    check(place.store, place.rows(), 200)
    report = replay(place.store, place.url)
    assert (report.replayed, report.failed_again) == (0, 0)
    check(place.store, place.rows(), 200)


def test_the_steps_are_all_that_a_replay_passes(tmp_path: Path) -> None:
    place = Sqlite(tmp_path)
    place.prepare()
    make_rejects(place.store, place.url, 100)
    passed: list[str] = []
    assert replay(place.store, place.url).failed_again == 1
    with RejectLedger(place.store) as ledger:
        ledger.edit(100, 7)
        ledger.approve(100)
    watch_faults(passed.append)
    try:
        replay(place.store, place.url)
    finally:
        watch_faults(None)
    assert set(passed) == set(POINTS)


@pytest.mark.slow
def test_ten_thousand_replayed_twice_and_killed_at_random_are_loaded_once(place: Sqlite | Postgres) -> None:
    print(f"to repeat it: REPLAY_SEED={SEED}")
    chosen = random.Random(SEED)
    make_rejects(place.store, place.url, 10_000)
    kills = sum(killed(place.store, place.url, chosen.choice(POINTS), chosen.randrange(1, 6)) for _ in range(25))
    assert kills
    replay(place.store, place.url)
    check(place.store, place.rows(), 10_000)
    assert replay(place.store, place.url).replayed == 0
    check(place.store, place.rows(), 10_000)


def test_a_replay_that_was_killed_is_not_taken_for_one_that_goes_on(tmp_path: Path) -> None:
    place = Sqlite(tmp_path)
    place.prepare()
    make_rejects(place.store, place.url, 10)
    assert killed(place.store, place.url, "batch prepared", 1)
    store = open_store(place.store)
    run, _ = store.runs()
    store.close()
    assert (run.run_id, run.is_live) == ("day (replay)", False)


def test_of_many_replays_at_once_one_goes_on_and_none_doubles(tmp_path: Path) -> None:
    place = Sqlite(tmp_path)
    place.prepare()
    make_rejects(place.store, place.url, 500)
    fork = multiprocessing.get_context("fork")
    barrier, answers = fork.Barrier(4), fork.Queue()

    def attempt() -> None:
        barrier.wait()
        try:
            answers.put(replay(place.store, place.url).replayed)
        except RunActiveError as error:
            answers.put(type(error).__name__)
        answers.close()
        answers.join_thread()
        os._exit(0)

    processes = [fork.Process(target=attempt) for _ in range(4)]
    for process in processes:
        process.start()
    found: list[Any] = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    answers.close()
    assert sorted(each for each in found if isinstance(each, int) and each) == [495]
    check(place.store, place.rows(), 500)
