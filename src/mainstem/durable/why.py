"""``explain_record``: what became of one record of the source, stage by stage."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from mainstem.context import PipelineContext, context_of_run
from mainstem.durable.decisions import Decisions
from mainstem.durable.record_reader import ReadRecord, find_record, read_before
from mainstem.endpoints import SinkStage, SourceStage
from mainstem.errors import TraceError, describe_error
from mainstem.result import StageResult
from mainstem.secrets import SHOWN
from mainstem.stage import PipelineStage
from mainstem.stage_run import StageRun, unique_names
from mainstem.stateful import StatefulStage, takes_chunks
from mainstem.store.codec import encode_record
from mainstem.store.model import RejectRecord
from mainstem.store.store import Store


class RecordFate(str, Enum):
    """What a stage did with a record."""

    PASSED = "passed"
    """It came out as it was."""
    GAVE = "gave"
    """Something else came out, or several records."""
    DROPPED = "dropped"
    """Nothing came out, on purpose."""
    REJECTED = "rejected"
    KEPT = "kept"
    """Nothing came out yet: it is part of what comes out later."""
    COMBINED = "combined"
    """The stage makes one answer of all records."""
    SENT = "sent"
    """It came to the sink."""


@dataclass(frozen=True, slots=True)
class RecordStep:
    """What one stage did with what was left of the record.

    Attributes:
        stage: The stage's name in reports.
        fate: What it did.
        given: What came out.
        error: Why it was rejected, or some of what was left of it.
    """

    stage: str
    fate: RecordFate
    given: Sequence[Any] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class RecordTrace:
    """What became of a record.

    Attributes:
        position: Its index in the source, from 0.
        record: The record, or what was there in its place, if it could not be read.
        steps: What each stage did with it, as far as it came. None, if only the ledger was looked into.
        rejects: Its entries in the ledger.
        user_code_ran: Whether the functions of the pipeline were called again for this.
    """

    position: int
    record: Any
    steps: Sequence[RecordStep]
    rejects: Sequence[RejectRecord]
    user_code_ran: bool


class Traceable(Protocol):
    """What a trace needs of a pipeline."""

    @property
    def name(self) -> str: ...

    @property
    def stages(self) -> tuple[PipelineStage[Any, Any], ...]: ...


async def explain_record(
    pipeline: Traceable,
    *,
    position: int | None = None,
    where: Callable[[Any], bool] | None = None,
    store: Store | None = None,
    run_id: str | None = None,
) -> RecordTrace:
    """Find out what became of a record of the source, stage by stage.

    The source is read again up to the record. If the ledger says that the source, or the stage after it, rejected the
    record, that is the answer. Else the record goes through the stages once more, in memory, without the sink and
    without hooks: the functions of the pipeline are called again, with all that they do outside of it. For stages that
    remember (``DedupeStage``) the records before it go through as well.

    Args:
        pipeline: The pipeline, which begins with a source.
        position: The record's index in the source, from 0.
        where: Or which record it is: the first for which this is true.
        store: A store, to look into the ledger of a run.
        run_id: The run.

    Raises:
        TraceError: If the pipeline has no source, there is no such record, or a record before it fails a stage.
        ConnectError: If the source cannot be read.
        TypeError: If neither ``position`` nor ``where`` is given, or both.

    Example:
        >>> import anyio
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from mainstem import Pipeline
        >>> from mainstem.connect import JsonLinesSource
        >>> def is_even(row: dict[str, int]) -> bool:
        ...     return row["number"] % 2 == 0
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "numbers.jsonl")
        ...     _ = path.write_text('{"number": 1}' + chr(10) + '{"number": 2}')
        ...     pipeline = Pipeline("evens").add_stage(JsonLinesSource(path)).filter(is_even)
        ...     async def explain():
        ...         return await explain_record(pipeline, position=0)
        ...     trace = anyio.run(explain)
        ...     trace.record, [(step.stage, step.fate.value) for step in trace.steps]
        ({'number': 1}, [('FilterStage', 'dropped')])
    """
    if (position is None) == (where is None):
        raise TypeError("say which record is meant: by its position, or by where")
    stages, names = pipeline.stages, unique_names(pipeline.stages)
    first: Any = stages[0] if stages else None
    if not isinstance(first, SourceStage):
        raise TraceError(f"pipeline {pipeline.name!r} begins with no source, so its records cannot be read again")
    source: SourceStage[Any] = first  # pyright: ignore[reportUnknownVariableType]
    if source.acknowledges:
        raise TraceError(f"source {names[0]!r} lets go of records once they are committed, so none can be read again")
    found = await find_record(source, names[0], position, where)
    ledger = _Ledger(store, pipeline.name, run_id)
    known = ledger.at_beginning(names, found)
    if known or not found.could_be_read:
        steps = [] if found.could_be_read else [RecordStep(names[0], RecordFate.REJECTED, (), found.error)]
        return RecordTrace(found.position, found.record, steps, known, user_code_ran=False)
    trace = _Trace(stages[1:], names[1:])
    steps = await trace.follow(source, names[0], found)
    rejects = [
        reject
        for step in steps
        if step.fate in (RecordFate.REJECTED, RecordFate.SENT)
        for reject in ledger.of_records(step.stage, step.given or [trace.last])
    ]
    return RecordTrace(found.position, found.record, steps, rejects, user_code_ran=bool(steps))


async def follow_record(
    stages: Sequence[PipelineStage[Any, Any]], names: Sequence[str], record: Any
) -> list[RecordStep]:
    """Let one record go through stages, in memory, and say what each did with it.

    Their functions are called, with all that they do; a sink is given nothing. Stages that remember begin with nothing
    to remember.

    Args:
        stages: The stages, perhaps with a sink at the end.
        names: Their names in reports.
        record: The record.
    """
    return await _Trace(stages, names).follow_alone(record)


class _Ledger:
    def __init__(self, store: Store | None, pipeline: str, run_id: str | None) -> None:
        self._store, self._pipeline, self._run_id = store, pipeline, run_id

    def _rejects(self, stage: str) -> Iterator[RejectRecord]:
        if self._store is not None and self._run_id is not None:
            yield from Decisions(self._store).each({"pipeline": self._pipeline, "run_id": self._run_id, "stage": stage})

    def at_beginning(self, names: Sequence[str], found: ReadRecord) -> list[RejectRecord]:
        """Return the rejects of the source and of the stage after it: there the record's index is known."""
        known = [each for each in self._rejects(names[0]) if each.index == found.position]
        if found.could_be_read and len(names) > 1:
            known += [each for each in self._rejects(names[1]) if each.index == found.index]
        return known

    def of_records(self, stage: str, records: Iterable[Any]) -> list[RejectRecord]:
        """Return the rejects of a stage whose record is one of these, those secrets aside that were left out."""
        texts = {encode_record(each).text for each in records}
        return [
            each
            for each in self._rejects(stage)
            if each.record in texts
            or (each.is_redacted and any(_matches(json.loads(each.record), json.loads(text)) for text in texts))
        ]


