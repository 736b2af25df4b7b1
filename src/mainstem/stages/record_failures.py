"""Failed records of the stages that go through their records in a loop of their own."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from mainstem.context import PipelineContext
from mainstem.errors import LateRecordError, add_note_once
from mainstem.stages.record_calls import Failure, as_failure
from mainstem.stages.record_function import RecordFunction


def blame(error: Exception, function: RecordFunction | None) -> Exception:
    """Note on an error which of the user's functions it comes from, and return it."""
    if function is not None:
        add_note_once(error, f"in {function.describe()}")
    return error


def record_failures(
    records: Sequence[Any], failed: list[Failure], context: PipelineContext, stage: str, *, go_on: bool
) -> Exception | None:
    """Record failed records in ``context.errors``, by position; late ones never fail the stage.

    Args:
        records: The records that the stage was fed.
        failed: Those that failed, in any order. It is sorted, and what comes after the failure of the stage dropped.
        context: The run's context.
        stage: The stage's name, if none is running.
        go_on: Whether to go on past failed records.

    Returns:
        The error that fails the stage, if one does.
    """
    failed.sort(key=itemgetter(0))
    for number, (position, failure) in enumerate(failed, start=1):
        error = as_failure(failure)
        context.record_error(error, stage=context.current_stage or stage, record=records[position], index=position)
        if not go_on and not isinstance(error, LateRecordError):
            add_note_once(error, f"at record {context.chunk_start + position}")
            del failed[number:]
            return error
    return None
