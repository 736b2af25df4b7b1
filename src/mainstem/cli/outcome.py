"""How a run from the command line ended, for the report and for JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from mainstem.accounting import Accounting
from mainstem.cli.durable_outcome import DurableOutcome
from mainstem.cli.stages import StageRow, rows_at_end
from mainstem.cli.target import AnyPipeline
from mainstem.context import PipelineContext, StageError, StageProgress
from mainstem.errors import AccountingError, MainstemError
from mainstem.result import PipelineResult
from mainstem.stage_run import unique_names


@dataclass(slots=True)
class Outcome:
    """What is known of a run; it begins with nothing but a context.

    Attributes:
        context: The run's context.
        pipeline: The pipeline, once it was made.
        result: The result, if the run came to one.
        error: What made it fail or ended it early.
        status: How it ended, in the words of its last event.
        own_code: The file or folder of the user's code.
        refusal: Why a durable run did not begin.
        durable: What its store says of a durable run that did.
    """

    context: PipelineContext = field(default_factory=PipelineContext)
    pipeline: AnyPipeline | None = None
    result: PipelineResult[Any] | None = None
    error: BaseException | None = None
    status: Literal["completed", "failed", "cancelled"] = "failed"
    own_code: str = ""
    refusal: MainstemError | None = None
    durable: DurableOutcome | None = None

    @property
    def stage_names(self) -> list[str]:
        """The names of the stages, unique, in order."""
        return [] if self.pipeline is None else unique_names(self.pipeline.stages)

    @property
    def rows(self) -> list[StageRow]:
        """The stages as they ended."""
        return rows_at_end(self.stage_names, self.context, {} if self.result is None else self.result.stage_results)

    @property
    def total(self) -> StageProgress:
        """The counts of the whole run; of one that was ended early, those so far."""
        result = self.result
        if result is not None:
            return StageProgress(
                result.records_in,
                result.records_passed,
                result.records_filtered,
                result.records_failed,
                result.duration_ms,
            )
        stages = list(self.context.progress.values())
        failed = sum(each.records_failed for each in stages)
        filtered = sum(each.records_filtered for each in stages)
        passed = stages[-1].records_passed if stages else 0
        entered = max(stages[0].records_in, passed + filtered + failed) if stages else 0
        elapsed = self.context.elapsed_ms if self.pipeline is not None else 0.0
        return StageProgress(entered, passed, filtered, failed, elapsed)

    @property
    def accounting(self) -> Accounting | None:
        """Where the records went; ``None`` if the run came to no result, or to one whose counts do not add up."""
        try:
            return None if self.result is None else self.result.accounting
        except AccountingError:
            return None  # it is among the errors of the run, which are shown

    @property
    def culprit(self) -> StageError | None:
        """The entry of ``context.errors`` that tells where the error came up."""
        error = self.error
        if error is None:
            return None
        entries = [each for each in self.context.errors if each.error is error]
        return entries[0] if entries else next((e for e in self.context.errors if e.error is error.__cause__), None)

    @property
    def failed_stage(self) -> str | None:
        """The stage that failed: the innermost that is known."""
        if self.culprit is not None:
            return self.culprit.stage
        return next((row.name for row in self.rows if row.state == "failed"), None)
