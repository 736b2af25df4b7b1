"""The report at the end of a run as one JSON document."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from mainstem.cli.durable_report import durable_document
from mainstem.cli.escape import represent
from mainstem.cli.outcome import Outcome
from mainstem.cli.report import is_plain
from mainstem.context import StageError, StageProgress
from mainstem.endpoints import LoadReport
from mainstem.engine.stage_errors import RecentErrors
from mainstem.errors import describe_error

ERRORS_INCLUDED = 100
RECORD_LENGTH = 500


def to_json(outcome: Outcome) -> str:
    """Return the outcome as one JSON document in ASCII.

    ``output`` is in it if it is a ``LoadReport`` or a small value that JSON has. Metadata is not: it may hold secrets.
    """
    total = outcome.total
    document: dict[str, Any] = {
        "pipeline": None if outcome.pipeline is None else outcome.pipeline.name,
        "run_id": outcome.context.pipeline_id,
        "status": outcome.status,
        "error": _error(outcome),
        "duration_ms": total.duration_ms,
        **_counts(total),
        "stages": [
            {"name": row.name, "state": row.state, **_counts(row.progress), **_times(row.progress)}
            for row in outcome.rows
        ],
        "accounting": None if outcome.accounting is None else asdict(outcome.accounting),
        "explanation": None if outcome.result is None else outcome.result.explain(),
        "durable": None if outcome.durable is None else durable_document(outcome.durable),
        "errors": {
            "count": _errors_counted(outcome),
            "first": [_entry(each) for each in outcome.context.errors[:ERRORS_INCLUDED]],
        },
    }
    if outcome.result is not None and outcome.status == "completed":
        document.update(_output(outcome.result.data))
    return json.dumps(document, indent=2, allow_nan=False)


def _errors_counted(outcome: Outcome) -> int:
    """Return how many errors there were in this attempt, of which a durable run holds only the last."""
    errors = outcome.context.errors
    return errors.total if isinstance(errors, RecentErrors) else len(errors)


def _counts(counts: StageProgress) -> dict[str, int]:
    return {
        "records_in": counts.records_in,
        "records_passed": counts.records_passed,
        "records_filtered": counts.records_filtered,
        "records_failed": counts.records_failed,
    }


def _times(progress: StageProgress) -> dict[str, float]:
    return {
        "duration_ms": progress.duration_ms,
        "waiting_ms": progress.waiting_ms,
        "blocked_ms": progress.blocked_ms,
        "retry_ms": progress.retry_ms,
        "throttle_ms": progress.throttle_ms,
        "queue_depth": progress.queue_depth,
    }


def _error(outcome: Outcome) -> dict[str, Any] | None:
    error, culprit = outcome.error, outcome.culprit
    if error is None:
        return None
    return {
        **_described(error),
        "stage": outcome.failed_stage,
        "index": None if culprit is None else culprit.index,
        "notes": [str(note) for note in getattr(error, "__notes__", ())],
    }


def _entry(entry: StageError) -> dict[str, Any]:
    return {
        "stage": entry.stage,
        "index": entry.index,
        **_described(entry.error),
        "record": None if entry.index is None else represent(entry.record, length=RECORD_LENGTH),
    }


def _described(error: BaseException) -> dict[str, str]:
    return {"type": type(error).__name__, "message": describe_error(error).removeprefix(type(error).__name__)[2:]}


def _output(data: Any) -> dict[str, Any]:
    if isinstance(data, LoadReport):
        return {"output": asdict(data)}
    if not is_plain(data):
        return {}
    try:
        return {"output": json.loads(json.dumps(data, allow_nan=False))}
    except (TypeError, ValueError):
        return {}  # plain to Python and not to JSON: a date, say
