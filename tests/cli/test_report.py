"""The report at the end: what it shows of stages, output and rejects, as text and as JSON."""

from __future__ import annotations

import io
import json
import re
import time
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from mainstem import BranchStage, Guarantee, LoadReport, MapStage, Pipeline, PipelineContext, StageProgress
from mainstem.cli.json_report import to_json
from mainstem.cli.outcome import Outcome
from mainstem.cli.progress import Progress
from mainstem.cli.report import is_plain, print_rejects, print_report
from mainstem.cli.stages import format_duration, format_rate, rows_so_far


def printed(function: Any, outcome: Outcome, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width)
    function(console, outcome)
    shown = console.file
    assert isinstance(shown, io.StringIO)
    return shown.getvalue()


def outcome_of(pipeline: Pipeline[Any, Any, Any], data: Any = None) -> Outcome:
    context = PipelineContext()
    result = pipeline.run(data, context=context)
    status: Any = "completed" if result.success else "failed"
    return Outcome(context=context, pipeline=pipeline, result=result, error=result.error, status=status)


def giving(output: Any) -> Outcome:
    pipeline: Any = Pipeline[Any, Any]("gives")
    return outcome_of(pipeline.aggregate(lambda _: output))


def rejecting(reasons: list[str]) -> Outcome:
    def reject(reason: str) -> str:
        raise ValueError(reason)

    pipeline: Any = Pipeline[Any, Any]("rejects")
    return outcome_of(pipeline.add_stage(MapStage(reject, continue_on_error=True)), reasons)


def rows(shown: str) -> list[list[str]]:
    return [re.split(r"  +", line.strip()) for line in shown.splitlines()]


def test_ten_rejects_are_listed_one_by_one() -> None:
    shown = rows(printed(print_rejects, rejecting([f"reason {n}" for n in range(10)])))
    assert ["10 rejected"] in shown
    assert [row for row in shown if len(row) == 4][1:] == [
        [str(n), "MapStage", f"ValueError: reason {n}", f"'reason {n}'"] for n in range(10)
    ]


def test_more_rejects_are_grouped_by_reason_largest_first() -> None:
    reasons = ["empty", *[f"line {n} has '{n}x'" for n in range(1200)], "empty"]
    shown = rows(printed(print_rejects, rejecting(reasons)))
    assert ["1,202 rejected"] in shown
    assert [row for row in shown if len(row) == 5][1:] == [
        ["1,200", "1", "MapStage", "ValueError: line 0 has '0x'", "\"line 0 has '0x'\""],
        ["2", "0", "MapStage", "ValueError: empty", "'empty'"],
    ]


def test_only_ten_reasons_are_shown_and_the_others_counted() -> None:
    reasons = [letter * 2 for letter in "abcdefghijklm"] + ["mm"]
    shown = rows(printed(print_rejects, rejecting(reasons)))
    assert len([row for row in shown if row[-1:] and row[-1].startswith("'")]) == 10
    assert ["3", "for 3 other reasons"] in shown


def test_markup_in_what_users_wrote_is_not_interpreted() -> None:
    outcome = rejecting(["[red]x[/red]", "[/]"])
    assert outcome.pipeline is not None
    outcome.pipeline.name = "[bold]name[/]"
    shown = printed(print_report, outcome)
    assert "[bold]name[/]: completed" in shown
    assert "ValueError: [red]x[/red]" in shown
    assert "ValueError: [/]" in shown


def test_stages_that_were_not_reached_are_shown() -> None:
    pipeline: Any = Pipeline[Any, Any]("fails").map(int).map(str).aggregate(len)
    shown = rows(printed(print_report, outcome_of(pipeline, ["1", "x"])))
    assert ["MapStage", "2", "1", "0", "1"] in [row[:5] for row in shown]
    assert ["MapStage#2", "not run"] in shown
    assert ["AggregateStage", "not run"] in shown


