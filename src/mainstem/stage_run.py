"""One stage within one run: it is called, timed and counted, and whatever it does becomes a result."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from inspect import isawaitable
from time import perf_counter
from types import NoneType
from typing import Any, Protocol

from mainstem.context import PipelineContext, StageProgress
from mainstem.errors import RejectLimitError, StageContractError, StageFailedError, add_note_once
from mainstem.frame_data import is_frame
from mainstem.result import CompositeResult, StageResult
from mainstem.stage_timing import StageTiming
from mainstem.typecheck import RecordNet


class Processor(Protocol):
    """What a run needs of a stage."""

    name: str

    def process(self, data: Any, context: PipelineContext, /) -> Awaitable[StageResult[Any]]: ...


_AT_END: list[Any] = []
"""In the place of the data, when a state is asked for what it has left."""

UNOBSERVED: AbstractContextManager[object] = nullcontext()
"""Entered around work that nobody observes."""

_COLLECTIONS = (list, tuple, set, frozenset, deque, range)


def count_records(data: object) -> int:
    """Count the records in ``data``: the length of a plain collection or a frame, else one (and none in ``None``)."""
    if isinstance(data, _COLLECTIONS):
        return len(data)  # pyright: ignore[reportUnknownArgumentType]
    if is_frame(data):
        return len(data)
    return 0 if data is None else 1


def _count_handled(data: object, output: object) -> int:
    """Count the input of a stage that gave no counts; by its output, where the input cannot be counted afterwards."""
    if isinstance(data, Iterator):
        return len(output) if isinstance(output, _COLLECTIONS) else 0  # pyright: ignore[reportUnknownArgumentType]
    return count_records(output if data is None else data)


def unique_names(stages: Sequence[Processor]) -> list[str]:
    """Name each stage for reports: a name that came before gets ``#2``, ``#3`` and so on."""
    taken: set[str] = set()
    names: list[str] = []
    for stage in stages:
        name, number = stage.name, 2
        while name in taken:
            name, number = f"{stage.name}#{number}", number + 1
        taken.add(name)
        names.append(name)
    return names


class State(Protocol):
    """What a stage keeps within a run that feeds it chunk by chunk."""

    wanted: int | None

    def feed(self, records: Any, context: PipelineContext, /) -> Awaitable[StageResult[Any]]: ...

    def finish(self, context: PipelineContext, /) -> Awaitable[StageResult[Any]]: ...


