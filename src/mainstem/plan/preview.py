"""A preview: the real code on the first records of the real input, with a comparison in the place of each sink."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from mainstem.connect.table_diff import TableChanges
from mainstem.context import PipelineContext, StageError
from mainstem.endpoints import Position
from mainstem.options import check_count
from mainstem.pipeline import Pipeline
from mainstem.plan.first_records import FirstRecords
from mainstem.plan.kinds import is_source
from mainstem.plan.preview_sink import PreviewSink
from mainstem.plan.replacing import quiet_copy, replace_sinks
from mainstem.result import StageResult
from mainstem.stage import PipelineStage

PREVIEWED = 100
PATIENCE = 5.0
"""Seconds that a preview waits for the next message of a broker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkPreview:
    """What a sink would have done.

    Attributes:
        path: Its name as reports show it.
        target: Where the records would go, without secrets.
        taken: Records that it was given.
        rejected: Those of them that the target would not take.
        replaces: Whether they would take the place of what is there.
        changes: What would be done to the table; ``None`` of what is no table that can be compared.
        first: The first records.
    """

    path: str
    target: str
    taken: int
    rejected: int
    replaces: bool
    changes: TableChanges | None
    first: tuple[Any, ...]

    def __str__(self) -> str:
        """Say how many rows would be new, and others: ``98 insert, 1 update``."""
        changes = self.changes
        if changes is None:
            return f"{self.taken - self.rejected:,} written"
        counts = [(changes.deletes, "delete"), (changes.inserts, "insert"), (changes.updates, "update")]
        counts.append((changes.unchanged, "unchanged"))
        return ", ".join(f"{count:,} {what}" for count, what in counts if count) or "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What the first records of a pipeline's input would do.

    Attributes:
        pipeline: The pipeline's name.
        records_read: How many records were read.
        sinks: What each sink would have done.
        result: The result of the run: its ``error`` is what a real one would end with.
        context: The context of the run.
        notes: What was not as in a real run.
    """

    pipeline: str
    records_read: int
    sinks: tuple[SinkPreview, ...]
    result: StageResult[Any] = field(repr=False)
    context: PipelineContext = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def rejects(self) -> list[StageError]:
        """The records that were rejected, by a stage or by what a sink compared them with."""
        return [each for each in self.context.errors if each.index is not None or each.record is not None]

    def __str__(self) -> str:
        """Say what would happen in one line: ``98 insert, 1 update, 1 reject``."""
        parts = [str(sink) if len(self.sinks) == 1 else f"{sink.path}: {sink}" for sink in self.sinks]
        rejected = len(self.rejects)
        return ", ".join([*parts, *([f"{rejected:,} reject"] if rejected else [])]) or "nothing"


async def preview(
    pipeline: Pipeline[Any, Any, Any],
    data: Iterable[Any] | None = None,
    *,
    count: int = PREVIEWED,
    previous: Position | None = None,
    patience: float = PATIENCE,
    context: PipelineContext | None = None,
) -> Preview:
    """Run the pipeline's own code on the first records of its input, and compare what comes out with the targets.

    Nothing is written, no state advances, and no message of a broker is acknowledged: those that were delivered come
    again. Hooks and event handlers are not called. What the pipeline's functions do themselves, they do.

    Tables of SQLite and PostgreSQL are compared row by row, by their keys and unique indexes, and what a load's own
    checks and conversions refuse is rejected. Of other targets the records are counted, and the first of them kept.

    Args:
        pipeline: The pipeline.
        data: Its input; left out when the first stage is a source.
        count: How many records to read.
        previous: Where the last completed run ended, for a source that reads on from there.
        patience: Seconds to wait for the next message of a broker.
        context: The run's context; a fresh one by default.

    Raises:
        StageTypeError: If the last stage does not give what the pipeline is annotated with.
        ValueError: If ``count`` is out of range.

    Example:
        >>> import anyio
        >>> from tempfile import TemporaryDirectory
        >>> from mainstem import Pipeline
        >>> from mainstem.connect import TableSink
        >>> with TemporaryDirectory() as folder:
        ...     sink = TableSink(f"sqlite:///{folder}/shop.db", "people", key="id", mode="upsert")
        ...     pipeline = Pipeline("people").add_stage(sink)
        ...     _ = pipeline.run([{"id": 1, "name": "Ada"}])
        ...     found = anyio.run(preview, pipeline, [{"id": 1, "name": "Eve"}, {"id": 2, "name": "Bob"}])
        ...     str(found)
        '1 insert, 1 update'
    """
    check_count("count", count)
    stages, sinks = replace_sinks(pipeline.stages)
    notes: list[str] = []
    first = _first_of(pipeline.stages[0], count, previous, patience) if pipeline.stages else None
    if first is not None:
        stages[0] = first
    elif data is None:
        notes.append("the first stage is no SourceStage, so it was run as a whole")
    else:
        data = list(islice(data, count))
    context = PipelineContext() if context is None else context
    copied: Any = quiet_copy(pipeline, stages)
    result: StageResult[Any] = await copied.execute(data, context=context)
    if first is not None and first.note:
        notes.append(f"{first.name}: {first.note}")
    read = first.read_records if first is not None else len(data) if isinstance(data, list) else 0
    return Preview(
        pipeline=pipeline.name,
        records_read=read,
        sinks=tuple(map(_preview_of, sinks)),
        result=result,
        context=context,
        notes=tuple(notes),
    )


def _first_of(
    stage: PipelineStage[Any, Any], count: int, previous: Position | None, patience: float
) -> FirstRecords | None:
    return FirstRecords(stage, count, previous, patience) if is_source(stage) else None


def _preview_of(sink: PreviewSink) -> SinkPreview:
    return SinkPreview(
        path=sink.path,
        target=sink.target,
        taken=sink.taken,
        rejected=sink.rejected,
        replaces=sink.replaces,
        changes=sink.changes,
        first=tuple(sink.first),
    )
