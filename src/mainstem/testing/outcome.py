"""What can be seen of a stage's work on some records, so that two ways of feeding it can be compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mainstem.context import PipelineContext
from mainstem.errors import MainstemError, describe_error
from mainstem.result import CompositeResult, StageResult


class LawBrokenError(MainstemError, AssertionError):
    """A stage does not keep the law it claims; the message shows the smallest data on which it does not."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What can be seen of a stage's work.

    Attributes:
        output: The output; ``None`` if the stage failed.
        counts: Records that passed, were filtered, and failed.
        errors: Stage, position and text of each error, stage by stage: the order between stages is not promised.
        has_chains: Whether the stage is made of chains of stages. When one of them fails, how far the records behind
            had come by then depends on where the data was cut, as in a pipeline.
    """

    output: list[Any] | None
    counts: tuple[int, int, int]
    errors: list[tuple[str, int | None, str]]
    has_chains: bool = field(default=False, repr=False)

    def followed_by(self, other: Outcome, records: int = 0) -> Outcome:
        """Return what is to be seen of this work and then the other, whose positions count from ``records``."""
        if self.output is None:
            return self
        shifted = [(stage, None if at is None else at + records, text) for stage, at, text in other.errors]
        return Outcome(
            None if other.output is None else self.output + other.output,
            tuple_of_three(mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)),
            by_stage(self.errors + shifted),
            self.has_chains or other.has_chains,
        )

    def is_like(self, other: Outcome) -> bool:
        """Whether nobody could tell the two apart."""
        if self.output is None and other.output is None and (self.has_chains or other.has_chains):
            return True
        return alike(self, other)


NOTHING = Outcome([], (0, 0, 0), [])
"""The outcome of no work."""


def outcome_of(result: StageResult[Any], context: PipelineContext, errors_before: int = 0) -> Outcome:
    """Return what can be seen of a result, and of the errors that its work added to the context's."""
    parts = result.stage_results.values() if isinstance(result, CompositeResult) else ()
    errors = [(each.stage, each.index, describe_error(each.error)) for each in context.errors[errors_before:]]
    return Outcome(
        list(result.data or ()) if result.success else None,
        (result.records_passed, result.records_filtered, result.records_failed),
        by_stage(errors),
        any(isinstance(part, CompositeResult) for part in parts),
    )


def tuple_of_three(numbers: Any) -> tuple[int, int, int]:
    first, second, third = numbers
    return first, second, third


def by_stage(errors: list[tuple[str, int | None, str]]) -> list[tuple[str, int | None, str]]:
    """Return errors stage by stage, those of one stage as they came."""
    return sorted(errors, key=lambda error: error[0])


def alike(left: object, right: object) -> bool:
    """Whether two values are equal, or look the same: a NaN is alike, and not equal."""
    return left == right or repr(left) == repr(right)
