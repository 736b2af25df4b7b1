"""Requests, batches and rejects for the tests of stores."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from mainstem.store.model import (
    Checkpoint,
    NewReject,
    Owner,
    RejectQuery,
    RejectState,
    RunRequest,
    StageCounts,
)
from mainstem.store.owner import this_process
from mainstem.store.store import Store

GONE = Owner(host=this_process().host, pid=2**22 + 1, started="1")
"""A process that has ended: its run can be taken at once."""
ELSEWHERE = Owner(host="another machine", pid=1, started="1")
SHAPE = [{"name": "read", "class": "Csv", "size": 1}, {"name": "load", "class": "Table"}]


def request(run_id: str = "a", **changes: Any) -> RunRequest:
    return replace(RunRequest(pipeline="p", run_id=run_id, shape=SHAPE, owner=GONE), **changes)


def reject(index: int | None, stage: str = "map", **changes: Any) -> NewReject:
    made = NewReject(
        stage=stage,
        index=index,
        error_type="ValueError",
        message=f"no {index}",
        code="bad",
        record=f'"{index}"',
        at=datetime(2026, 1, 2, tzinfo=timezone.utc),
    )
    return replace(made, **changes)


def batch(number: int, *rejects: NewReject, records: int | None = None, **changes: Any) -> Checkpoint:
    """A batch after which the stage ``map`` has had so many records, ten for each batch."""
    counts = {"map": StageCounts(records_in=number * 10 if records is None else records)}
    return replace(
        Checkpoint(sequence=number, position={"byte": number * 100}, counts=counts, rejects=rejects), **changes
    )


def kept(store: Store, **query: Any) -> list[tuple[int | None, RejectState, bool]]:
    """What a store has of rejects: index, state, and whether it is settled."""
    return [(each.index, each.state, each.is_settled) for each in store.rejects(RejectQuery(**query))]
