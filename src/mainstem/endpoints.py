"""Sources and sinks: the stages with nothing before and nothing after them.

A source yields chunks, each with the position after it, and can start from such a position. A sink begins a
transaction, which has write, commit and abort, and says which guarantee it gives. The engines for streaming and
durable runs use the same methods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias

import anyio
from typing_extensions import TypeVar

from mainstem.context import PipelineContext
from mainstem.errors import StageContractError, add_note_once, describe_error
from mainstem.frame_data import FRAME_ROWS, Gathered, is_frame
from mainstem.result import StageResult
from mainstem.stage import PipelineStage, StageKind
from mainstem.type_hints import base_arguments, list_of

if TYPE_CHECKING:
    from pathlib import Path  # late, with all that it imports: a tenth of what importing mainstem takes

    from mainstem.datasets import Dataset  # late, as it takes URLs apart

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
if TYPE_CHECKING:
    Output_co = TypeVar("Output_co", covariant=True, default=list[T])
else:  # at run time ``T`` would become a parameter of every class whose base is ``SourceStage[...]``
    Output_co = TypeVar("Output_co", covariant=True, default=Any)

Position: TypeAlias = Mapping[str, Any]
"""Where in a source a chunk ends: plain JSON values that only the source understands."""

CHUNK_SIZE = 1000
"""Records in a chunk, where nobody says otherwise: what is paid per chunk vanishes, and it stays in the cache."""
LOADED_AT_ONCE = 250
"""Records in a chunk on their way into a sink: they are let go of before the garbage collector takes them for old,
which with many objects a record costs more than what is paid per chunk."""


@dataclass(frozen=True, slots=True)
class SourceChunk(Generic[T]):
    """Records read from a source.

    Attributes:
        records: The records.
        position: The position of the next record that was not read yet.
        records_failed: Records of this stretch that could not be read and were recorded in ``context.errors``.
        wants_commit: Whether the source gives no more before all that it gave is committed.
    """

    records: list[T]
    position: Position
    records_failed: int = 0
    wants_commit: bool = False


class SourceStage(PipelineStage[None, Output_co], Generic[T, Output_co]):
    """Base of sources: override ``read``, and ``fingerprint`` if the source can tell that it changed.

    ``SourceStage[T]`` gives a ``list[T]``; of a source of frames the second argument says so. A source that is to be
    told what is committed says that it ``acknowledges``, and overrides ``committed`` and ``release``.

    Attributes:
        acknowledges: Whether it lets go of records when they are committed, as a broker's queue does. They come again
            if a run dies between the two, so that no run promises more than at-least-once.

    Example:
        >>> class Countdown(SourceStage[int]):
        ...     async def read(self, context, *, start=None, chunk_size=CHUNK_SIZE):
        ...         first = start["next"] if start else 3
        ...         for number in range(first, 0, -1):
        ...             yield SourceChunk([number], position={"next": number - 1})
        >>> from mainstem import Pipeline
        >>> Pipeline[None, list[int]]("countdown").add_stage(Countdown()).run().data
        [3, 2, 1]
    """

    kind = StageKind.STATEFUL
    acknowledges: ClassVar[bool] = False

    @property
    def datasets(self) -> Sequence[Dataset]:
        """What it reads, as OpenLineage names it, without secrets; nothing, if it cannot tell."""
        return ()

    @abstractmethod
    def read(
        self, context: PipelineContext, *, start: Position | None = None, chunk_size: int = CHUNK_SIZE
    ) -> AsyncGenerator[SourceChunk[T], None]:
        """Yield the records in order, chunk by chunk.

        Args:
            context: The run's state; records that cannot be read are recorded there.
            start: A position that an earlier chunk came with; ``None`` for the beginning.
            chunk_size: The largest number of records in a chunk.

        Raises:
            ConnectError: If the place cannot be reached or read.
        """

    async def fingerprint(self) -> Mapping[str, Any] | None:
        """Return plain JSON values that are others if what is read is another; ``None`` if that cannot be told.

        A durable run that is resumed compares them with those it began with.

        Raises:
            ConnectError: If the place cannot be reached or read.
        """
        return None

    def start_after(self, previous: Position | None) -> Position | None:
        """Say where a new durable run begins to read, which is then as if it had been interrupted there.

        Args:
            previous: Where the last completed run of the same pipeline in the store ended; ``None`` if there is none.

        Raises:
            ConnectError: If there is no such place.
        """
        return None

    async def check_access(self) -> str | None:
        """See that its place can be reached and read, with the credentials it has; no record is read, nothing changed.

        Returns:
            What was found, in a few words; ``None`` if only reading tells.

        Raises:
            ConnectError: If the place cannot be reached or read.
        """
        return None

    def share_before(self, position: Position) -> float | None:
        """Return which share of all that it reads lies before a position, from 0 to 1; ``None`` if that is not known.

        It is asked for while a run goes on, from another thread, and does not wait for anything far away.
        """
        return None

    async def committed(self, position: Position) -> None:
        """Take note that all that was read before a position is committed, rejects included, if it ``acknowledges``.

        A durable run says so after each batch, any other once, when it has succeeded: after its sink has committed.

        Raises:
            ConnectError: If it cannot take note of it; the run then fails.
        """

    async def release(self, context: PipelineContext) -> None:
        """Let go of what was kept open for ``committed``, if it ``acknowledges``: the run has ended, whichever way.

        Args:
            context: What ``read`` was given, or another of the same ``pipeline_id``.
        """

    def read_again(self, record: Any) -> T:
        """Make a record of one that could not be read, as it was kept and perhaps mended.

        Raises:
            Exception: If it still can't be read.
        """
        raise StageContractError(
            f"source {self.name!r} cannot read a rejected record again: mend it where it comes from"
        )

    def _hints(self) -> tuple[Any, Any]:
        made_as = getattr(self, "__orig_class__", None)
        arguments = base_arguments(type(self), getattr(made_as, "__args__", ()), SourceStage)
        record, output = arguments if len(arguments) == 2 else (Any, Any)
        return None, list_of(record) if output is Any else output

    async def process(self, data: None, context: PipelineContext) -> StageResult[Output_co]:
        started = perf_counter()
        records = Gathered()
        failed = 0
        first = context.chunk_start
        async with aclosing(self.read(context)) as chunks:
            async for chunk in chunks:
                records.add(chunk.records)
                failed += chunk.records_failed
                context.chunk_start = first + len(records) + failed
                await anyio.sleep(0)
        return StageResult(
            data=records.value,
            duration_ms=(perf_counter() - started) * 1000,
            records_processed=len(records),
            records_failed=failed,
        )


def models_read_by(stages: Iterable[object]) -> list[type[Any]]:
    """Return the record types into which the sources among some stages parse what they read."""
    sources: list[object] = [stage for stage in stages if isinstance(stage, SourceStage)]
    models: list[object] = [getattr(source, "_model", None) for source in sources]
    return [model for model in models if isinstance(model, type)]


class Guarantee(str, Enum):
    """What a sink promises about a record after crashes and resumed runs."""

    EXACTLY_ONCE = "exactly-once"
    AT_LEAST_ONCE = "at-least-once"


@dataclass(frozen=True, slots=True)
class Claim:
    """Who writes the batches of a durable run.

    Attributes:
        run: The name of the run, the same whoever works on it; of no more than 500 characters.
        epoch: How often the run was taken: whoever has a smaller number must not write any more.
    """

    run: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What a sink did.

    Attributes:
        target: Where the records went.
        records_loaded: Records written.
        records_rejected: Records that the target does not take; they are in ``context.errors``.
        guarantee: What the sink promises.
    """

    target: str
    records_loaded: int
    records_rejected: int = 0
    guarantee: Guarantee


