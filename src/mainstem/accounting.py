"""What became of every record of a run, and the check that nothing was lost or doubled on the way.

Each stage's counts are held against what it was fed, and against those of its neighbours: where a stage gives one
record for each that came through, the next must have taken exactly those. Only a stage whose law says that it makes
another number of records out of them (a batch, a flatten, an aggregation) may differ, and the difference has a name.

Source: double-entry bookkeeping; Spring Batch's read, filter, skip and write counts of a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from mainstem.errors import AccountingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounting:
    """Where the records of a run went: ``records_in + made`` is the sum of all the others.

    Attributes:
        records_in: Records that entered the first stage, or that the source read.
        made: Records that came into being on the way, where a stage made more out of few.
        loaded: Records in the target of a sink that committed.
        given: Records of the pipeline's output, or one for a single value.
        filtered: Records dropped on purpose.
        deduplicated: Records dropped because they repeated a key.
        rejected: Records that failed.
        combined: Records that went into others: of a batch, window or total of n records, n - 1.
        unfinished: Records whose way ended before its end: the run failed or was stopped, or a limit had been reached.

    Example:
        >>> from mainstem import FilterStage, Pipeline
        >>> result = Pipeline[list[str], list[str]]("digits").add_stage(FilterStage(str.isdigit)).run(["1", "x", "2"])
        >>> print(result.accounting)
        3 in = 2 given + 1 filtered
    """

    records_in: int = 0
    made: int = 0
    loaded: int = 0
    given: int = 0
    filtered: int = 0
    deduplicated: int = 0
    rejected: int = 0
    combined: int = 0
    unfinished: int = 0

    def __str__(self) -> str:
        """Say it as an equation, without what is zero."""
        made = f" + {self.made:,} made" if self.made else ""
        ends = [f"{count:,} {name}" for name, count in self._ends().items() if count]
        return f"{self.records_in:,} in{made} = {' + '.join(ends) or '0'}"

    def check(self) -> None:
        """Check that it adds up.

        Raises:
            AccountingError: If it does not.
        """
        ends = self._ends()
        if self.records_in + self.made != sum(ends.values()) or min(self.records_in, self.made, *ends.values()) < 0:
            raise AccountingError(f"the records of the run do not add up: {self}")

    def _ends(self) -> dict[str, int]:
        return {
            "loaded": self.loaded,
            "given": self.given,
            "filtered": self.filtered,
            "deduplicated": self.deduplicated,
            "rejected": self.rejected,
            "combined": self.combined,
            "unfinished": self.unfinished,
        }


class Passage(Enum):
    """How many records a stage gives for those that came through."""

    ONE_TO_ONE = "one to one"
    """One for each: elementwise stages that do not expand, sources, dedupe, limits."""
    GROUPED = "grouped"
    """No more than came through: a stateful stage that does not expand, such as a batch."""
    REGROUPED = "regrouped"
    """Any number, chunk by chunk."""
    AT_END = "at the end"
    """Any number, when it has had all its input: an aggregation, a blocking stage."""
    LOADED = "loaded"
    """None: a sink."""


class Traits(NamedTuple):
    """What a stage is, as far as accounting goes.

    Attributes:
        passage: How many records it gives.
        drops_repeats: Whether what it filters are repeats.
        ends_input: Whether it may want no more records before the end of its input.
    """

    passage: Passage
    drops_repeats: bool = False
    ends_input: bool = False


class StageFlow(NamedTuple):
    """The counts of a stage over a whole run.

    Attributes:
        name: Its name in reports.
        traits: What it is.
        taken: Records that it took.
        passed: Of these, those that came through.
        filtered: Those that it dropped on purpose.
        failed: Those that failed.
        done: Whether it had all its input, and succeeded.
        succeeded: Whether nothing made it fail.
        made_at: Where it was made, as ``file:line``.
        miscount: How many records it was fed at a time, and how many it then said it took, where that is not the same.
        committed: Of a sink that is not done, the records that are in the target for good.
    """

    name: str
    traits: Traits
    taken: int
    passed: int
    filtered: int
    failed: int
    done: bool = True
    succeeded: bool = True
    made_at: str = ""
    miscount: tuple[int, int] | None = None
    committed: int = 0


class RecordFlow(NamedTuple):
    """The counts of all stages of a run, and of what went in and came out. Everything else follows from them.

    Attributes:
        stages: Those of the stages that have begun, in order.
        given: Records that came out; ``None`` if that is not known any more. Not looked at where the last stage is a
            sink.
        completed: Whether the run has completed.
        entered: Records that were handed to the run; ``None`` if that is not known.
    """

    stages: Sequence[StageFlow] = ()
    given: int | None = 0
    completed: bool = True
    entered: int | None = None

    def check(self) -> None:
        """Check each stage against what went into it, and against the one after it.

        Raises:
            AccountingError: If a stage's counts are not possible, or not those of its neighbours.
        """
        passed, giver = self.entered, None
        for stage in self.stages:
            _, traits, taken, came_through, filtered, failed, *_, miscount, _ = stage
            if (
                miscount is not None
                or taken != came_through + filtered + failed
                or came_through < 0
                or filtered < 0
                or failed < 0
            ):
                raise AccountingError(_explain_stage(stage))
            if passed is not None and taken != passed:
                self._check_join(giver, passed, stage)
            passage = traits.passage
            passed = came_through if passage is _ONE_TO_ONE or passage is _GROUPED else None
            giver = stage
        given = self.given
        if giver is not None and passed is not None and given is not None and given != passed:
            self._check_end(giver, passed, given)

    def _check_join(self, giver: StageFlow | None, passed: int, taker: StageFlow) -> None:
        """Check that a stage took another number of records than there were for it, for a reason."""
        missing = passed - taker.taken + _failed_without_record(passed, taker)
        grouped = giver is not None and giver.traits.passage is Passage.GROUPED
        if missing == 0 or (missing > 0 and (grouped or self._may_end_before(taker))):
            return
        where = f"stage {taker.name!r}{_made_at(taker)}"
        if giver is None:
            raise AccountingError(f"{_HEADING}: the run was given {passed:,} records, and {where} took {taker.taken:,}")
        raise AccountingError(
            f"{_HEADING}: {passed:,} records came through stage {giver.name!r}{_made_at(giver)} and {where} which is "
            f"next took {taker.taken:,}. {_ADVICE}"
        )

    def _may_end_before(self, taker: StageFlow) -> bool:
        """Whether records may have been left over before a stage: the run ended early, or it wanted no more."""
        at = next(at for at, each in enumerate(self.stages) if each is taker)
        return not self.completed or any(each.traits.ends_input for each in self.stages[at:])

    def _check_end(self, last: StageFlow, passed: int, given: int) -> None:
        fewer = given < passed and (not self.completed or last.traits.passage is Passage.GROUPED)
        if not fewer:
            raise AccountingError(
                f"{_HEADING}: {passed:,} records came through the last stage, {last.name!r}{_made_at(last)} and the "
                f"run gave {given:,}. {_ADVICE}"
            )

    def account(self) -> Accounting:
        """Say where all records went.

        Raises:
            AccountingError: If the counts do not add up.
        """
        self.check()
        stages = self.stages
        given = self.given
        if given is None:
            given = stages[-1].passed if stages else 0
        if not stages:
            return Accounting(records_in=given, given=given)
        filtered = deduplicated = rejected = loaded = made = combined = unfinished = 0
        for at, stage in enumerate(stages):
            is_last = at == len(stages) - 1
            gave = given if is_last else stages[at + 1].taken
            if not is_last:
                phantom = _failed_without_record(stage.passed, stages[at + 1])
                gave, rejected = gave - phantom, rejected - phantom
            rejected += stage.failed
            if stage.traits.drops_repeats:
                deduplicated += stage.filtered
            else:
                filtered += stage.filtered
            passage = stage.traits.passage
            if passage is Passage.LOADED:
                in_target = stage.passed if stage.done else stage.committed
                loaded += in_target
                unfinished += stage.passed - in_target
                made += 0 if is_last else gave  # its report, which the next stage takes
            elif passage is Passage.ONE_TO_ONE:
                unfinished += stage.passed - gave
            elif passage is Passage.AT_END and not stage.done:
                unfinished += stage.passed
                made += gave
            else:
                combined += max(0, stage.passed - gave)
                made += max(0, gave - stage.passed)
        accounting = Accounting(
            records_in=stages[0].taken,
            made=made,
            loaded=loaded,
            given=0 if stages[-1].traits.passage is Passage.LOADED else given,
            filtered=filtered,
            deduplicated=deduplicated,
            rejected=rejected,
            combined=combined,
            unfinished=unfinished,
        )
        accounting.check()
        return accounting


_ONE_TO_ONE, _GROUPED = Passage.ONE_TO_ONE, Passage.GROUPED
"""Bound here, because to look up a member of an enumeration takes a while."""

_HEADING = "the counts of the run do not add up"
_ADVICE = (
    "A stage counts each record it takes once: as processed (those that it filters included, which are counted as "
    "filtered as well) or as failed. One that gives more or fewer records than came through says so with expands=True; "
    "one that gives no counts has them filled in"
)


def _failed_without_record(passed: int, taker: StageFlow) -> int:
    """How many failures of a stage are of no record: one, where there was none left that could have failed.

    A failed stage counts at least one failure, though it may have failed on no record at all.
    """
    return int(not taker.succeeded and taker.failed > 0 and taker.taken == passed + 1)


def _explain_stage(stage: StageFlow) -> str:
    where = f"stage {stage.name!r}{_made_at(stage)}"
    if stage.miscount is not None:
        fed, counted = stage.miscount
        return f"{_HEADING}: {where} was given {fed:,} records, and says that it took {counted:,}. {_ADVICE}"
    return (
        f"{_HEADING}: {where} says that it took {stage.taken:,} records, of which {stage.passed:,} came through, "
        f"{stage.filtered:,} were filtered and {stage.failed:,} failed. {_ADVICE}"
    )


def _made_at(stage: StageFlow) -> str:
    return f", made at {stage.made_at}," if stage.made_at else ""