class StageRun:
    """A stage in a run. ``feed`` it the whole input once, or chunk by chunk; then ask for the ``total``.

    With a ``state``, what it is fed goes there, and ``finish`` gives what the state has left.

    Args:
        stage: The stage.
        name: Its name in reports, unique in the run.
        context: The run's context.
        net: Checks the output's records, if that was asked for.
        state: What the stage keeps between chunks.
    """

    __slots__ = (
        "calls_ms",
        "context",
        "error",
        "feeds",
        "miscount",
        "name",
        "net",
        "notes",
        "parts",
        "position",
        "progress",
        "stage",
        "state",
        "succeeded",
        "wants_commit",
        "workers",
    )

    def __init__(
        self,
        stage: Processor,
        name: str,
        context: PipelineContext,
        net: RecordNet | None = None,
        state: State | None = None,
    ) -> None:
        self.state = state
        self.notes: tuple[str, ...] = ()
        self.net = net
        self.stage = stage
        self.name = name
        self.context = context
        self.progress = StageProgress()
        self.feeds = 0
        self.miscount: tuple[int, int] | None = None
        """How many records it was once fed, and how many it said it took, if that was not the same."""
        self.calls_ms = 0.0
        """The time of all calls of its function added up, where they overlap and were timed one by one."""
        self.workers: int | None = None
        """How many worker processes it ran in; 0 if there were some, and they were not worth it."""
        self.succeeded = True
        """Whether all that it was fed so far succeeded."""
        self.error: Exception | None = None
        self.position: Mapping[str, Any] | None = None
        """Where its last chunk ends, if it is a source."""
        self.wants_commit = False
        """Whether it gives no more before that is committed, if it is a source."""
        self.parts: Mapping[str, StageResult[Any]] | None = None
        """The results of the parts, where the stage is made of stages."""

    async def feed(self, data: Any) -> StageResult[Any]:
        """Run the stage on ``data``.

        Returns:
            The stage's result. An ``Exception`` it raised, or an answer that is no ``StageResult``, makes a failed one.
        """
        state = self.state
        self._begin()
        self.feeds += 1
        process, observed = self.stage.process if state is None else state.feed, self.context.observed
        if observed is None:
            return await self._call(process, data)
        with observed.around_chunk((self.name,), None if isinstance(data, Iterator) else count_records(data)):
            return await self._call(process, data)

    def _begin(self) -> None:
        """Show the stage among those that have begun."""
        self.context.progress[self.name] = self.progress

    async def feed_with(self, process: Callable[[Any, PipelineContext], Any], data: Any) -> StageResult[Any]:
        """Run ``process`` on ``data`` in the place of the stage's own: it only says what was done elsewhere."""
        self._begin()
        self.feeds += 1
        return await self._call(process, data)

    async def call(self, work: Callable[[PipelineContext], Awaitable[StageResult[Any]]]) -> StageResult[Any]:
        """Let the stage do work that is not about records it is fed."""
        self._begin()
        observed = self.context.observed
        with UNOBSERVED if observed is None else observed.around_chunk((self.name,), 0):
            return await self._call(lambda _, context: work(context), _AT_END)

    async def finish(self) -> StageResult[Any]:
        """Let the state give what it has left at the end of the input.

        Records that count as failed then had counted as handled before.
        """
        state, progress = self.state, self.progress
        if state is None:
            return StageResult(data=())
        result = await self.call(state.finish)
        moved = min(result.records_failed, progress.records_passed)
        progress.records_passed -= moved
        progress.records_in -= moved
        return result

    async def _call(self, process: Callable[[Any, PipelineContext], Any], data: Any) -> StageResult[Any]:
        context, progress = self.context, self.progress
        context.current_stage = self.name
        context.chunk_start = progress.records_in
        errors_before = len(context.errors)
        started = perf_counter()
        try:
            answer: Any = process(data, context)
            if not isawaitable(answer):
                raise StageContractError(f"process() of stage {self.name!r} is not async: write 'async def process'")
            checked: StageResult[Any] = await answer
            if not isinstance(checked, StageResult):  # pyright: ignore[reportUnnecessaryIsInstance]  # users err
                raise StageContractError(
                    f"process() of stage {self.name!r} returned {type(checked).__name__}, not a StageResult: "
                    "end it with 'return StageResult(data=...)'"
                )
            if not isinstance(checked.error, (Exception, NoneType)):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise StageContractError(
                    f"the error that stage {self.name!r} returned is {type(checked.error).__name__}, not an exception"
                )
            if self.net is not None and checked.success:
                self.net.check(checked.data)
        except Exception as error:
            checked = StageResult.failure(error)
        elapsed = (perf_counter() - started) * 1000
        if not checked.success:
            checked = self._explain_failure(checked, data, errors_before)
        elif not checked.records_processed and not checked.records_failed:
            handled = _count_handled(data, checked.data)
            if handled:
                checked = replace(checked, records_processed=handled)
        taken = checked.records_processed + checked.records_failed
        fed: Any = data
        if (type(fed) is list or is_frame(fed)) and taken != len(fed) and checked.success:  # pyright: ignore[reportUnknownArgumentType]
            self.miscount = self.miscount or (len(fed), taken)  # pyright: ignore[reportUnknownArgumentType]
        progress.records_in += taken
        progress.records_passed += checked.records_processed - checked.records_filtered
        progress.records_filtered += checked.records_filtered
        progress.records_failed += checked.records_failed
        progress.duration_ms += elapsed
        # What is kept is not the data: the stages after this one may let go of it.
        self.succeeded, self.error = checked.success, checked.error
        self.notes = checked.notes or self.notes
        if isinstance(checked, CompositeResult):
            self.parts = _added_up(self.parts or {}, checked.stage_results)
        return checked

    def account(
        self, records_passed: int, records_failed: int, duration_ms: float, *, records_filtered: int = 0
    ) -> None:
        """Count records that the stage was not fed but took in another way: a source, or in one loop with others."""
        progress = self.progress
        self._begin()
        self.feeds += 1
        progress.records_in += records_passed + records_failed + records_filtered
        progress.records_passed += records_passed
        progress.records_filtered += records_filtered
        progress.records_failed += records_failed
        progress.duration_ms += duration_ms

    def interrupt(self, error: Exception) -> StageResult[Any]:
        """Make the stage fail for a reason that is not one of its records': its input raised, say."""
        self.context.current_stage = self.name
        error = _raisable(error)
        if not any(entry.error is error for entry in self.context.errors):  # a source records it with its record
            self.context.record_error(error, stage=self.name)
        return self.fail(error)

    def fail(self, error: Exception) -> StageResult[Any]:
        """Make the stage fail with an error that is recorded already."""
        error = _raisable(error)
        add_note_once(error, f"in stage {self.name!r}{_made_at(self.stage)}")
        self.succeeded, self.error = False, error
        return StageResult.failure(error)

    def _explain_failure(self, result: StageResult[Any], data: object, errors_before: int) -> StageResult[Any]:
        """Complete a failed result: its error says where it was and is in ``context.errors``, its counts add up."""
        error = result.error
        if error is None:
            error = StageFailedError(f"stage {self.name!r} returned a failed result without an error")
        error = _raisable(error)
        add_note_once(error, f"in stage {self.name!r}{_made_at(self.stage)}")
        recorded = [entry.error for entry in self.context.errors[errors_before:]]
        if not any(known is error or known is error.__cause__ for known in recorded):
            self.context.record_error(error, stage=self.name)
        failed = result.records_failed
        if isinstance(error, RejectLimitError):
            failed = sum(entry.index is not None for entry in self.context.errors[errors_before:])
        elif not result.records_processed and not failed and data is not _AT_END:
            failed = max(1, count_records(data))
        return replace(result, data=None, error=error, records_failed=failed)

    def complete(self) -> None:
        """Note that the stage has had all its input and succeeded."""
        self._begin()
        if self.context.observed is not None and not self.progress.done:
            self.context.observed.stage_completed(self.name)
        self.progress.done = True
        self.context.mark_completed(self.name)

    def total(self) -> StageResult[Any]:
        """Return the outcome over all that it was fed, without the data, which the next stage has."""
        progress = self.progress
        counts: dict[str, Any] = {
            "success": self.succeeded,
            "error": self.error,
            "duration_ms": progress.duration_ms,
            "records_processed": progress.records_passed + progress.records_filtered,
            "records_failed": progress.records_failed,
            "records_filtered": progress.records_filtered,
            "notes": self.notes,
            "timing": StageTiming.of(progress),
        }
        if self.parts is not None:
            return CompositeResult(**counts, stage_results=self.parts)
        return StageResult(**counts)


