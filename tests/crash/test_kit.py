"""``survives_crashes`` itself: what it reports, what its seed repeats, and what it says when it is used wrongly."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.crash.folders import plain_folder

from mainstem import Pipeline
from mainstem.connect import CsvSink
from mainstem.testing import CrashTestFailed, crashes, survives_crashes
from mainstem.testing.crash_content import Content
from mainstem.testing.crashes import CrashTest

pytestmark = [pytest.mark.extras, pytest.mark.timeout(120)]

RECORDS = 500


def as_record(number: int) -> dict[str, int]:
    return {"number": number}


def into(file: Path) -> Any:
    return Pipeline[Any, Any]("numbers").map(as_record).add_stage(CsvSink(file))


def make(folder: Path) -> Any:
    return into(folder / "out.csv")


def read(folder: Path) -> list[str]:
    return (folder / "out.csv").read_text().splitlines()


def survive(make: Any = make, read: Any = read, **options: Any) -> Any:
    return survives_crashes(make, read, **{"data": range(RECORDS), "kills": 0, "folder": plain_folder, **options})


def test_the_report_counts_what_was_done() -> None:
    report = survive(kills=0, seed=7)
    assert (report.records, report.seed) == (RECORDS + 1, 7)
    assert report.points >= {"run claimed", "batch begins", "target completes"}
    assert len(report.points) <= report.runs <= 3 * len(report.points)  # at up to three of its times each
    assert report.runs < report.kills <= 2 * report.runs  # most are killed again when they are resumed


def test_random_kills_come_on_top() -> None:
    report = survive(kills=3, points=False)
    assert (report.kills, report.points) == (3, set())
    assert report.runs >= 1


def test_with_worker_processes() -> None:
    report = survive(kills=2, points=False, workers=2)
    assert (report.kills, report.records) == (2, RECORDS + 1)


class NeverEnds:
    """A process that is killed before its end whenever that is; it keeps how long it was waited for."""

    exitcode = None

    def __init__(self, waits: list[float]) -> None:
        self._waits = waits

    def join(self, seconds: float | None = None) -> None:
        if seconds is not None:
            self._waits.append(seconds)

    def kill(self) -> None:
        pass


def kill_times(seed: int, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []
    test = CrashTest(make, read, None, None, plain_folder, 100, None, seed)
    monkeypatch.setattr(test, "_seconds", 1.0)
    monkeypatch.setattr(test, "_start", lambda *_: NeverEnds(waits))
    monkeypatch.setattr(test, "_finish", lambda *_: None)
    test.kill_at_random(Content(Counter(), Counter(), {}), 5)
    return waits


def test_the_seed_repeats_the_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    times = kill_times(7, monkeypatch)
    assert len(set(times)) == 5
    assert all(0 <= each < 1 for each in times)
    assert kill_times(7, monkeypatch) == times
    assert kill_times(8, monkeypatch) != times


def test_the_time_in_which_it_kills_follows_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    test = CrashTest(make, read, range(RECORDS), None, plain_folder, 100, None, 1)
    expected = test.undisturbed()
    monkeypatch.setattr(test, "_seconds", 1000.0)  # as if the machine had been busy when it was measured
    test.kill_at_random(expected, 1)
    assert test._seconds < 100  # pyright: ignore[reportPrivateUsage]
    assert test.report.runs == 1


def raising(_: Path) -> Any:
    raise KeyError("city")


def exiting(_: Path) -> Any:
    os._exit(3)


def nothing(_: Path) -> Any:
    return None


def no_records(_: Path) -> list[str]:
    return []


def without_sink(_: Path) -> Any:
    return Pipeline[Any, Any]("numbers").map(as_record)


def elsewhere(folder: Path) -> Any:
    return into(folder.parent / "mainstem-elsewhere.csv")


def from_elsewhere(folder: Path) -> list[str]:
    return (folder.parent / "mainstem-elsewhere.csv").read_text().splitlines()


def with_a_number_of_its_own(folder: Path) -> Any:
    return Pipeline[Any, Any]("numbers").map(lambda _: {"folder": folder.name}).add_stage(CsvSink(folder / "out.csv"))


@pytest.mark.parametrize(
    ("make", "read", "message"),
    [
        (raising, read, "make() failed: KeyError: 'city'"),
        (exiting, read, "the process ended with 3"),
        (nothing, read, "make() must return a Pipeline, and returned None"),
        (without_sink, nothing, "read() failed: TypeError: 'NoneType' object is not iterable"),
        (without_sink, no_records, "read() finds no record after the run: does the pipeline end in a sink?"),
        (make, raising, "read() failed: KeyError: 'city'"),
        (elsewhere, from_elsewhere, "read() finds 501 records in a folder that nothing was loaded into"),
        (with_a_number_of_its_own, read, "a second run does not load what the first one did"),
    ],
)
def test_what_cannot_be_tested_is_said(
    make: Callable[[Path], Any], read: Callable[[Path], Any], message: str, tmp_path: Path
) -> None:
    numbers = iter(range(100))

    def folder() -> Any:
        place = tmp_path / str(next(numbers))
        place.mkdir()
        return _Kept(place)

    with pytest.raises(CrashTestFailed, match=r"^undisturbed:\n" + re.escape(message)) as failed:
        survive(make, read, folder=folder)
    assert "to repeat it" not in str(failed.value)


class _Kept:
    """A folder as a context manager."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def __enter__(self) -> Path:
        return self._place

    def __exit__(self, *_: object) -> None:
        pass


def test_a_store_that_has_the_run_already_is_no_success(tmp_path: Path) -> None:
    def store(_: Path) -> Path:
        return tmp_path / "store.db"

    with pytest.raises(CrashTestFailed, match="run 'crash' of pipeline 'numbers' has completed"):
        survive(store=store)


def fails_when_resumed(folder: Path) -> Any:
    if (folder / "made").exists() and not (folder / "failed").exists():
        (folder / "failed").touch()
        raise ValueError("not again")
    (folder / "made").touch()
    return make(folder)


def test_an_attempt_that_fails_is_not_made_good_by_the_next() -> None:
    with pytest.raises(CrashTestFailed, match="make\\(\\) failed: ValueError: not again\nto repeat it"):
        survive(fails_when_resumed, seed=1)


def hangs_when_resumed(folder: Path) -> Any:
    if (folder / "made").exists():
        signal.pause()
    (folder / "made").touch()
    return make(folder)


def test_an_attempt_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crashes, "ATTEMPT_SECONDS", 0.1)
    with pytest.raises(CrashTestFailed, match="the run had not come to its end after"):
        survive(hangs_when_resumed)
