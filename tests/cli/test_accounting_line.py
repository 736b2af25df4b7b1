"""The command line says where the records went."""

from __future__ import annotations

import json
from typing import Any

from tests.cli.test_report import printed
from tests.runs import pipeline_of
from tests.test_wrong_counts import Forgets

from mainstem import (
    BatchStage,
    FilterStage,
    FlattenStage,
    PipelineContext,
    PipelineStage,
)
from mainstem.cli.json_report import to_json
from mainstem.cli.outcome import Outcome
from mainstem.cli.report import print_report


def outcome_of(*stages: PipelineStage[Any, Any], data: Any) -> Outcome:
    context = PipelineContext()
    pipeline = pipeline_of(*stages)
    result = pipeline.run(data, context=context)
    return Outcome(context=context, pipeline=pipeline, result=result, error=result.error, status="completed")


def test_the_command_line_says_where_the_records_went() -> None:
    outcome = outcome_of(FilterStage(bool), BatchStage(2), FlattenStage(), data=[0, *range(1500)])
    assert "\nrecords: 1,501 in + 749 made = 1,499 given + 2 filtered + 749 combined\n" in printed(
        print_report, outcome
    )
    figures = json.loads(to_json(outcome))["accounting"]
    assert (figures["records_in"], figures["made"], figures["given"], figures["loaded"]) == (1501, 749, 1499, 0)


def test_the_command_line_says_nothing_of_records_that_do_not_add_up(miscounts: list[str]) -> None:
    outcome = outcome_of(Forgets(), data=[1, 2])
    miscounts.clear()
    assert "records:" not in printed(print_report, outcome)
    assert json.loads(to_json(outcome))["accounting"] is None
    assert json.loads(to_json(outcome))["errors"]["first"][0]["type"] == "AccountingError"
