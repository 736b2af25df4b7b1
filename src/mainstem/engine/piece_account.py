"""Counting in a run what a worker process did with a piece: counts, rejects at their positions, output, failure."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mainstem.context import PipelineContext
from mainstem.engine.line import StageFailed
from mainstem.engine.sendable import describe_range
from mainstem.engine.sent_error import received
from mainstem.engine.worker import Done, SentEntry, StageCounts
from mainstem.engine.worker_pool import Piece
from mainstem.errors import NotSendableError, describe_error
from mainstem.result import CompositeResult, StageResult
from mainstem.stage_run import StageRun


async def account_for(
    piece: Piece, done: Done, packed: bytes, runs: Sequence[StageRun], end: StageRun | None
) -> Sequence[Any]:
    """Count a piece, and return the records that came out; none, if a combiner added them up.

    Args:
        piece: The piece.
        done: What became of it.
        packed: What came out, pickled.
        runs: The stages it went through, in the run.
        end: The combiner's stage, if there is one.

    Raises:
        StageFailed: If a stage failed.
        BaseException: What a function raised that is no ``Exception``.
    """
    errors = received(done.errors)
    stages = [*runs, *([] if end is None else [end])]
    _record(done.entries, errors, stages)
    for run, counts in zip(runs, done.counts, strict=False):
        if counts is not None:
            await _count(run, counts, errors)
    if done.error is not None:
        raise _failure(done, errors[done.error], stages, end)
    try:
        output = pickle.loads(packed)
    except Exception as error:
        refusal = NotSendableError(
            f"what the stage gave for {describe_range(piece.first, piece.count)} cannot be read outside the worker "
            f"process: {describe_error(error)}\nGive records that are plain data, or run without workers"
        )
        raise StageFailed(stages[-1], stages[-1].interrupt(refusal)) from error
    if end is None:
        return output  # type: ignore[no-any-return]
    _merge(end, output, done)
    return []


def _record(entries: Sequence[SentEntry], errors: Sequence[BaseException], stages: Sequence[StageRun]) -> None:
    """Record what went wrong with records, at their positions in the whole input."""
    firsts = [run.progress.records_in for run in stages]
    moved: set[int] = set()
    for entry in entries:
        by, error = firsts[entry.at_stage] - entry.first, errors[entry.error]
        assert isinstance(error, Exception)
        context: PipelineContext = stages[entry.at_stage].context
        context.chunk_start = by
        recorded = context.record_error(
            error, stage=entry.stage, record=entry.record, index=entry.index, attempts=entry.attempts
        )
        context.errors[-1] = replace(recorded, at=entry.at)
        if entry.index is not None and entry.error not in moved:
            moved.add(entry.error)
            _move_note(error, entry.index, by)


def _move_note(error: Exception, index: int, by: int) -> None:
    """Put right what a stage noted on its error, which is where it counted the record."""
    notes: list[str] = getattr(error, "__notes__", [])
    for at, note in enumerate(notes):
        where, comma, rest = note.partition(",")
        if where == f"at record {index}":
            notes[at] = f"at record {index + by}{comma}{rest}"


async def _count(run: StageRun, counts: StageCounts, errors: Sequence[BaseException]) -> None:
    run.account(counts.passed, counts.failed, counts.duration_ms, records_filtered=counts.filtered)
    run.progress.retry_ms += counts.retry_ms
    run.notes = counts.notes or run.notes
    if counts.parts is not None:
        parts = CompositeResult[Any](data=(), stage_results=_with_errors(counts.parts, (), counts.errors, errors))

        async def give(*_: Any) -> StageResult[Any]:
            return parts

        await run.feed_with(give, ())  # which adds them to the parts of the pieces before


def _with_errors(
    parts: Mapping[str, StageResult[Any]],
    path: tuple[str, ...],
    numbers: Mapping[tuple[str, ...], int],
    errors: Sequence[BaseException],
) -> dict[str, StageResult[Any]]:
    """Give the results of a stage's parts their errors back."""
    whole: dict[str, StageResult[Any]] = {}
    for name, result in parts.items():
        number = numbers.get((*path, name))
        error: Any = None if number is None else errors[number]
        whole[name] = replace(result, error=error)
        if isinstance(result, CompositeResult):
            inner = _with_errors(result.stage_results, (*path, name), numbers, errors)
            whole[name] = replace(result, error=error, stage_results=inner)
    return whole


def _failure(done: Done, error: BaseException, stages: Sequence[StageRun], end: StageRun | None) -> BaseException:
    """Return what ends the run."""
    if done.failed is None and not isinstance(error, Exception):
        return error
    assert isinstance(error, Exception)
    run = stages[done.failed or 0]
    if run is end:
        run.account(0, max(1, done.records), 0.0)
    recorded = [entry.error for entry in reversed(run.context.errors)]
    if any(known is error or known is error.__cause__ for known in recorded):
        return StageFailed(run, run.fail(error))
    return StageFailed(run, run.interrupt(error))


def _merge(end: StageRun, accumulator: Any, done: Done) -> None:
    counts, state = done.counts[-1], end.state
    merging: Any = state
    try:
        merging.merge(accumulator, done.records)
    except Exception as error:
        end.account(0, max(1, done.records), 0.0)
        raise StageFailed(end, end.interrupt(error)) from error
    end.account(done.records, 0, 0.0 if counts is None else counts.duration_ms)