@dataclass
class Summary:
    day: date
    total: int


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        (7, "output\n  7\n"),
        ("two\nlines\x1b[31m", "output\n  'two\\nlines\\x1b[31m'\n"),
        ({"a": 1, "b": [1, 2]}, "output\n  {'a': 1, 'b': [1, 2]}\n"),
        (Summary(date(2026, 1, 2), 3), "output\n  Summary(day=datetime.date(2026, 1, 2), total=3)\n"),
        (
            LoadReport(target="sqlite:///x.db", records_loaded=1200, guarantee=Guarantee.EXACTLY_ONCE),
            "output: 1,200 records loaded into sqlite:///x.db (exactly-once)\n",
        ),
        (
            LoadReport(target="x\x07", records_loaded=1, records_rejected=2, guarantee=Guarantee.AT_LEAST_ONCE),
            "output: 1 record loaded into x\\x07 (at-least-once), 2 rejected by it\n",
        ),
        (list(range(1000)), "output: list of 1,000\n"),
        (object(), "output: object\n"),
    ],
)
def test_the_output_is_shown_if_it_is_small_and_plain(output: Any, shown: str) -> None:
    assert shown in printed(print_report, giving(output))


def test_no_output_is_not_shown() -> None:
    assert "output" not in printed(print_report, giving(None))


def test_a_tall_output_is_cut() -> None:
    shown = printed(print_report, giving({f"key {n}": ["x" * 150] * 2 for n in range(20)}))
    assert "  … 62 more lines\n" in shown
    assert len(shown.splitlines()) < 40


def test_what_is_deep_or_large_is_not_plain() -> None:
    assert is_plain({"a": [1, ("b", None)]})
    assert not is_plain([[[[1]]]])
    assert not is_plain(list(range(100)))
    assert not is_plain([object()])


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@given(st.lists(st.text(), max_size=30))
def test_json_is_one_document_in_ascii_whatever_the_records(reasons: list[str]) -> None:
    text = to_json(rejecting(reasons))
    assert text.isascii()
    assert not any(ord(each) < 32 and each != "\n" for each in text)
    document = json.loads(text)
    assert document["errors"]["count"] == len(reasons)
    assert [each["message"] for each in document["errors"]["first"]] == reasons


def test_json_holds_the_first_hundred_errors() -> None:
    document = json.loads(to_json(rejecting(["x"] * 250)))
    assert document["errors"]["count"] == 250
    assert [each["index"] for each in document["errors"]["first"]] == list(range(100))


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (None, None),
        ({"a": [1, 2.5, "x"]}, {"a": [1, 2.5, "x"]}),
        (
            LoadReport(target="x", records_loaded=1, guarantee=Guarantee.AT_LEAST_ONCE),
            {"target": "x", "records_loaded": 1, "records_rejected": 0, "guarantee": "at-least-once"},
        ),
    ],
)
def test_json_has_the_output_if_json_can_hold_it(output: Any, expected: Any) -> None:
    assert json.loads(to_json(giving(output)))["output"] == expected


@pytest.mark.parametrize("output", [float("nan"), date(2026, 1, 1), Hostile(), list(range(1000))])
def test_json_leaves_out_any_other_output(output: Any) -> None:
    assert "output" not in json.loads(to_json(giving(output)))


def slow(name: str) -> Outcome:
    def sleep(number: int) -> int:
        time.sleep(0.02)
        return number

    pipeline: Any = Pipeline[Any, Any]("slow")
    return outcome_of(pipeline.map(sleep, name=name).map(str), [1])


def test_what_bounds_the_run_stands_under_the_table() -> None:
    table, _, below = printed(print_report, slow("crawl\x1b[31m")).partition("total")
    assert "bounds the run" not in table
    bounds = r"'crawl\\x1b\[31m' bounds the run: it computes for \d\d of \d\d ms \(\d+%\)\.\n"
    assert re.match(r".*\n *\nrecords: 1 in = 1 given\n" + bounds, below)


def test_a_run_that_is_too_short_to_say_what_bounds_it_says_nothing_of_it() -> None:
    assert "bound" not in printed(print_report, giving(7))


def test_json_has_the_times_of_each_stage_and_the_explanation() -> None:
    outcome = slow("crawl")
    assert outcome.result is not None
    document = json.loads(to_json(outcome))
    assert document["explanation"] == outcome.result.explain()
    names = ("duration_ms", "waiting_ms", "blocked_ms", "retry_ms", "throttle_ms", "queue_depth")
    for each in document["stages"]:
        progress = outcome.context.progress[each["name"]]
        assert [each[name] for name in names] == [getattr(progress, name) for name in names]
    assert document["stages"][1]["waiting_ms"] >= 20
    assert json.loads(to_json(Outcome()))["explanation"] is None