def _added_up(
    before: Mapping[str, StageResult[Any]], results: Mapping[str, StageResult[Any]]
) -> Mapping[str, StageResult[Any]]:
    """Add the results of a stage's parts for a chunk to those for the chunks before it."""
    total = dict(before)
    for name, result in results.items():
        known = total.get(name)
        if known is None:
            total[name] = result
            continue
        sums: dict[str, Any] = {
            each: getattr(known, each) + getattr(result, each)
            for each in ("duration_ms", "records_processed", "records_failed", "records_filtered")
        }
        if isinstance(known, CompositeResult) and isinstance(result, CompositeResult):
            sums["stage_results"] = _added_up(known.stage_results, result.stage_results)
        total[name] = replace(result, notes=result.notes or known.notes, **sums)
    return total


def _raisable(error: Exception) -> Exception:
    """Return the error as one that can be raised anywhere: a StopIteration reads as an end, and leaves no coroutine."""
    if not isinstance(error, StopIteration):
        return error
    raisable = RuntimeError("the function raised StopIteration")
    raisable.__cause__ = error
    for note in getattr(error, "__notes__", ()):
        raisable.add_note(note)
    return raisable


def _made_at(stage: object) -> str:
    made_at = getattr(stage, "made_at", None)
    return f", made at {made_at}" if made_at else ""


def summarize(runs: Iterable[StageRun]) -> Mapping[str, Any]:
    """Add up the counts of stages that followed one another, as keyword arguments of a ``CompositeResult``.

    Failed and filtered records are summed. What entered is the first stage's count; where a stage made more records out
    of few (a flatten, a source), it is the larger number that the later stages account for.
    """
    runs = list(runs)
    failed = sum(run.progress.records_failed for run in runs)
    filtered = sum(run.progress.records_filtered for run in runs)
    # After a failure nothing went further than the stage that failed, though those after it may have had chunks before.
    last = next((at for at, run in enumerate(runs) if not run.succeeded), len(runs) - 1)
    way = [run.progress for run in runs[: last + 1]]
    entered = sum(each.records_filtered + each.records_failed for each in way)
    if way:
        entered += way[-1].records_passed
        if runs[last].succeeded:
            entered = max(entered, way[0].records_in)
    return {
        "records_processed": entered - failed,
        "records_failed": failed,
        "records_filtered": filtered,
        "stage_results": {run.name: run.total() for run in runs if run.feeds or run.progress.done or not run.succeeded},
    }