class SinkTransaction(ABC, Generic[T_contra]):
    """One load in progress: what ``SinkStage.begin`` returns.

    It holds all the state, so runs of one sink may overlap.
    """

    @abstractmethod
    async def write(self, records: Sequence[T_contra]) -> int:
        """Write a chunk.

        Returns:
            How many of the records were rejected and recorded in the context's errors.

        Raises:
            Exception: If the chunk cannot be written; the caller then calls ``abort``.
        """

    @abstractmethod
    async def commit(self, position: Position | None = None) -> None:
        """Make all that was written visible at once, together with ``position``, and close the target."""

    @abstractmethod
    async def abort(self) -> None:
        """Undo what was written, and close the target."""


class SinkStage(PipelineStage[Iterable[T_contra], LoadReport]):
    """Base of sinks: override ``begin`` and ``target``.

    A durable run writes batch by batch. A sink that can keep the number of a batch in the same transaction as its rows
    overrides ``claim`` and ``begin_batch`` as well, and so promises that each record is loaded exactly once.

    Attributes:
        guarantee: What the sink promises of a run that is not durable: a fact of the sink.
        chunk_size: Records that are handed to a write at a time, if a run has so many at hand.

    Example:
        >>> class Collect(SinkStage[int]):
        ...     target = "a list"
        ...     def __init__(self):
        ...         self.stored = []
        ...     async def begin(self, context):
        ...         return CollectTransaction(self.stored)
        >>> class CollectTransaction(SinkTransaction[int]):
        ...     def __init__(self, stored):
        ...         self.stored, self.written = stored, []
        ...     async def write(self, records):
        ...         self.written += records
        ...         return 0
        ...     async def commit(self, position=None):
        ...         self.stored += self.written
        ...     async def abort(self):
        ...         self.written.clear()
        >>> from mainstem import Pipeline
        >>> collect = Collect()
        >>> Pipeline[list[int], LoadReport]("collect").add_stage(collect).run([1, 2]).data.records_loaded
        2
        >>> collect.stored
        [1, 2]
    """

    guarantee: ClassVar[Guarantee] = Guarantee.AT_LEAST_ONCE
    chunk_size: ClassVar[int] = LOADED_AT_ONCE

    @property
    @abstractmethod
    def target(self) -> str:
        """Where the records go, without secrets."""

    @property
    def datasets(self) -> Sequence[Dataset]:
        """What it writes, as OpenLineage names it, without secrets; nothing, if it cannot tell."""
        return ()

    @abstractmethod
    async def begin(self, context: PipelineContext) -> SinkTransaction[T_contra]:
        """Open the target; what is written from now on is not seen by others before ``commit``.

        Raises:
            ConnectError: If the target cannot be opened.
        """

    @property
    def durable_guarantee(self) -> Guarantee:
        """What the sink promises of a durable run."""
        of_base: Any = getattr(SinkStage, "claim")  # noqa: B009 - for type checkers, which cannot know of what
        keeps_numbers = type(self).claim is not of_base
        return Guarantee.EXACTLY_ONCE if keeps_numbers else Guarantee.AT_LEAST_ONCE

    @property
    def durable_refusal(self) -> str:
        """Why a durable run cannot write into it; empty if it can."""
        return ""

    async def check_access(self) -> str | None:
        """See that its target can be reached and written, with the credentials it has; nothing is written.

        Returns:
            What was found, in a few words; ``None`` if only writing tells.

        Raises:
            ConnectError: If the target cannot be reached, or is seen to take nothing.
        """
        return None

    @property
    def replaces(self) -> bool:
        """Whether a load takes the place of what was in the target, so that nothing can be added to it later."""
        return False

    @property
    def locked_file(self) -> Path | None:
        """The file that nobody else can write during a transaction; the run's store must be another."""
        return None

    async def claim(self, claim: Claim) -> int | None:
        """Shut out whoever wrote batches of a run before, and say which was the last that was committed.

        From then on ``commit`` of a transaction that was begun with an earlier epoch must fail.

        Returns:
            The number of the batch, 0 if there was none; ``None`` from a sink that keeps no numbers.

        Raises:
            LeaseLostError: If somebody with a later epoch was here.
            ConnectError: If the target cannot be reached or written.
        """
        return None

    async def begin_batch(self, context: PipelineContext, claim: Claim, sequence: int) -> SinkTransaction[T_contra]:
        """Open the target for a batch of a durable run; its ``commit`` keeps the batch's number with the rows.

        Args:
            context: The run's state.
            claim: Who writes.
            sequence: The number of the batch, from 1, and one more than that of the batch before.

        Raises:
            LeaseLostError: If somebody with a later epoch was here; ``commit`` may raise it, too.
            ConnectionLostError: If the same may succeed later; ``write`` and ``commit`` may raise it, too. After that
                from ``commit``, only ``claim`` tells whether the batch was committed.
            ConnectError: If the target cannot be opened.
        """
        return await self.begin(context)

    async def complete(self, claim: Claim) -> None:
        """Do what is to be done once after the last batch: move a file to its name, say. May be done again.

        Raises:
            LeaseLostError: If somebody with a later epoch was here.
            ConnectError: If the target cannot be reached or written.
        """

    async def forget(self, claim: Claim) -> None:
        """Let go of what is kept of a run, which has completed: nobody will claim it again. May be done again.

        Raises:
            LeaseLostError: If somebody with a later epoch was here.
            ConnectError: If the target cannot be reached or written.
        """

    async def process(self, data: Iterable[T_contra], context: PipelineContext) -> StageResult[LoadReport]:
        started = perf_counter()
        records = list(data)
        load = Load(self)
        try:
            await load.start(context)
            fed = await load.feed(records, context)
            report = (await load.finish(context)).data
        except BaseException as error:
            await load.abort(error)
            raise
        return StageResult(
            data=report,
            duration_ms=(perf_counter() - started) * 1000,
            records_processed=fed.records_processed,
            records_failed=fed.records_failed,
        )


