"""What is asked of a store in SQLite is found by an index, and read on page by page without sorting."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from mainstem.store.model import RejectQuery, RejectState
from mainstem.store.rows import REJECT_COLUMNS, REJECTS_OF_RUNS, REPLAYS_OF_REJECTS, conditions
from mainstem.store.sqlite import SqliteStore

OF_RUN = RejectQuery(pipeline="p", run_id="a")


def plan_of(folder: Path, query: RejectQuery) -> str:
    SqliteStore(folder / "runs.db").close()
    condition, values = conditions(query, "?", paged=True)
    statement = (
        f"SELECT {REJECT_COLUMNS} FROM {REJECTS_OF_RUNS} {REPLAYS_OF_REJECTS} WHERE {condition} ORDER BY j.id LIMIT 9"
    )
    with closing(sqlite3.connect(folder / "runs.db")) as connection:
        return "\n".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values))


@pytest.mark.parametrize(
    "query",
    [
        OF_RUN,
        replace(OF_RUN, code="bad"),
        replace(OF_RUN, states=[RejectState.OPEN]),
        replace(OF_RUN, after=1000, states=[RejectState.OPEN], stage="map"),
        RejectQuery(after=1000),
    ],
)
def test_pages_are_read_without_sorting(tmp_path: Path, query: RejectQuery) -> None:
    plan = plan_of(tmp_path, query)
    assert "TEMP B-TREE" not in plan, plan
    assert "SCAN r" not in plan, plan


@pytest.mark.parametrize(
    "query",
    [
        replace(OF_RUN, stage="map"),
        replace(OF_RUN, states=[RejectState.OPEN, RejectState.EDITED]),
        RejectQuery(pipeline="p"),
        RejectQuery(ids=[1, 2]),
    ],
)
def test_what_is_meant_is_found_by_an_index(tmp_path: Path, query: RejectQuery) -> None:
    plan = plan_of(tmp_path, query)
    assert "SCAN" not in plan, plan
