"""What can be said of a run from its record: where it stands, what it read, on which machine it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mainstem.store.model import RunRecord, RunStatus, StageCounts

INTERRUPTED = "interrupted"
"""What a run is called whose process was killed: the store says running, and nobody works on it."""
STATES = (*(each.value for each in RunStatus), INTERRUPTED)


def state_of(record: RunRecord) -> str:
    """Return where a run stands, in one word."""
    if record.status is RunStatus.RUNNING and not record.is_live:
        return INTERRUPTED
    return record.status.value


def replayed_run(record: RunRecord) -> str | None:
    """Return the run whose rejects a run replays; ``None`` if it is no replay."""
    return None if record.source is None else record.source.get("rejects of run")


def records_read(record: RunRecord, counts: Mapping[str, StageCounts]) -> int:
    """Return how many records of its source a run had read by the time of some counts."""
    first: Mapping[str, Any] = record.shape[0] if record.shape else {}
    of_source = counts.get(str(first.get("name")))
    return 0 if of_source is None else of_source.records_in


def host_of(record: RunRecord) -> str:
    """Return the name of the machine that a run is on, or was last."""
    return record.owner.host.split()[0] if record.owner.host.strip() else ""
