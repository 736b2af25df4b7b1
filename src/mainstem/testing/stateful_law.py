"""The law of stateful stages: it must not matter where the records are cut, nor whether a snapshot took over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from mainstem.context import PipelineContext
from mainstem.result import StageResult
from mainstem.stateful import GrowingState, StatefulStage
from mainstem.testing.outcome import NOTHING, LawBrokenError, Outcome, alike, outcome_of


@dataclass(frozen=True, slots=True)
class _Taken:
    """What is to be restored, what it looked like when it was taken, and what the state wanted then."""

    snapshot: Any
    changes: list[Any]
    """What came to the state after the snapshot; none, unless it is a growing one."""
    text: str
    wanted: int | None

    def __str__(self) -> str:
        return _show([self.snapshot, *self.changes])

    @property
    def what(self) -> str:
        return "a snapshot and changes" if self.changes else "a snapshot"

    def restored(self, stage: StatefulStage[Any, Any], fed: int) -> _StateRun:
        run = _StateRun(stage, fed)
        run.state.restore(self.snapshot)
        for each in self.changes:
            run.state.restore_changes(each)
        return run


class _StateRun:
    """A state fed as engines feed it: never more than it wants, nor more than it may be fed at a time."""

    def __init__(self, stage: StatefulStage[Any, Any], fed: int = 0) -> None:
        self.state: Any = stage.begin()
        self._stage = stage
        self._context = PipelineContext()
        self._context.current_stage = stage.name
        self._fed = fed
        self._failed = False
        self._snapshot: Any = None
        self._changes: list[Any] | None = None
        self.steps: list[Outcome] = []
        """The outcome of each ``feed``, and of ``finish``."""

    @property
    def outcome(self) -> Outcome:
        return reduce(Outcome.followed_by, self.steps, NOTHING)

    async def feed(self, records: Sequence[Any]) -> None:
        outcome = NOTHING
        at = 0
        while at < len(records) and self.state.wanted != 0 and not self._failed and outcome.output is not None:
            sizes = [len(records) - at, self._stage.largest_feed, self.state.wanted]
            chunk = records[at : at + min(size for size in sizes if size is not None)]
            self._context.chunk_start = self._fed
            outcome = outcome.followed_by(await self._call(self.state.feed, chunk))
            if outcome.output is not None and sum(outcome.counts) != at + len(chunk):
                raise LawBrokenError(
                    f"the counts of stage {self._stage.name!r} do not add up: fed {records[: at + len(chunk)]!r}, its "
                    f"state counted {outcome.counts} records as passed, filtered and failed"
                )
            at += len(chunk)
            self._fed += len(chunk)
        self.steps.append(outcome)

    async def finish(self) -> None:
        self._context.chunk_start = 0
        self.steps.append(NOTHING if self._failed else await self._call(self.state.finish))

    async def _call(self, method: Callable[..., Awaitable[StageResult[list[Any]]]], *records: Sequence[Any]) -> Outcome:
        errors_before = len(self._context.errors)
        try:
            result = await method(*records, self._context)
        except Exception as error:
            self._context.record_error(error)
            result = StageResult.failure(error)
        self._failed = not result.success
        return outcome_of(result, self._context, errors_before)

    def take_snapshot(self) -> _Taken | None:
        return None if self._failed else self._take(self.state.snapshot(), [])

    def take_changes(self) -> _Taken | None:
        """Take what came to a growing state since the last time, as a durable run does."""
        if self._failed:
            return None
        changes = self.state.changes()
        if changes is None:
            self._snapshot, self._changes = self.state.snapshot(), []
        elif self._changes is None:
            raise LawBrokenError(
                f"the state of stage {self._stage.name!r} gave changes before it had been asked for a snapshot"
            )
        else:
            self._changes.append(changes)
        return self._take(self._snapshot, [*self._changes])

    def _take(self, snapshot: Any, changes: list[Any]) -> _Taken:
        return _Taken(snapshot, changes, _show([snapshot, *changes]), self.state.wanted)


async def check_stateful(stage: StatefulStage[Any, Any], parts: Sequence[list[Any]]) -> None:
    """Check that a stage gives the same for its input in parts as for the whole, and for what is left after a snapshot.

    Raises:
        LawBrokenError: If it does not.
    """
    whole, cut = _StateRun(stage), _StateRun(stage)
    taken: list[_Taken | None] = []
    for at, part in enumerate(parts):
        taken.append(cut.take_snapshot())
        await cut.feed(part)
        if at == 0:  # in between, to see that the two runs do not meet in the stage
            await whole.feed([record for part in parts for record in part])
            await whole.finish()
    taken.append(cut.take_snapshot())
    await cut.finish()
    _demand(
        whole.outcome.is_like(cut.outcome),
        stage,
        f"it gives something else for {_show(parts)}, one after the other, than for all of it at once",
        {"at once": whole.outcome, "in parts": cut.outcome},
    )
    for at, each in enumerate(taken):
        if each is not None:
            await _check_restored(stage, parts, at, each, each.snapshot, cut)
    if isinstance(cut.state, GrowingState):
        await _check_growing(stage, parts, taken, cut)


async def _check_growing(
    stage: StatefulStage[Any, Any], parts: Sequence[list[Any]], whole: Sequence[_Taken | None], cut: _StateRun
) -> None:
    """Check that a snapshot and the changes after it stand for the same state as a later snapshot."""
    growing = _StateRun(stage)
    taken: list[_Taken | None] = []
    for part in parts:
        taken.append(growing.take_changes())
        await growing.feed(part)
    taken.append(growing.take_changes())
    await growing.finish()
    _demand(
        growing.outcome.is_like(cut.outcome),
        stage,
        f"it gives something else for {_show(parts)} where its state is asked for changes in between",
        {"not asked": cut.outcome, "asked": growing.outcome},
    )
    for at, (each, snapshot) in enumerate(zip(taken, whole, strict=True)):
        if each is not None and snapshot is not None:
            await _check_restored(stage, parts, at, each, snapshot.snapshot, cut)


async def _check_restored(
    stage: StatefulStage[Any, Any],
    parts: Sequence[list[Any]],
    at: int,
    taken: _Taken,
    snapshot: Any,
    without_break: _StateRun,
) -> None:
    """Check what was taken after the first ``at`` parts, where ``snapshot`` is the whole state."""
    fed, left = _show(parts[:at]), _show(parts[at:])
    what, rest = taken.what, reduce(Outcome.followed_by, without_break.steps[at:], NOTHING)
    _demand(
        str(taken) == taken.text,
        stage,
        f"{what} taken after {fed} changed when {left} was fed to the state: it shares something with it",
        {"taken": taken.text, "changed": taken},
    )
    run = taken.restored(stage, fed=sum(map(len, parts[:at])))
    again = run.state.snapshot()
    _demand(
        alike(again, snapshot),
        stage,
        f"restored from {what} taken after {fed}, its state gives another snapshot",
        {"taken": snapshot, "restored": again},
    )
    _demand(
        run.state.wanted == taken.wanted,
        stage,
        f"restored from {what} taken after {fed}, its state wants another number of records",
        {"before": taken.wanted, "restored": run.state.wanted},
    )
    for part in parts[at:]:
        await run.feed(part)
    await run.finish()
    _demand(
        run.outcome.is_like(rest),
        stage,
        f"restored from {what} taken after {fed}, it gives something else for {left}",
        {"without a break": rest, "restored": run.outcome},
    )
    _demand(
        str(taken) == taken.text,
        stage,
        f"a state restored from {what} taken after {fed} changed it when it was fed {left}: it shares something "
        "with it",
        {"taken": taken.text, "changed": taken},
    )


def _show(parts: Sequence[Any]) -> str:
    return " + ".join(repr(part) for part in parts) if parts else "nothing"


def _demand(holds: bool, stage: StatefulStage[Any, Any], claim: str, seen: dict[str, Any]) -> None:
    if not holds:
        width = max(map(len, seen)) + 2
        lines = "".join(f"\n  {name:<{width}}{value}" for name, value in seen.items())
        raise LawBrokenError(f"stage {stage.name!r} claims to be stateful, and is not: {claim}{lines}")