def chunk_size_into(stages: Sequence[PipelineStage[Any, Any]], *, to_workers: bool) -> int:
    """Return how many records of the input a run takes at a time that hands its output to nobody but a sink, if any.

    Args:
        stages: The stages.
        to_workers: Whether records may go to worker processes, in pieces that are no larger than a chunk.
    """
    last: Any = stages[-1] if stages else None
    if not isinstance(last, SinkStage):
        return CHUNK_SIZE
    return max(CHUNK_SIZE, last.chunk_size) if to_workers else last.chunk_size


class Load:
    """A sink's part in one run: its transaction, which is fed chunk by chunk and committed at the end.

    Whoever starts it must end it, with ``finish`` or ``abort``.
    """

    wanted: int | None = None

    def __init__(self, sink: SinkStage[Any]) -> None:
        self._sink = sink
        self._transaction: SinkTransaction[Any] | None = None
        self._loaded = self._rejected = 0

    async def start(self, context: PipelineContext) -> StageResult[Any]:
        """Open the target."""
        self._transaction = await self._sink.begin(context)
        return StageResult(data=())

    async def feed(self, records: Sequence[Any], context: PipelineContext) -> StageResult[Any]:
        """Write the next records."""
        transaction, first = self._open(), context.chunk_start
        size = FRAME_ROWS if is_frame(records) else self._sink.chunk_size
        rejected = 0
        try:
            for at in range(0, len(records), size):
                context.chunk_start = first + at
                rejected += await transaction.write(records[at : at + size])
                await anyio.sleep(0)
        finally:
            context.chunk_start = first
        self._loaded += len(records) - rejected
        self._rejected += rejected
        return StageResult(data=(), records_processed=len(records) - rejected, records_failed=rejected)

    async def finish(self, context: PipelineContext) -> StageResult[LoadReport]:
        """Commit, and say what was loaded."""
        await self._open().commit()
        self._transaction = None
        sink = self._sink
        return StageResult(
            data=LoadReport(
                target=sink.target,
                records_loaded=self._loaded,
                records_rejected=self._rejected,
                guarantee=sink.guarantee,
            )
        )

    async def abort(self, error: BaseException) -> None:
        """Undo what was written, because of ``error``; should that fail too, it must not hide why."""
        if self._transaction is None:
            return
        with anyio.CancelScope(shield=True):
            try:
                await self._transaction.abort()
            except Exception as failure:
                add_note_once(error, f"and to undo the load failed: {describe_error(failure)}")
        self._transaction = None

    def _open(self) -> SinkTransaction[Any]:
        if self._transaction is None:
            raise StageContractError(f"the load into {self._sink.target} is not open")
        return self._transaction
