"""The pages of runs: the list, one run, and the replay of its rejects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from mainstem.durable.run_states import INTERRUPTED, host_of, records_read, replayed_run, state_of
from mainstem.store.model import RejectState, RunRecord, RunStatus
from mainstem.store.pages import RunsAsked, reject_kinds, run_number, run_page
from mainstem.store.progress import read_progress
from mainstem.web.plot import plot_of
from mainstem.web.reject_pages import replayable_states
from mainstem.web.run_graph import graph_of
from mainstem.web.run_words import events_of, where_time_went
from mainstem.web.visits import Visit, address, go_to, number_of

_STATUSES = {**{each.value: each for each in RunStatus}, INTERRUPTED: RunStatus.RUNNING}


def list_runs(visit: Visit) -> Response:
    """Show runs, the latest first."""
    state, text, before = visit.query("state"), visit.query("text"), number_of(visit.query("before"))
    if state is not None and state not in _STATUSES:
        raise HTTPException(400, f"a run is {', '.join(_STATUSES)}")
    asked = RunsAsked(text=text, status=None if state is None else _STATUSES[state], before=before)
    page = visit.read(run_page, asked)
    # Whether a run is interrupted shows when one looks, and is nowhere in the store.
    records = [each for each in page.runs if state is None or state_of(each) == state]
    values = {
        "rows": [_row(each) for each in records],
        "filter": {"state": state or "", "text": text or ""},
        "states": [*_STATUSES],
        "next": None if page.past is None else address("/", state=state, text=text, before=page.past),
        "first": address("/", state=state, text=text) if before is not None else None,
        "live": "/events" if before is None else None,
        "seen": visit.site.live.state_of(None),
    }
    return visit.page("runs.html", values)


def _row(record: RunRecord) -> dict[str, Any]:
    rejects = record.rejects
    return {
        "run": record,
        "read": records_read(record, record.counts),
        "rejected": _total(rejects),
        "waiting": _total({each: rejects.get(each, 0) for each in (RejectState.OPEN, RejectState.EDITED)}),
    }


def _total(rejects: Mapping[RejectState, int]) -> int:
    return sum(rejects.values())


def show_run(visit: Visit) -> Response:
    """Show one run."""
    record = visit.run
    code = visit.code_of(record)
    of = replayed_run(record)
    values: dict[str, Any] = {
        "run": record,
        "host": host_of(record),
        "read": records_read(record, record.counts),
        "graph": graph_of(record),
        "words": where_time_went(record),
        "events": events_of(record),
        "kinds": visit.read(reject_kinds, record.run) if record.rejects else [],
        "replays_run": None if of is None else visit.read(run_number, record.pipeline, of),
        "code": None if code is None else str(code),
        "plot": plot_of(record.started_at, visit.read(read_progress, record.run)),
        "job": visit.site.replays.of(record.run),
        "waiting": {each.value: record.rejects.get(each, 0) for each in RejectState},
        "live": f"/events?run={record.run}",
        "seen": visit.site.live.state_of(record.run),
    }
    return visit.page("run.html", values)


def replay(visit: Visit) -> Response:
    """Begin to replay the rejects of a run; the page of the run shows what comes of it."""
    record = visit.run
    code = visit.code_of(record)
    if code is None:
        raise HTTPException(
            409,
            f"this page was started without the code of pipeline {record.pipeline!r}: start it again as "
            "mainstem ui TARGET, or use mainstem rejects replay",
        )
    states = replayable_states([value for name, value in visit.form if name == "state"])
    visit.site.replays.start(record, code, states)
    return go_to(f"/runs/{record.run}#replay")
