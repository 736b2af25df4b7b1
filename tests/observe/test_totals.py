"""The figures of runs that have ended and of those that go on."""

from __future__ import annotations

from mainstem import PipelineContext, StageProgress
from mainstem.observe.totals import FIGURES, RunTotals, StageKey, figures_of
from mainstem.resumed_progress import ResumedProgress
from mainstem.run_observer import RunEnd, RunStart

END = RunEnd(status="completed", error=None, result=None, duration_ms=1.0)
KEY = StageKey("p", "s")


def run_of(**counts: int) -> RunStart:
    context = PipelineContext()
    context.progress["s"] = StageProgress(**counts)
    return RunStart(pipeline="p", stages=(), names=("s",), hints=(), context=context)


def test_figures_are_without_those_of_earlier_attempts() -> None:
    progress = ResumedProgress(
        records_in=10, records_passed=7, records_filtered=2, records_failed=1, duration_ms=3000.0,
        earlier=StageProgress(records_in=4, records_passed=3, records_filtered=1, duration_ms=1000.0),
    )  # fmt: skip
    assert figures_of(progress) == {
        "records_in": 6,
        "records_out": 4,
        "records_filtered": 1,
        "records_rejected": 1,
        "busy_seconds": 2.0,
    }
    assert set(figures_of(progress)) == set(FIGURES)


def test_a_run_counts_once_whether_it_goes_on_or_has_ended() -> None:
    totals, run = RunTotals(), run_of(records_in=3)
    totals.begin(run)
    assert totals.stages()[KEY]["records_in"] == 3
    assert totals.running() == {"p": 1}
    totals.end(run, END)
    totals.end(run, END)
    assert totals.stages()[KEY]["records_in"] == 3
    assert totals.running() == {"p": 0}


def test_a_figure_never_goes_down() -> None:
    totals, run = RunTotals(), run_of(records_passed=5)
    totals.begin(run)
    assert totals.stages()[KEY]["records_out"] == 5
    run.context.progress["s"].records_passed = 3  # two of them failed after all
    assert totals.stages()[KEY]["records_out"] == 5
    totals.end(run, END)
    again = run_of(records_passed=4)
    totals.begin(again)
    assert totals.stages()[KEY]["records_out"] == 7
