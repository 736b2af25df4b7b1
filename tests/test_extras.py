"""What needs an optional dependency says so when it is absent, and names the line that installs it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from mainstem import FilterStage, MapStage, MissingExtraError, Pipeline, ValidateRecordsStage
from mainstem import typecheck as typecheck_module
from mainstem.connect import CsvSource, JsonLinesSource, PostgresSource
from mainstem.frames import FrameDedupeStage, FrameStage, ToRecords


@dataclass
class User:
    name: str


@pytest.fixture(autouse=True)
def without_extras(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the extras look as if they were not installed."""
    for package in (
        "adbc_driver_postgresql.dbapi",
        "beartype",
        "beartype.door",
        "loky",
        "msgspec",
        "polars",
        "pydantic",
    ):
        monkeypatch.setitem(sys.modules, package, None)
    typecheck_module._beartype_door.cache_clear()
    yield
    typecheck_module._beartype_door.cache_clear()


def increment(number: int) -> int:
    return number + 1


def test_joins_pass_unchecked() -> None:
    assert (MapStage(increment) >> FilterStage(str.isdigit)).members


def test_checking_records_is_refused() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'mainstem\[types\]'"):
        Pipeline[int, int]("checked", check="all")


def test_parsing_into_a_model_is_refused() -> None:
    with pytest.raises(MissingExtraError, match=r"Parsing records into User .* pip install 'mainstem\[models\]'"):
        ValidateRecordsStage(User)


def test_a_run_with_workers_is_refused() -> None:
    for start in (
        Pipeline[list[int], list[int]]("shared").map(increment).run,
        Pipeline[list[int], list[int]]("s").map(increment).stream,
    ):
        with pytest.raises(
            MissingExtraError, match=r"Running worker processes needs .* pip install 'mainstem\[processes\]'"
        ):
            start([1], workers=2)


@pytest.mark.parametrize("make", [lambda: FrameStage(lambda frame: frame), lambda: FrameDedupeStage("id"), ToRecords])
def test_stages_of_frames_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'mainstem\[frames\]'"):
        make()


def test_reading_frames_is_refused() -> None:
    with pytest.raises(MissingExtraError, match=r"CsvSource\(as_frames=True\) needs .*mainstem\[frames\]"):
        CsvSource("in.csv", as_frames=True)
    with pytest.raises(MissingExtraError, match=r"JsonLinesSource\(as_frames=True\) needs .*mainstem\[frames\]"):
        JsonLinesSource("in.jsonl", record_type=User, as_frames=True)


def test_reading_frames_from_postgres_is_refused() -> None:
    with pytest.raises(
        MissingExtraError, match=r"PostgresSource\(as_frames=True\) needs .*mainstem\[postgres-frames\]"
    ):
        PostgresSource("postgresql://localhost/shop", "SELECT 1", as_frames=True)
