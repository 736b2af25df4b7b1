"""Runs and rejects page by page, for somebody who looks at them: each page in bounded time, however many there are.

Pages are read on by number, never by counting off what came before. Where no index leads to what is asked for, a page
looks at no more than ``WINDOW`` rows and says how far it came: so a rare thing among a million rejects takes a few
clicks, and no request holds up the others. Counts end at ``MOST``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mainstem.store.model import RejectRecord, RejectState, RunRecord, RunStatus
from mainstem.store.rows import (
    REJECT_COLUMNS,
    REJECTS_OF_RUNS,
    REPLAYS_OF_REJECTS,
    RUN_COLUMNS,
    counts_of,
    owner_at_work,
    readable,
    reject_record,
    run_record,
    storable,
)
from mainstem.store.session import Session

WINDOW = 10_000
"""Rows that a page looks at, at most."""
MOST = 1_000
"""The largest count that is told exactly; one more stands for more."""
GROUPED = 2_000
"""Rejects of a run whose kinds are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsAsked:
    """Which runs are asked for; what is ``None`` does not matter.

    Attributes:
        text: What the name of the run or of its pipeline contains; ASCII letters in either case.
        status: Where it stands, as the store says it.
        before: Only those with a smaller number, for reading on; the latest come first.
        limit: How many, at most.
    """

    text: str | None = None
    status: RunStatus | None = None
    before: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectsAsked:
    """Which rejects are asked for; what is ``None`` does not matter.

    Attributes:
        run: The run's number. Its rejects come by number, those of all runs the latest first.
        stage: The stage's name.
        code: The code.
        state: The state.
        text: What the message or the texts in the record contain; ASCII letters in either case.
        past: Only those that come after the one of this number, for reading on.
        limit: How many, at most.
    """

    run: int | None = None
    stage: str | None = None
    code: str | None = None
    state: RejectState | None = None
    text: str | None = None
    past: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """Runs, with their rejects counted up to ``MOST``.

    Attributes:
        runs: The runs.
        past: Where the next page begins; ``None`` if there is no more.
    """

    runs: Sequence[RunRecord]
    past: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectPage:
    """Rejects.

    Attributes:
        rejects: The rejects.
        past: Where the next page begins; ``None`` if there is no more.
        is_full: Whether there are as many as were asked for; else the page may have ended where its window did.
    """

    rejects: Sequence[RejectRecord]
    past: int | None
    is_full: bool


def run_page(session: Session, asked: RunsAsked) -> RunPage:
    """Return runs, the latest first."""
    last = _window_of_runs(session, asked.before) if asked.text or asked.status else None
    parts, values = _range("run", asked.before, last, is_backwards=True)
    if asked.status is not None:
        parts.append("status = ?")
        values.append(asked.status.value)
    if asked.text:
        parts.append("(lower(run_id) LIKE ? ESCAPE '!' OR lower(pipeline) LIKE ? ESCAPE '!')")
        values += [_like(asked.text)] * 2
    rows = session.rows(
        f"SELECT {RUN_COLUMNS} FROM runs WHERE {' AND '.join(parts)} ORDER BY run DESC LIMIT ?",
        [*values, asked.limit + 1],
    )
    shown = rows[: asked.limit]
    past = shown[-1][0] if len(rows) > asked.limit else last
    return RunPage(runs=_with_counts(session, shown), past=past)


def one_run(session: Session, run: int) -> RunRecord | None:
    """Return the run of a number; ``None`` if there is none."""
    rows = session.rows(f"SELECT {RUN_COLUMNS} FROM runs WHERE run = ?", (run,))
    return next(iter(_with_counts(session, rows)), None)


def run_number(session: Session, pipeline: str, run_id: str) -> int | None:
    """Return the number of a run; ``None`` if there is none."""
    rows = session.rows(
        "SELECT run FROM runs WHERE pipeline = ? AND run_id = ?", (storable(pipeline), storable(run_id))
    )
    return rows[0][0] if rows else None


def reject_page(session: Session, asked: RejectsAsked) -> RejectPage:
    """Return rejects: those of a run by number, those of all runs the latest first."""
    is_backwards = asked.run is None
    last = _window_of_rejects(session, asked, is_backwards=is_backwards)
    parts, values = _range("j.id", asked.past, last, is_backwards=is_backwards)
    for column, value in (
        ("j.run", asked.run),
        ("j.state", None if asked.state is None else asked.state.value),
        ("j.stage", None if asked.stage is None else storable(asked.stage)),
        ("j.code", None if asked.code is None else storable(asked.code)),
    ):
        if value is not None:
            parts.append(f"{column} = ?")
            values.append(value)
    if asked.text:
        columns = ("j.message", "j.record", "j.edited")
        parts.append(f"({' OR '.join(f'''lower({column}) LIKE ? ESCAPE '!' ''' for column in columns)})")
        written = json.dumps(asked.text)[1:-1]  # as it is in a record's text
        values += [_like(asked.text), _like(written), _like(written)]
    order = "DESC" if is_backwards else "ASC"
    rows = session.rows(
        f"SELECT {REJECT_COLUMNS} FROM {REJECTS_OF_RUNS} {REPLAYS_OF_REJECTS} WHERE {' AND '.join(parts)} "
        f"ORDER BY j.id {order} LIMIT ?",
        [*values, asked.limit + 1],
    )
    shown = rows[: asked.limit]
    is_full = len(rows) > asked.limit
    return RejectPage(rejects=[*map(reject_record, shown)], past=shown[-1][0] if is_full else last, is_full=is_full)