def test_json_does_not_hold_metadata() -> None:
    outcome = rejecting(["x"])
    outcome.context.metadata["password"] = "a secret"
    assert "a secret" not in to_json(outcome)


def test_the_failed_stage_is_named_where_it_lies() -> None:
    inner: Any = Pipeline[Any, Any]("inner").map(int, name="parse")
    outer: Any = Pipeline[Any, Any]("outer").add_stage(inner)
    error = json.loads(to_json(outcome_of(outer, ["1", "x"])))["error"]
    assert (error["stage"], error["index"]) == ("inner/parse", 1)


def test_a_record_that_made_a_branch_fail_is_found_and_shown_once() -> None:
    pipeline: Any = Pipeline[Any, Any]("branched").add_stage(BranchStage({"a": MapStage(int, name="parse")}))
    outcome = outcome_of(pipeline, ["1", "x"])
    error = json.loads(to_json(outcome))["error"]
    assert (error["type"], error["stage"], error["index"]) == ("BranchError", "BranchStage/a", 1)
    assert printed(print_rejects, outcome) == ""


def test_of_a_run_that_was_ended_early_the_counts_so_far_are_the_total() -> None:
    context = PipelineContext()
    context.progress["a"] = StageProgress(10, 8, 1, 1, 5.0, done=True)
    context.progress["b"] = StageProgress(8, 4, 0, 0, 5.0)
    outcome = Outcome(context=context, pipeline=Pipeline("ended"), status="cancelled")
    total = outcome.total
    assert (total.records_in, total.records_passed, total.records_filtered, total.records_failed) == (10, 4, 1, 1)
    assert [(row.name, row.state) for row in outcome.rows] == [("a", "done"), ("b", "stopped")]


def test_rows_follow_the_progress() -> None:
    context = PipelineContext()
    context.progress["a"] = StageProgress(done=True)
    context.progress["b"] = StageProgress()
    context.progress["b within"] = StageProgress()
    states = [(row.name, row.state) for row in rows_so_far(["a", "b", "c"], context)]
    assert states == [("a", "done"), ("b", "running"), ("c", "waiting"), ("b within", "running")]


def test_the_live_table_is_built_anew_from_the_progress() -> None:
    context = PipelineContext()
    progress = Progress("live", [MapStage(int, name="a"), MapStage(int, name="b")], context)

    def show() -> str:
        console = Console(file=io.StringIO(), width=100)
        console.print(progress)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    assert ["a", "waiting"] in rows(show())
    assert show().endswith("\n\n"), "the cursor is to wait in an empty line, or the echo of Ctrl-C scrolls the table"
    counts = context.progress["a"] = StageProgress(20_000, 19_990, 4, 6, 2000.0)
    assert ["a", "20,000", "19,990", "4", "6", "10.0k/s", "2.0 s", "running"] in rows(show())
    counts.done = True
    assert ["a", "20,000", "19,990", "4", "6", "10.0k/s", "2.0 s", "done"] in rows(show())
    context.progress["b"] = StageProgress(10, 10, 0, 0, 5.0, idle="input")
    assert [row[-2:] for row in rows(show()) if row[0] == "b"] == [["running", "its input"]]
    progress.stopping = True
    assert "stopping, Ctrl-C again stops at once" in show()


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        (0.1234, "0.12 ms"),
        (12.3, "12 ms"),
        (1240, "1.2 s"),
        (59_900, "59.9 s"),
        (123_000, "2 min 03 s"),
        (3_720_000, "1 h 02 min"),
    ],
)
def test_durations_have_about_three_digits(milliseconds: float, shown: str) -> None:
    assert format_duration(milliseconds) == shown


@pytest.mark.parametrize(
    ("records", "milliseconds", "shown"),
    [
        (0, 5.0, ""),
        (5, 0.0, ""),
        (5, 2000.0, "2.5/s"),
        (900, 1000.0, "900/s"),
        (3_038, 1.0, "3.0M/s"),
        (250_000, 1000.0, "250k/s"),
    ],
)
def test_rates_are_per_second_of_the_stage(records: int, milliseconds: float, shown: str) -> None:
    assert format_rate(StageProgress(records_in=records, duration_ms=milliseconds)) == shown
