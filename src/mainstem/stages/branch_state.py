"""Branches that all add up: fed chunk by chunk, they keep their accumulators and not the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from mainstem.context import PipelineContext
from mainstem.errors import BranchError, describe_error
from mainstem.result import CompositeResult, StageResult
from mainstem.side_by_side import run_side_by_side
from mainstem.stage import PipelineStage, StageKind
from mainstem.stage_run import StageRun, State, summarize, unique_names
from mainstem.stages.aggregate import AggregateStage
from mainstem.stateful import StatefulStage, takes_chunks

_KEEP_STATE: tuple[type[Any], ...] = (StatefulStage, AggregateStage)


def adds_up(stage: PipelineStage[Any, Any]) -> bool:
    """Whether a branch needs no more of the data than a chunk: its stages take chunks, and the last is a combiner."""
    *before, last = stage.members
    return all(map(takes_chunks, before)) and last.kind is StageKind.COMBINER and isinstance(last, AggregateStage)


class BranchState:
    """What branches that add up keep within one run.

    Args:
        branches: The stages by name.
        name: The name of the stage they are branches of.
        collect: Makes the output of the branches' outputs.
    """

    wanted: int | None = None

    def __init__(
        self,
        branches: Mapping[str, PipelineStage[Any, Any]],
        name: str,
        collect: Callable[[Mapping[str, Any]], Any],
    ) -> None:
        self._branches, self._name, self._collect = branches, name, collect
        self._ways: dict[str, _Way] = {}
        self._records = 0

    async def feed(self, records: Sequence[Any], context: PipelineContext) -> StageResult[Any]:
        """Feed the next records to each branch."""
        failed = await self._in_each(context, lambda way: way.feed(records))
        if failed is not None:
            return self._failure(failed, len(records))
        self._records += len(records)
        return StageResult(data=(), records_processed=len(records))

    async def finish(self, context: PipelineContext) -> StageResult[Any]:
        """Give the answers of all branches."""
        failed = await self._in_each(context, _Way.finish)
        if failed is not None:
            return self._failure(failed, self._records)
        outputs = {name: way.output for name, way in self._ways.items()}
        return CompositeResult(data=self._collect(outputs), stage_results=self._totals())

    async def _in_each(self, context: PipelineContext, work: Callable[[_Way], Any]) -> str | None:
        """Do the same in each branch, side by side; return the name of the first that failed."""
        if not self._ways:
            own_name = context.current_stage or self._name
            self._ways = {name: _Way(name, stage, context.child(own_name)) for name, stage in self._branches.items()}
        failed: list[str] = []

        async def run(name: str) -> bool:
            succeeded: bool = await work(self._ways[name])
            if not succeeded:
                failed.append(name)
            return succeeded

        around = context.current_stage, context.chunk_start
        await run_side_by_side([partial(run, name) for name in self._ways])
        context.current_stage, context.chunk_start = around
        return failed[0] if failed else None

    def _failure(self, branch: str, records: int) -> StageResult[Any]:
        cause = self._ways[branch].error
        assert cause is not None
        error = branch_error(branch, cause)
        return CompositeResult(success=False, error=error, records_failed=max(1, records), stage_results=self._totals())

    def _totals(self) -> dict[str, StageResult[Any]]:
        return {name: way.total() for name, way in self._ways.items()}


class _Way:
    """The stages of one branch, in their run."""

    def __init__(self, name: str, stage: PipelineStage[Any, Any], context: PipelineContext) -> None:
        members = stage.members
        names = [name] if len(members) == 1 else unique_names(members)
        self._runs = [
            StageRun(member, each, context, state=_state_of(member))
            for member, each in zip(members, names, strict=True)
        ]
        self.output: Any = None
        self.error: Exception | None = None

    async def feed(self, records: Any) -> bool:
        return await self._feed_from(0, records)

    async def _feed_from(self, start: int, data: Any) -> bool:
        for run in self._runs[start:]:
            result = await _feed_state(run, data) if isinstance(run.stage, StatefulStage) else await run.feed(data)
            if not result.success:
                self.error = result.error
                return False
            data = result.data
        return True

    async def finish(self) -> bool:
        for at, run in enumerate(self._runs):
            left = await run.finish()
            if not left.success:
                self.error = left.error
                return False
            if at == len(self._runs) - 1:
                self.output = left.data
            elif left.data and not await self._feed_from(at + 1, left.data):
                return False
        for run in self._runs:
            run.complete()
        return True

    def total(self) -> StageResult[Any]:
        """Return the outcome of the branch: of its one stage, or of its chain."""
        if len(self._runs) == 1:
            return self._runs[0].total()
        return CompositeResult(
            success=self.error is None,
            error=self.error,
            duration_ms=sum(run.progress.duration_ms for run in self._runs),
            **summarize(self._runs),
        )


def _state_of(stage: Any) -> State | None:
    """Return what a stage keeps from chunk to chunk, new; ``None`` if it keeps nothing."""
    return stage.begin() if isinstance(stage, _KEEP_STATE) else None


async def _feed_state(run: StageRun, records: Sequence[Any]) -> StageResult[Any]:
    """Feed a stateful stage: no more at a time than it may be fed, and no more at all than it wants."""
    state: Any = run.state
    stage: Any = run.stage
    output: list[Any] = []
    at = 0
    while at < len(records) and state.wanted != 0:
        sizes = [len(records) - at, stage.largest_feed, state.wanted]
        end = at + min(size for size in sizes if size is not None)
        result = await run.feed(records if end - at == len(records) else records[at:end])
        if not result.success:
            return result
        output += result.data or ()
        at = end
    return StageResult(data=output)


def branch_error(branch: str, cause: Exception) -> BranchError:
    """Make the error that says which branch failed, and why."""
    error = BranchError(f"branch {branch!r} failed: {describe_error(cause)}")
    error.branch = branch
    error.__cause__ = cause
    return error