def reject_kinds(session: Session, run: int) -> list[tuple[str, str, int]]:
    """Return stage, code and number of the most frequent kinds among the first rejects of a run."""
    rows: list[Any] = session.rows(
        "SELECT stage, code, count(*) FROM (SELECT stage, code FROM rejects WHERE run = ? ORDER BY id LIMIT ?) few "
        "GROUP BY stage, code ORDER BY 3 DESC, 1, 2 LIMIT 8",
        (run, GROUPED),
    )
    return rows


def pulse(session: Session, runs: Sequence[int]) -> dict[int, tuple[Any, ...]]:
    """Return of the latest runs, and of some others, what changes when something happens to them."""
    columns = "run, status, epoch, committed, ended_at, beat_at, lease, owner"
    rows = session.rows(f"SELECT {columns} FROM runs ORDER BY run DESC LIMIT 100")
    latest = {row[0] for row in rows}
    others = [run for run in runs if run not in latest]
    if others:
        rows += session.rows(f"SELECT {columns} FROM runs WHERE run IN ({', '.join('?' * len(others))})", others)
    now = session.now()
    with readable("a run"):
        return {
            run: (status, epoch, committed, ended, owner_at_work(status, beat, lease, owner, now=now) is not None)
            for run, status, epoch, committed, ended, beat, lease, owner in rows
        }


def _window_of_runs(session: Session, before: int | None) -> int | None:
    """Return the number of the last run that is looked at; ``None`` if that is the last of all."""
    parts, values = _range("run", before, None, is_backwards=True)
    return _last(session, f"SELECT run AS n FROM runs WHERE {' AND '.join(parts)} ORDER BY run DESC", values)


def _window_of_rejects(session: Session, asked: RejectsAsked, *, is_backwards: bool) -> int | None:
    """Return the number of the last reject that is looked at; ``None`` if an index leads to all, or it is the last."""
    if not (asked.stage or asked.code or asked.text or (asked.state is not None and asked.run is None)):
        return None
    parts, values = _range("id", asked.past, None, is_backwards=is_backwards)
    if asked.run is not None:
        parts.append("run = ?")
        values.append(asked.run)
        if asked.state is not None:  # an index leads to these
            parts.append("state = ?")
            values.append(asked.state.value)
    order = "DESC" if is_backwards else "ASC"
    return _last(session, f"SELECT id AS n FROM rejects WHERE {' AND '.join(parts)} ORDER BY id {order}", values)


def _last(session: Session, numbers: str, values: Sequence[Any]) -> int | None:
    rows = session.rows(f"SELECT n FROM ({numbers} LIMIT 1 OFFSET ?) few", [*values, WINDOW - 1])
    return rows[0][0] if rows else None


def _range(column: str, past: int | None, last: int | None, *, is_backwards: bool) -> tuple[list[str], list[Any]]:
    parts, values = ["1 = 1"], list[Any]()
    for number, forwards, backwards in ((past, ">", "<"), (last, "<=", ">=")):
        if number is not None:
            parts.append(f"{column} {backwards if is_backwards else forwards} ?")
            values.append(number)
    return parts, values


def _like(text: str) -> str:
    escaped = storable(text.lower()).replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f"%{escaped}%"


def _with_counts(session: Session, rows: Sequence[Sequence[Any]]) -> list[RunRecord]:
    runs = [row[0] for row in rows]
    if not runs:
        return []
    marks = ", ".join("?" * len(runs))
    kept: Mapping[int, str] = dict(
        session.rows(f"SELECT run, counts FROM checkpoints WHERE run IN ({marks}) ORDER BY run, sequence", runs)
    )  # of each run the last remains
    rejects = _count_rejects(session, runs)
    now = session.now()
    return [run_record(row, now, counts_of(kept.get(row[0])), rejects.get(row[0], {})) for row in rows]


def _count_rejects(session: Session, runs: Sequence[int]) -> dict[int, dict[RejectState, int]]:
    """Count the rejects of runs by their states, each up to one more than ``MOST``."""
    several = " UNION ALL ".join([_COUNTS] * len(runs))
    found: dict[int, dict[RejectState, int]] = {}
    for run, state, number in session.rows(several, [run for run in runs for _ in range(2 * len(RejectState))]):
        if number:
            found.setdefault(int(run), {})[RejectState(state)] = number
    return found


_COUNTS = " UNION ALL ".join(
    f"SELECT ?, '{state.value}', count(*) FROM "
    f"(SELECT 1 FROM rejects WHERE run = ? AND state = '{state.value}' LIMIT {MOST + 1}) few"
    for state in RejectState
)
