"""The graph, the plot and the words of a run, whatever the store says of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from mainstem import BranchStage, MapStage, Pipeline
from mainstem.durable.shape import shape_of
from mainstem.stage_run import unique_names
from mainstem.store.model import Owner, RunRecord, RunStatus, StageCounts
from mainstem.store.progress import ProgressPoint
from mainstem.web.plot import HEIGHT, WIDTH, plot_of
from mainstem.web.run_graph import graph_of
from mainstem.web.run_words import events_of, where_time_went

pytestmark = pytest.mark.extras

BEGAN = datetime(2026, 3, 1, tzinfo=timezone.utc)
RECORD = RunRecord(
    run=1,
    pipeline="p",
    run_id="r",
    status=RunStatus.COMPLETED,
    is_live=False,
    epoch=1,
    owner=Owner("here", 7, "1"),
    started_at=BEGAN,
    updated_at=BEGAN + timedelta(seconds=9),
    ended_at=BEGAN + timedelta(seconds=10),
    committed=1,
    counts={},
    shape=[],
    source=None,
    target=None,
    guarantee=None,
    error=None,
    rejects={},
)


def shown(record: RunRecord) -> list[tuple[str, str, list[str]]]:
    return [(each.name, each.kind, [*each.inner]) for each in graph_of(record)]


def double(number: int) -> int:
    return 2 * number


def test_the_graph_has_the_stages_in_order_and_what_is_within_them() -> None:
    inner = Pipeline[Any, Any]("inner").map(double, name="a").map(double, name="b")
    branches = BranchStage(left=MapStage(double), right=MapStage(double), name="both")
    pipeline = Pipeline[Any, Any]("p").map(double, name="first").add_stage(inner).add_stage(branches)
    shape = shape_of(pipeline.stages, unique_names(pipeline.stages))
    assert shown(replace(RECORD, shape=shape)) == [
        ("first", "MapStage", []),
        ("inner", "Pipeline", ["a", "b"]),
        ("both", "BranchStage", ["left", "right"]),
    ]


@pytest.mark.parametrize(
    "shape", [[{}], [{"name": 5, "class": None, "stages": [["name", {}], "x", {"name": "y"}]}], [{"branches": 7}]]
)
def test_a_shape_that_is_of_another_version_is_shown_as_far_as_it_goes(shape: list[dict[str, Any]]) -> None:
    assert len(shown(replace(RECORD, shape=shape))) == 1


def test_a_stage_that_has_begun_has_its_share_of_the_time() -> None:
    counts = {"a": StageCounts(records_in=5, duration_ms=30.0), "b": StageCounts(duration_ms=10.0)}
    record = replace(RECORD, shape=[{"name": "a"}, {"name": "c"}], counts=counts)
    assert [(each.name, each.share, each.counts is None) for each in graph_of(record)] == [
        ("a", 75, False),
        ("c", 0, True),
        ("b", 25, False),
    ]


def points(*records: int, seconds: float = 1.0) -> list[ProgressPoint]:
    return [ProgressPoint(BEGAN + timedelta(seconds=at * seconds), n, 0) for at, n in enumerate(records, 1)]


@pytest.mark.parametrize("few", [[], points(10), points(10, 10, 10)])
def test_there_is_no_plot_of_too_little(few: list[ProgressPoint]) -> None:
    assert plot_of(BEGAN, few) is None


@pytest.mark.parametrize(
    "several",
    [
        points(100, 300, 350),
        points(100, 300, 300, 300),
        points(0, 0, 5),
        points(1, 10**9),
        points(5, 5, 6, seconds=0),
        points(100, 50, 100),
        points(1, 2, seconds=1e6),
    ],
)
def test_a_plot_stays_within_its_frame(several: list[ProgressPoint]) -> None:
    plot = plot_of(BEGAN, several)
    assert plot is not None
    for corner in f"{plot.line} {plot.area}".split():
        across, up = map(float, corner.split(","))
        assert 0 <= across <= WIDTH
        assert 0 <= up <= HEIGHT


def test_a_plot_says_what_it_shows() -> None:
    plot = plot_of(BEGAN, points(100, 300, 390))
    assert plot is not None
    assert plot.text == "130 records a second on average over 3.0 s, 200 at most"
    assert [each.text for each in plot.up] == ["0/s", "100/s", "200/s"]
    assert [each.text for each in plot.across] == ["0 s", "750 ms", "1.5 s", "2.2 s", "3.0 s"]


def test_what_happened_is_told_in_order() -> None:
    assert [each.what for each in events_of(RECORD)] == [
        "the run began",
        "1 batch committed by then",
        "the run ended, completed",
    ]
    failed = replace(RECORD, status=RunStatus.FAILED, error="OSError: disk full", epoch=3, committed=0)
    assert [(each.what, each.is_bad) for each in events_of(failed)][1:] == [
        ("it was taken up again 2 times, by then", False),
        ("the run ended, failed: OSError: disk full", True),
    ]
    killed = replace(RECORD, status=RunStatus.RUNNING, ended_at=None)
    assert events_of(killed)[-1].what == "the last sign of life of process 7 on here: it is gone"


def test_where_the_time_went_is_told_of_what_took_most_of_it() -> None:
    counts = {
        "fetch": StageCounts(duration_ms=9000.0, retry_ms=3000.0, throttle_ms=100.0),
        "load": StageCounts(duration_ms=900.0, waiting_ms=8000.0),
        "keep": StageCounts(duration_ms=100.0),
    }
    assert where_time_went(replace(RECORD, counts=counts)) == [
        "fetch took 9.0 s, 90% of the time in stages; 3.0 s of that pausing before it tried again",
        "load took 900 ms, 9% of the time in stages; beside that 8.0 s waiting for the stage before it",
    ]
    assert where_time_went(RECORD) == []