def _matches(kept: Any, given: Any) -> bool:
    """Say whether a record is one that was kept, perhaps without its secrets."""
    if kept == SHOWN:
        return True
    if isinstance(kept, dict) and isinstance(given, dict):
        return kept.keys() == given.keys() and all(_matches(kept[name], given[name]) for name in kept)  # pyright: ignore[reportUnknownVariableType]
    if isinstance(kept, list) and isinstance(given, list):
        return len(kept) == len(given) and all(map(_matches, kept, given))  # pyright: ignore[reportUnknownArgumentType]
    return bool(kept == given)


class _Trace:
    """Stages in memory, that one record is followed through.

    Attributes:
        last: What was left of the record when it entered the last stage that it came to.
    """

    def __init__(self, stages: Sequence[PipelineStage[Any, Any]], names: Sequence[str]) -> None:
        self._context = PipelineContext()
        self._runs = [_run_of(stage, name, self._context) for stage, name in zip(stages, names, strict=True)]
        stops = [at for at, run in enumerate(self._runs) if not takes_chunks(_stage_of(run))]
        self._end = min(stops, default=len(self._runs))
        remembering = [at for at in range(self._end) if self._runs[at].state is not None]
        self._remembered = max(remembering, default=-1) + 1
        """The stages that the records before are to go through."""
        self.last: Any = None

    async def follow(self, source: SourceStage[Any], name: str, found: ReadRecord) -> list[RecordStep]:
        with context_of_run(self._context):
            if self._remembered:
                async with aclosing(read_before(source, name, found)) as chunks:
                    async for records in chunks:
                        await self._pass(records)
            return await self._follow([found.record])

    async def follow_alone(self, record: Any) -> list[RecordStep]:
        with context_of_run(self._context):
            return await self._follow([record])

    async def _pass(self, data: Sequence[Any]) -> None:
        """Let records before the one that is followed go through."""
        for run in self._runs[: self._remembered]:
            result = await _feed(run, data)
            if not result.success:
                raise TraceError(
                    f"a record before it fails stage {run.name!r}, and with it the run: "
                    f"{describe_error(result.error or TraceError())}"
                ) from result.error
            data = [*(result.data or ())]
            self._context.errors.clear()
            if not data:
                return

    async def _follow(self, data: list[Any]) -> list[RecordStep]:
        steps: list[RecordStep] = []
        for at, run in enumerate(self._runs):
            self.last = data[0]
            if at == self._end:
                stage = _stage_of(run)
                fate = RecordFate.SENT if isinstance(stage, SinkStage) else RecordFate.COMBINED
                return [*steps, RecordStep(run.name, fate, data)]
            self._context.errors.clear()
            wanted = None if run.state is None else run.state.wanted
            if wanted == 0:
                return [*steps, RecordStep(run.name, RecordFate.DROPPED)]
            result = await _feed(run, data)
            given = [*(result.data or ())]
            steps.append(self._step(run, data, given, result))
            if not given:
                return steps
            data = given
        return steps

    def _step(self, run: StageRun, data: list[Any], given: list[Any], result: StageResult[Any]) -> RecordStep:
        error = self._context.errors[-1].error if self._context.errors else result.error
        reason = None if error is None else describe_error(error)
        if given:
            same = len(data) == len(given) and all(a is b for a, b in zip(data, given, strict=True))
            return RecordStep(run.name, RecordFate.PASSED if same else RecordFate.GAVE, given, reason)
        if reason is not None:
            return RecordStep(run.name, RecordFate.REJECTED, (), reason)
        is_kept = run.state is not None and not result.records_filtered
        return RecordStep(run.name, RecordFate.KEPT if is_kept else RecordFate.DROPPED)


def _run_of(stage: PipelineStage[Any, Any], name: str, context: PipelineContext) -> StageRun:
    state = stage.begin() if isinstance(stage, StatefulStage) else None  # pyright: ignore[reportUnknownVariableType]
    return StageRun(stage, name, context, state=state)  # pyright: ignore[reportUnknownArgumentType]


def _stage_of(run: StageRun) -> PipelineStage[Any, Any]:
    stage: Any = run.stage
    return stage  # type: ignore[no-any-return]


async def _feed(run: StageRun, data: Sequence[Any]) -> StageResult[Any]:
    """Feed a stage as much at a time as it takes."""
    if run.state is None:
        return await run.feed([*data])
    largest: int | None = getattr(run.stage, "largest_feed", None)
    given: list[Any] = []
    at = filtered = 0
    while at < len(data) and run.state.wanted != 0:
        rooms = [room for room in (largest, run.state.wanted, len(data) - at) if room is not None]
        result = await run.feed([*data[at : at + min(rooms)]])
        at += min(rooms)
        if not result.success:
            return result
        given += result.data or ()
        filtered += result.records_filtered
    return StageResult(data=given, records_filtered=filtered)
