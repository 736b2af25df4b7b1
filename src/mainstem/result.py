"""What a stage, and a pipeline, gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, cast

from typing_extensions import TypeVar

from mainstem.context import PipelineContext
from mainstem.errors import StageFailedError, describe_error
from mainstem.stage_timing import StageTiming

if TYPE_CHECKING:
    from mainstem.accounting import Accounting, RecordFlow
    from mainstem.attribution import Bottleneck
    from mainstem.run_times import RunTimes

Data_co = TypeVar("Data_co", covariant=True)


@dataclass(slots=True, kw_only=True)
class StageResult(Generic[Data_co]):
    """The outcome of one stage: its data or its error, its time and its counts.

    Counts are in the unit of the stage's input, and add up: every record taken came through, was filtered or failed.
    A stage that gives no counts and no time has them filled in by whoever runs it.

    Attributes:
        data: The output; ``None`` when the stage failed.
        success: Whether the stage did its work. A stage that went on past failed records succeeded.
        error: The exception that made it fail.
        duration_ms: Time spent, in milliseconds.
        records_processed: Records handled without failure, those that a filter dropped included.
        records_failed: Records that failed.
        records_filtered: Records handled and dropped on purpose.
        notes: What a reader of the report should know, in plain words: what was gathered, what was forgotten.
        timing: Where its time went, as a run measured it: busy, waiting, blocked, retrying, held back.

    Example:
        >>> StageResult(data=[1, 2], records_processed=3, records_filtered=1).records_passed
        2
    """

    data: Data_co | None = None
    success: bool = True
    error: Exception | None = None
    duration_ms: float = 0.0
    records_processed: int = 0
    records_failed: int = 0
    records_filtered: int = 0
    notes: tuple[str, ...] = ()
    timing: StageTiming = field(default=StageTiming(), repr=False)

    @classmethod
    def failure(cls, error: Exception, *, records_processed: int = 0, records_failed: int = 0) -> StageResult[Any]:
        """Make a failed result.

        Example:
            >>> StageResult.failure(ValueError("no such table")).success
            False
        """
        return cls(success=False, error=error, records_processed=records_processed, records_failed=records_failed)

    @property
    def records_in(self) -> int:
        """Records the stage took: those it handled and those that failed."""
        return self.records_processed + self.records_failed

    @property
    def records_passed(self) -> int:
        """Records that came through: handled and not filtered."""
        return self.records_processed - self.records_filtered

    def unwrap(self) -> Data_co:
        """Return the data of a success, typed as such.

        Raises:
            Exception: The result's error, if it is a failure.
        """
        if not self.success:
            if self.error is not None:
                raise self.error
            raise StageFailedError("the result is a failure that carries no error")
        return cast(Data_co, self.data)


@dataclass(slots=True, kw_only=True)
class CompositeResult(StageResult[Data_co]):
    """The outcome of something made of stages: a chain, branches, a pipeline.

    Attributes:
        stage_results: The result of each part that ran, by name, in the order they began.
    """

    stage_results: Mapping[str, StageResult[Any]] = field(default_factory=lambda: dict[str, StageResult[Any]]())


@dataclass(slots=True, kw_only=True)
class PipelineResult(CompositeResult[Data_co]):
    """The outcome of a run of a pipeline.

    Its counts are the whole run's: ``records_failed`` and ``records_filtered`` are the sums over the stages, and
    ``records_in`` is what entered the first stage (or, where a stage made more records out of few, the larger number).
    Of a failed run they count the records whose fate is known: filtered, failed, or handled by the stage that failed.

    Attributes:
        context: The run's context, with every error in ``context.errors``.
        times: Where the run's time went, and which parts ran beside which; ``None`` of a result that no run made.
        flow: The way of its records from stage to stage, where its counts do not say it all.
    """

    context: PipelineContext
    times: RunTimes | None = field(default=None, repr=False)
    flow: RecordFlow | None = field(default=None, repr=False)

    @property
    def accounting(self) -> Accounting:
        """What became of every record: each that entered, or came into being on the way, is in one of its figures.

        Raises:
            AccountingError: If the counts do not add up. The run has failed with it then, unless it failed before.

        Example:
            >>> from mainstem import BatchStage, Pipeline
            >>> print(Pipeline[list[int], list[list[int]]]("pairs").add_stage(BatchStage(2)).run([1, 2, 3]).accounting)
            3 in = 2 given + 1 combined
        """
        from mainstem.accounting import Accounting  # late: not every program looks

        if self.flow is not None:
            return self.flow.account()
        return Accounting(
            records_in=self.records_in,
            given=self.records_passed,
            filtered=self.records_filtered,
            rejected=self.records_failed,
        )

    @property
    def bottleneck(self) -> Bottleneck | None:
        """The part that bounds the run, with its numbers: the one that would have to be faster for the run to be.

        ``None`` where nothing can be said: the run failed, was too short, or had no stages.
        """
        from mainstem.attribution import find_bottleneck  # late, as the words for it are

        return find_bottleneck(self.times) if self.success and self.times is not None else None

    def explain(self) -> str:
        """Say in plain words which part bounds the run, and about what more concurrency or workers there would give.

        Estimates come from the measured times. Of a failed run it says where it failed, and the times until then.

        Example:
            >>> import time
            >>> from mainstem import MapStage, Pipeline
            >>> def parse(line: str) -> int:
            ...     time.sleep(0.05)
            ...     return int(line)
            >>> result = Pipeline[list[str], list[int]]("numbers").map(parse, name="parse").run(["1", "2"])
            >>> result.explain().splitlines()[0]  # doctest: +ELLIPSIS
            "'parse' bounds the run: it computes for ... of ... ms (...%)."
        """
        from mainstem.explanation import explain, explain_failure  # late: words are needed by who asks for them

        if self.times is None:
            return "Nothing is known of the times of this result: no run made it."
        if self.success:
            return explain(self.times)
        stage = next((name for name, each in self.stage_results.items() if not each.success), None)
        error = "it carries no error" if self.error is None else describe_error(self.error)
        busy = {name: each.duration_ms for name, each in self.stage_results.items()}
        return explain_failure(self.times, stage, error, busy)
