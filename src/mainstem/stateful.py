"""Stateful stages: what they give for a record depends on the records before it.

The state is an object of its own, made anew for each run, so runs of one stage may overlap. It is fed chunk by chunk,
in order; where the chunks are cut must not matter. ``snapshot`` and ``restore`` carry it over an interruption.

Source: Bytewax's ``StatefulBatchLogic``, Flink's operator state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from time import perf_counter
from typing import Any, ClassVar, Generic

from typing_extensions import TypeVar

from mainstem.context import PipelineContext
from mainstem.result import StageResult
from mainstem.stage import PipelineStage, StageKind
from mainstem.take_all import take_all

Record_contra = TypeVar("Record_contra", contravariant=True)
Output_co = TypeVar("Output_co", covariant=True)


class StageState(ABC, Generic[Record_contra, Output_co]):
    """What a stateful stage keeps within one run.

    Attributes:
        wanted: How many more records can still make a difference; ``None`` for no end. At 0 nothing more is read.
    """

    wanted: int | None = None

    @abstractmethod
    async def feed(self, records: Sequence[Record_contra], context: PipelineContext) -> StageResult[list[Output_co]]:
        """Take the next records, and give what can be given by now.

        Args:
            records: The next records; not to be changed.
            context: The run's state. ``context.record_error(error, record=..., index=...)`` keeps a failed record,
                ``index`` being its position in ``records``.

        Returns:
            The output, with counts in the unit of the input: each record is processed (perhaps filtered) or failed.
        """

    async def finish(self, context: PipelineContext) -> StageResult[list[Output_co]]:
        """Give what is left at the end of the input; nothing, unless overridden. Its result counts no records."""
        return StageResult(data=[])

    @abstractmethod
    def snapshot(self) -> Any:
        """Return the state as plain values: lists, dicts with text keys, and records. Nothing of it is shared."""

    @abstractmethod
    def restore(self, snapshot: Any) -> None:
        """Take over the state that ``snapshot`` returned."""


class GrowingState(StageState[Record_contra, Output_co]):
    """Base of states that grow with the data, and can say what came to them: override ``changes`` as well.

    A durable run keeps the state of a stage with each batch. Of such a state it keeps a whole ``snapshot`` first, and
    then only the changes, so that what a batch costs does not grow with all that came before it.
    """

    @abstractmethod
    def changes(self) -> Any:
        """Return what came to the state since it was last asked for this or a ``snapshot``, as plain values.

        ``None`` where only a whole snapshot will do: before the first one, or when there have been many changes.
        """

    @abstractmethod
    def restore_changes(self, changes: Any) -> None:
        """Add what ``changes`` returned to a state that was restored from what was kept before it."""


class StatefulStage(
    PipelineStage[Iterable[Record_contra], list[Output_co]],  # pyright: ignore[reportInvalidTypeArguments]
    Generic[Record_contra, Output_co],
):
    """Base of stages that keep a state within a run: override ``begin``.

    Attributes:
        ends_input: Whether its state may come to want no more records.
        largest_feed: The most records that a state may be fed at a time; ``None`` for any number.

    Example:
        >>> import itertools
        >>> class RunningTotal(StatefulStage[int, int]):
        ...     def begin(self) -> StageState[int, int]:
        ...         return TotalState()
        >>> class TotalState(StageState[int, int]):
        ...     total = 0
        ...     async def feed(self, records, context):
        ...         totals = list(itertools.accumulate(records, initial=self.total))[1:]
        ...         self.total += sum(records)
        ...         return StageResult(data=totals, records_processed=len(records))
        ...     def snapshot(self):
        ...         return self.total
        ...     def restore(self, snapshot):
        ...         self.total = snapshot
        >>> from mainstem import Pipeline
        >>> Pipeline[list[int], list[int]]("totals").add_stage(RunningTotal()).run([1, 2, 3]).data
        [1, 3, 6]
    """

    kind = StageKind.STATEFUL
    ends_input: ClassVar[bool] = False
    largest_feed: int | None = None

    @abstractmethod
    def begin(self) -> StageState[Record_contra, Output_co]:
        """Return the state of a run that has seen no records."""

    async def process(self, data: Iterable[Record_contra], context: PipelineContext) -> StageResult[list[Output_co]]:
        """Run the stage on its whole input."""
        started = perf_counter()
        records, input_error = take_all(data)
        state = self.begin()
        size = self.largest_feed or max(1, len(records))
        total = StageResult[list[Output_co]](data=[])
        first = context.chunk_start
        at = 0
        while at < len(records) and state.wanted != 0:
            step = size if state.wanted is None else min(size, state.wanted)
            context.chunk_start = first + at
            _add(total, await state.feed(records[at : at + step], context))
            at += step
            if not total.success:
                break
        context.chunk_start = first
        if total.success and input_error is not None:
            total.success, total.error, total.data = False, input_error, None
        if total.success:
            _add(total, await state.finish(context))
        total.duration_ms = (perf_counter() - started) * 1000
        return total


def takes_chunks(stage: PipelineStage[Any, Any]) -> bool:
    """Whether a stage can be fed chunk by chunk, and gives output for each."""
    return stage.kind is StageKind.ELEMENTWISE or isinstance(stage, StatefulStage)


def _add(total: StageResult[Any], part: StageResult[Any]) -> None:
    """Add the result for the next records to that for the ones before."""
    total.records_processed += part.records_processed
    total.records_failed += part.records_failed
    total.records_filtered += part.records_filtered
    total.notes = part.notes or total.notes
    total.success, total.error = part.success, part.error
    if not part.success:
        total.data = None
    elif total.data is not None:
        total.data.extend(part.data or [])
