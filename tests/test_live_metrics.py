"""Metrics from a real broker: in event time, with late and repeated events, and what cannot be read kept."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from examples import live_metrics
from tests.brokers.channels import Channel

from mainstem import RejectLedger

pytestmark = [pytest.mark.extras, pytest.mark.timeout(60)]


def event(number: int, minute: int, kind: str = "buy", amount: float = 1.0) -> dict[str, object]:
    return {"id": number, "at": f"2026-01-01T10:{minute:02}:30Z", "kind": kind, "amount": amount}


def test_revenue_is_summed_by_the_minute_of_the_events(tmp_path: Path) -> None:
    channel = Channel("redis")
    events = [event(1, 0), event(2, 1, amount=2.5), event(3, 0, amount=0.5), event(2, 1, amount=2.5)]
    channel.publish([*events, event(4, 1, "refund", -1.0), b"{", event(5, 9), event(6, 2), event(7, 9, "view", 0.0)])
    pipeline = live_metrics.pipeline(channel.url, channel.name, f"sqlite:///{tmp_path}/live.db", idle_seconds=0.5)
    result = pipeline.run(store=tmp_path / "runs.db", run_id="today")
    assert result.unwrap().records_loaded == 4
    with closing(sqlite3.connect(tmp_path / "live.db")) as connection:
        rows = connection.execute("SELECT kind, substr(minute, 12, 5), events, amount FROM revenue ORDER BY 2, 1")
        assert rows.fetchall() == [
            ("buy", "10:00", 2, 1.5),
            ("buy", "10:01", 1, 2.5),
            ("buy", "10:09", 1, 1.0),
            ("view", "10:09", 1, 0.0),
        ]
    with RejectLedger(tmp_path / "runs.db") as ledger:
        assert sorted(each.stage for each in ledger.each()) == ["BrokerSource", "ValidateRecordsStage", "WindowStage"]
