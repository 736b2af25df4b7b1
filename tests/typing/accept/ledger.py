"""Rejects: looked at, decided on, replayed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_type

from mainstem import LoadReport, Pipeline, RejectLedger, open_store
from mainstem.connect import TableSink
from mainstem.durable.replay_options import ReplayReport
from mainstem.store.model import RejectRecord, RejectState


def to_row(text: str) -> dict[str, int]:
    return {"number": int(text)}


pipeline = (
    Pipeline[list[str], LoadReport]("numbers")
    .map(to_row, continue_on_error=True)
    .add_stage(TableSink[dict[str, int]]("sqlite:///numbers.db", "numbers"))
)


def look_and_decide() -> None:
    with RejectLedger("runs.db") as ledger:
        assert_type(ledger.list(run_id="today", states=["open", RejectState.EDITED], limit=10), list[RejectRecord])
        assert_type(ledger.each(pipeline="numbers"), Iterator[RejectRecord])
        assert_type(ledger.count(code="ValueError"), int)
        reject = ledger.get(1)
        assert_type(ledger.record_of(reject), Any)
        ledger.edit(reject.id, "2", by="ada")
        ledger.edit_fields(reject.id, {"number": 2})
        assert_type(ledger.approve(reject.id, 2, 3), int)
        assert_type(ledger.discard(stage="MapStage", states=["open"]), int)
        assert_type(ledger.reopen(1), int)
        assert_type(ledger.export(Path("rejects.csv"), "csv", escape_formulas=False, run_id="today"), int)
        assert_type(ledger.export(sys.stdout), int)


def replay() -> None:
    report = RejectLedger(open_store("runs.db")).run_replay(pipeline, "today", states=["open", "approved"], force=True)
    assert_type(report, ReplayReport)
    assert_type(report.load, LoadReport)


async def replay_in_an_event_loop() -> None:
    assert_type(await RejectLedger().replay(pipeline, "today", stage="MapStage"), ReplayReport)
