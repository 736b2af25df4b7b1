"""``check_laws``: does a stage keep the law that it claims with its ``kind``?

An engine relies on the law to cut the data, run the parts anywhere, and put the answers together. A stage that claims a
law it does not keep gives wrong answers there, and only there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from mainstem.context import PipelineContext
from mainstem.errors import MainstemError, describe_error, missing_extra
from mainstem.stage import PipelineStage, StageKind
from mainstem.stage_run import StageRun
from mainstem.stages.aggregate import AggregateStage
from mainstem.stages.combiner import Combiner

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


class LawBrokenError(MainstemError, AssertionError):
    """A stage does not keep the law it claims; the message shows the smallest data on which it does not."""


def check_laws(stage: PipelineStage[Any, Any], records: SearchStrategy[Any], *, max_examples: int = 200) -> None:
    """Prove with Hypothesis that a stage keeps the law of its kind, or show the smallest data on which it does not.

    An elementwise stage must give for ``a + b`` what it gives for ``a`` followed by what it gives for ``b``: output,
    counts, and errors with their positions; and where it fails, it must fail on the same record. A combiner's ``merge``
    must be associative, with ``create()`` as its unit, and any cut of the data must give the same answer as the whole.

    Args:
        stage: The stage; its function must be safe to call many times.
        records: A Hypothesis strategy for single records.
        max_examples: How many examples to try.

    Raises:
        LawBrokenError: If the law is broken.
        MissingExtraError: If Hypothesis is not installed.
        RuntimeError: Inside a running event loop.
        ValueError: If the stage claims no law that can be checked: it is blocking, or stateful.

    Example:
        >>> from hypothesis import strategies as st
        >>> from mainstem import MapStage
        >>> check_laws(MapStage(str), st.integers())
        >>> seen = set()
        >>> def is_new(number: int) -> bool:
        ...     return not (number in seen or seen.add(number))
        >>> from mainstem import FilterStage
        >>> try:
        ...     check_laws(FilterStage(is_new), st.integers())
        ... except LawBrokenError:
        ...     print("what it says of a record depends on those before it")
        what it says of a record depends on those before it
    """
    try:
        from hypothesis import given, settings
        from hypothesis import strategies as st
        from hypothesis.errors import Flaky
    except ImportError:
        raise missing_extra("check_laws()", "testing") from None
    law = _law_of(stage)
    part = st.lists(records, max_size=8)

    @settings(max_examples=max_examples, deadline=None, database=None, report_multiple_bugs=False)
    @given(part, part, part)
    def hold(first: list[Any], second: list[Any], third: list[Any]) -> None:
        law(first, second, third)

    try:
        hold()
    except Flaky as error:
        raise LawBrokenError(
            f"stage {stage.name!r} claims to be {stage.kind.value}, and is not: it gives something else when it is "
            "given the same data again, so it keeps something between calls"
        ) from error


_Law = Callable[[list[Any], list[Any], list[Any]], None]


def _law_of(stage: PipelineStage[Any, Any]) -> _Law:
    if stage.kind is StageKind.ELEMENTWISE:
        return lambda first, second, third: _check_elementwise(stage, first, second + third)
    if stage.kind is StageKind.COMBINER and isinstance(stage, AggregateStage):
        combiner: Combiner[Any, Any, Any] | None = stage.combiner
        if combiner is not None:
            return lambda first, second, third: _check_combiner(stage.name, combiner, first, second, third)
    raise ValueError(f"stage {stage.name!r} is {stage.kind.value}, which is no law that can be checked")


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What can be seen of a stage's work on some records."""

    output: list[Any] | None
    counts: tuple[int, int, int]
    errors: list[tuple[int | None, str]]

    def followed_by(self, other: _Outcome, records: int) -> _Outcome:
        """Return what is to be seen of the work on ``records`` records and then those of ``other``."""
        if self.output is None:
            return self
        shifted = [(None if at is None else at + records, text) for at, text in other.errors]
        output = None if other.output is None else self.output + other.output
        failed, passed, filtered = (mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True))
        return _Outcome(output, (failed, passed, filtered), self.errors + shifted)


def _work(stage: PipelineStage[Any, Any], records: list[Any]) -> _Outcome:
    context = PipelineContext()
    result = anyio.run(StageRun(stage, stage.name, context).feed, records)
    return _Outcome(
        list(result.data) if result.success and result.data is not None else None,
        (result.records_failed, result.records_passed, result.records_filtered),
        [(entry.index, describe_error(entry.error)) for entry in context.errors],
    )


def _check_elementwise(stage: PipelineStage[Any, Any], first: list[Any], second: list[Any]) -> None:
    apart = _work(stage, first).followed_by(_work(stage, second), len(first))
    together = _work(stage, first + second)
    if not _alike(apart, together):
        raise LawBrokenError(
            f"stage {stage.name!r} claims to be elementwise, and is not: it gives something else for\n"
            f"  {first!r} + {second!r}\n"
            f"than for the one followed by the other:\n"
            f"  together  {together!r}\n"
            f"  apart     {apart!r}"
        )


def _check_combiner(
    name: str, combiner: Combiner[Any, Any, Any], first: list[Any], second: list[Any], third: list[Any]
) -> None:
    def of(records: list[Any]) -> Any:
        return combiner.add_all(combiner.create(), records)

    def one_by_one(records: list[Any]) -> Any:
        accumulator = combiner.create()
        for record in records:
            accumulator = combiner.add(accumulator, record)
        return accumulator

    merge, everything = combiner.merge, first + second + third
    # Each accumulator is made anew: merge() and finish() may change the ones they are given.
    ways: dict[str, Callable[[], Any]] = {
        "all at once": lambda: of(everything),
        "one by one": lambda: one_by_one(everything),
        "merged from the left": lambda: merge(merge(of(first), of(second)), of(third)),
        "merged from the right": lambda: merge(of(first), merge(of(second), of(third))),
        "with nothing before": lambda: merge(combiner.create(), of(everything)),
        "with nothing after": lambda: merge(of(everything), combiner.create()),
    }
    answers = {way: _answer(combiner, make) for way, make in ways.items()}
    for way, answer in answers.items():
        if not _alike(answer, answers["all at once"]):
            raise LawBrokenError(
                f"the combiner of stage {name!r} does not keep its law on {first!r}, {second!r}, {third!r}:\n"
                f"  all at once  {answers['all at once']!r}\n"
                f"  {way}  {answer!r}"
            )


def _answer(combiner: Combiner[Any, Any, Any], make: Callable[[], Any]) -> Any:
    try:
        return combiner.finish(make())
    except Exception as error:
        return describe_error(error)  # an answer too, which must not depend on the cut either


def _alike(left: object, right: object) -> bool:
    return left == right or repr(left) == repr(right)  # a NaN is alike, and not equal
