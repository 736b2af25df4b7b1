"""What became of one record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_type

from mainstem import Pipeline, RecordFate, RecordStep, RecordTrace, explain_record, open_store
from mainstem.connect import CsvSource

pipeline = Pipeline[None, list[dict[str, str]]]("orders").add_stage(CsvSource("orders.csv"))


def is_wanted(record: Any) -> bool:
    return bool(record["id"] == "7")


async def explain() -> None:
    trace = await explain_record(pipeline, position=7)
    assert_type(trace, RecordTrace)
    assert_type(trace.steps, Sequence[RecordStep])
    assert_type(trace.steps[0].fate, RecordFate)
    await explain_record(pipeline, where=is_wanted, store=open_store("runs.db"), run_id="today")
