"""The stages of a pipeline in a replay: each record goes through them by itself, and whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mainstem.context import PipelineContext, StageError
from mainstem.durable.batches import counts_of, progress_of
from mainstem.durable.replay_path import Manner, Step
from mainstem.durable.states import encoded_snapshot, restore_state
from mainstem.engine.barrier import changes_of
from mainstem.errors import StoreError, describe_error
from mainstem.result import StageResult
from mainstem.stage_run import StageRun
from mainstem.stateful import StageState
from mainstem.store.model import Checkpoint, StageCounts, StageSnapshot

_AT_RECORD = re.compile(r"^at record \d+")


@dataclass(frozen=True, slots=True)
class Passage:
    """What became of a record.

    Attributes:
        outputs: What came out at the end.
        failure: Why it failed.
        moved: Whether it is the record in ``failure`` that is left of it now, and not what it was.
    """

    outputs: Sequence[Any] = field(default_factory=lambda: list[Any]())
    failure: StageError | None = None
    moved: bool = False


class ReplayStages:
    """The stages, with their states and counts as they are after the last committed batch, or on from there.

    Args:
        steps: Those that a record may go through.
        context: The replay's context.
        of_run: The last checkpoint of the run whose rejects are replayed.
        of_replay: That of the replay.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        context: PipelineContext,
        of_run: Checkpoint | None,
        of_replay: Checkpoint | None,
    ) -> None:
        self._kept = [step for step in steps if step.manner is Manner.KEPT]
        self._context = context
        self._counts: Mapping[str, StageCounts] = {} if of_replay is None else of_replay.counts
        self._snapshots: list[StageSnapshot] = []
        for checkpoint in (of_run, of_replay):
            self._snapshots += () if checkpoint is None else checkpoint.snapshots
        self._runs: dict[str, StageRun] = {}
        self.go_back()

    def go_back(self) -> None:
        """Forget all since the last committed batch."""
        self._runs = {}
        for step in self._kept:
            state = self._restored(step)
            self._run_of(step).state = state

    def _restored(self, step: Step) -> StageState[Any, Any]:
        stage: Any = step.stage
        state: StageState[Any, Any] = stage.begin()
        try:
            restore_state(state, [each for each in self._snapshots if each.stage == step.path])
        except Exception as error:
            raise StoreError(f"the state of stage {step.path!r} cannot be restored: {describe_error(error)}") from error
        return state

    def _run_of(self, step: Step) -> StageRun:
        run = self._runs.get(step.path)
        if run is None:
            context = self._context
            for name in step.within:
                context = context.child(name)
            context = context.beside()
            context.errors = []
            run = self._runs[step.path] = StageRun(step.stage, step.name, context)
            if step.path in self._counts:
                run.progress = progress_of(self._counts[step.path])
            if step.manner is Manner.AFRESH:
                stage: Any = step.stage
                run.state = stage.begin()
        return run

    def full(self, steps: Sequence[Step]) -> Step | None:
        """Return the first of the stages that wants no more records, if there is one."""
        for step in steps:
            state = self._run_of(step).state
            if step.manner is Manner.KEPT and state is not None and state.wanted == 0:
                return step
        return None

    async def take(self, steps: Sequence[Step], record: Any) -> Passage:
        """Let a record go through some stages."""
        data = [record]
        for step in steps:
            run = self._run_of(step)
            run.context.errors.clear()
            result = await self._feed(step, run, data)
            if not result.success or run.context.errors:
                return _failed(run.context.errors, data, result)
            data = [*(result.data or ())]
            if not data:
                break
        return Passage(data)

    async def _feed(self, step: Step, run: StageRun, data: Sequence[Any]) -> StageResult[Any]:
        stage: Any = step.stage
        if step.manner is Manner.ALONE:
            run.state = stage.begin()
        output: list[Any] = []
        size = getattr(stage, "largest_feed", None) or len(data)
        for at in range(0, len(data), size):
            result = await run.feed([*data[at : at + size]])
            if not result.success:
                return result
            output += result.data or ()
        if step.manner is Manner.ALONE:
            result = await run.finish()
            if not result.success:
                return result
            output += result.data or ()
        return StageResult(data=output)

    def counts(self) -> dict[str, StageCounts]:
        """Return the counts of all replays of the run together, by stage."""
        return {**self._counts, **{path: counts_of(run.progress) for path, run in self._runs.items()}}

    def snapshots(self) -> list[StageSnapshot]:
        """Return the states that are kept, or what came to them since they were last asked for."""
        taken: list[StageSnapshot] = []
        for step in self._kept:
            state: Any = self._runs[step.path].state
            changes = changes_of(state)
            if changes is None:
                taken.append(encoded_snapshot(step.path, state.snapshot()))
            else:
                taken.append(encoded_snapshot(step.path, changes, is_change=True))
        return taken

    def committed(self, checkpoint: Checkpoint) -> None:
        """Take note that what was done until then is committed."""
        self._counts = checkpoint.counts
        whole = {each.stage for each in checkpoint.snapshots if not each.is_change}
        self._snapshots = [each for each in self._snapshots if each.stage not in whole]
        self._snapshots += checkpoint.snapshots


def _failed(errors: Sequence[StageError], data: Sequence[Any], result: StageResult[Any]) -> Passage:
    """Say which record failed: the one that the stage was handed, if nothing else has come of the reject."""
    entry = next((each for each in errors if each.index is not None), errors[0])
    moved = len(data) == 1 and len(errors) == 1 and not result.data
    if moved and entry.index is None and entry.record is None:
        entry = replace(entry, record=data[0])
    return Passage(failure=entry, moved=moved)


def name_reject(error: Exception, reject: int) -> None:
    """Let the notes of an error say which reject it is about, where they say at which record of the replay it was."""
    notes: list[str] = getattr(error, "__notes__", [])
    notes[:] = [_AT_RECORD.sub(f"in the replay of reject {reject}", note, count=1) for note in notes]
