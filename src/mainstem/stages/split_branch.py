"""One branch of a split: stages that are fed some of the records, one run of neighbours after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from mainstem.context import PipelineContext, StageError
from mainstem.result import CompositeResult, StageResult
from mainstem.stage import PipelineStage
from mainstem.stage_run import StageRun, summarize, unique_names
from mainstem.take_all import iterate


@dataclass(frozen=True, slots=True)
class _Passage:
    """What went into a stage of the branch and came out, and where its errors are among those of the branch."""

    taken: Sequence[Any]
    given: Sequence[Any]
    errors: range


class SplitBranch:
    """A branch within one call of the split's ``process``.

    Args:
        name: The branch's name.
        stage: Its stage: elementwise, or a chain of such.
        context: The context of the run that the split is in.
        split_name: What reports call the split.
    """

    def __init__(self, name: str, stage: PipelineStage[Any, Any], context: PipelineContext, split_name: str) -> None:
        self.name = name
        self._run_errors = context.errors
        within = context.child(split_name).child(name)
        # Its own list: other stages may run beside it, and what they record meanwhile is not to be taken for its own.
        self._errors: list[StageError] = []
        within.errors = self._errors
        members = stage.members
        self._runs = [
            StageRun(member, each, within) for each, member in zip(unique_names(members), members, strict=True)
        ]
        self._is_chain = len(members) > 1
        self._started = perf_counter()
        self._ms = 0.0

    async def feed(self, records: Sequence[Any], position: int) -> StageResult[Sequence[Any]]:
        """Run the branch on neighbouring records, the first of which is at ``position`` in the split's input.

        Returns:
            The output, with counts in the unit of the split's input. Those of a stage after one that may give several
            records for one are in no such unit, and left out: unless it fails the branch, which is one record's fault.
        """
        started = perf_counter()
        data: Any = records
        filtered = failed = 0
        same_unit = True
        passages: list[_Passage] = []
        for run in self._runs:
            run.progress.records_in = position  # what the positions of its errors count from
            errors_before = len(self._errors)
            try:
                result = await self._feed_stage(run, data)
            finally:
                errors = range(errors_before, len(self._errors))
                if passages and errors:
                    self._correct_positions(errors, passages, position)
                self._run_errors += self._errors[errors_before:]
            if not result.success:
                self._ms += (perf_counter() - started) * 1000
                return self._failure(result, filtered, failed, same_unit=same_unit)
            if same_unit:
                filtered += result.records_filtered
                failed += result.records_failed
                same_unit = not _expands(run)
            passages.append(_Passage(data, result.data or (), errors))
            data = result.data
        self._ms += (perf_counter() - started) * 1000
        return StageResult(
            data=data, records_processed=len(records) - failed, records_failed=failed, records_filtered=filtered
        )

    async def _feed_stage(self, run: StageRun, data: Any) -> StageResult[Any]:
        result = await run.feed(data)
        if not result.success:
            return result
        output: Any = result.data
        if isinstance(output, (list, tuple)):
            return result
        try:
            return replace(result, data=list(iterate(output)))
        except Exception as error:
            return replace(result, success=False, data=None, error=run.interrupt(error).error)

    @staticmethod
    def _failure(result: StageResult[Any], filtered: int, failed: int, *, same_unit: bool) -> StageResult[Any]:
        return StageResult(
            success=False,
            error=result.error,
            records_processed=filtered + (result.records_processed if same_unit else 0),
            records_failed=failed + (result.records_failed if same_unit else 1),
            records_filtered=filtered + (result.records_filtered if same_unit else 0),
        )

    def _correct_positions(self, errors: range, passages: Sequence[_Passage], position: int) -> None:
        """Make the positions of a later stage's errors those in the split's input.

        The stage counts what it is fed, and those before it may have dropped records.
        """
        positions = self._trace(passages, position)
        for at in errors:
            entry = self._errors[at]
            if entry.index is not None:
                index = None if positions is None else positions[entry.index - position]
                self._errors[at] = replace(entry, index=index)
                _correct_note(entry.error, entry.index, index)

    def _trace(self, passages: Sequence[_Passage], position: int) -> list[int] | None:
        """Return which records of the split's input came through; ``None`` where that cannot be known."""
        positions = list(range(position, position + len(passages[0].taken)))
        for run, passage in zip(self._runs, passages, strict=False):
            if _expands(run):
                return None
            # Where a passage is not the first, its errors are at positions that were corrected already.
            failed = {self._errors[at].index for at in passage.errors}
            kept = [at for at, index in enumerate(positions) if index not in failed]
            if len(kept) > len(passage.given):
                kept = _find_again(passage, kept)
            positions = [positions[at] for at in kept]
            if len(positions) != len(passage.given):
                return None
        return positions

    def result(self) -> StageResult[Any]:
        """Return the outcome over all that the branch was fed, without the data."""
        for run in self._runs:
            counts = run.progress
            counts.records_in = counts.records_passed + counts.records_filtered + counts.records_failed
        if not self._is_chain:
            return self._runs[0].total()
        last = next((run for run in self._runs if not run.succeeded), self._runs[-1])
        return CompositeResult(success=last.succeeded, error=last.error, duration_ms=self._ms, **summarize(self._runs))


def _find_again(passage: _Passage, candidates: Sequence[int]) -> list[int]:
    """Return at which of the ``candidates`` the records that a filter kept were; they are the very same objects."""
    found: list[int] = []
    remaining = iter(candidates)
    for record in passage.given:
        at = next((each for each in remaining if passage.taken[each] is record), None)
        if at is not None:
            found.append(at)
    return found


def _correct_note(error: Exception, counted: int, index: int | None) -> None:
    """Correct what the stage noted on its error, which is where it counted the record."""
    notes: list[str] = getattr(error, "__notes__", [])
    for at, note in enumerate(notes):
        if note.startswith(f"at record {counted},"):
            notes[at] = note.replace(
                f"at record {counted}", "at a record made in the branch" if index is None else f"at record {index}", 1
            )


def _expands(run: StageRun) -> bool:
    stage: Any = run.stage
    return bool(stage.expands)
