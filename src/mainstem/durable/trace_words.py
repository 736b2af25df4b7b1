"""Which record a trace is to follow, as somebody says it, and what can be said of one that came to the sink."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mainstem.durable.why import RecordTrace
from mainstem.store.model import RunRecord, RunStatus


def has_value(key: str) -> Callable[[Any], bool]:
    """Return a function that says whether a record is meant by ``FIELD=VALUE``.

    Raises:
        ValueError: If it has no such form.
    """
    field, equals, value = key.partition("=")
    if not equals or not field:
        raise ValueError(f"a record is meant by FIELD=VALUE, and {key!r} is none")

    def is_meant(record: Any) -> bool:
        if isinstance(record, dict):
            return field in record and str(record[field]) == value  # pyright: ignore[reportUnknownArgumentType]
        return hasattr(record, field) and str(getattr(record, field)) == value

    return is_meant


def in_target(trace: RecordTrace, record: RunRecord, read: int) -> str:
    """Say whether a record that came to the sink is in the target.

    What a stage gives for a record goes to the sink before the barrier of the batch in which the record was read.

    Args:
        trace: The record.
        record: The run.
        read: How many records of the source are in batches that are known to be committed.
    """
    if trace.rejects:
        return "the target does not take it"
    if record.status is RunStatus.COMPLETED:
        return "the run has completed, so it is loaded"
    if trace.position < read:
        return f"the first {read:,} records of the source are committed, so it is loaded"
    return f"the store knows of {read:,} records of the source that are committed, and it is not among them"
