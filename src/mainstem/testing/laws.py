"""``check_laws``: does a stage keep the law that it claims with its ``kind``?

An engine relies on the law to cut the data, run the parts anywhere, and put the answers together. A stage that claims a
law it does not keep gives wrong answers there, and only there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeGuard

import anyio

from mainstem.context import PipelineContext
from mainstem.errors import describe_error, missing_extra
from mainstem.stage import PipelineStage, StageKind
from mainstem.stage_run import StageRun
from mainstem.stages.aggregate import AggregateStage
from mainstem.stages.combiner import Combiner
from mainstem.stateful import StatefulStage
from mainstem.testing.outcome import NOTHING, LawBrokenError, Outcome, alike, outcome_of
from mainstem.testing.stateful_law import check_stateful

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


def check_laws(stage: PipelineStage[Any, Any], records: SearchStrategy[Any], *, max_examples: int = 200) -> None:
    """Prove with Hypothesis that a stage keeps the law of its kind, or show the smallest data on which it does not.

    An elementwise stage must give for ``a + b`` what it gives for ``a`` followed by what it gives for ``b``, in one run
    and in two: output, counts, and errors with their positions; and where it fails, it must fail on the same record. Of
    a stage made of chains of stages (a ``SplitStage``), where one of them fails, only that it fails is compared: how
    far other records have come by then depends on the cut, as in a pipeline.

    A stateful stage, one derived from ``StatefulStage``, must give for its input in parts what it gives for the whole.
    A state restored from the snapshot taken at any cut must go on as if nothing had happened. To take a snapshot must
    not disturb the state, nor may a snapshot share anything with a state that could change. Of a state that grows, a
    snapshot and the changes that it gave after that must make the same state as a later snapshot. Two runs of the stage
    must not meet.

    A combiner's ``merge`` must be associative, with ``create()`` as its unit, and any cut of the data must give the
    same answer as the whole. The combiner of a stage is the one in its attribute ``combiner``.

    Args:
        stage: The stage; its function must be safe to call many times.
        records: A Hypothesis strategy for single records.
        max_examples: How many examples to try.

    Raises:
        LawBrokenError: If the law is broken.
        MissingExtraError: If Hypothesis is not installed.
        RuntimeError: Inside a running event loop.
        ValueError: If the stage claims no law that can be checked: it is blocking, or a source.

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
    if stage.kind is StageKind.COMBINER and isinstance(stage, AggregateStage):
        combiner: Combiner[Any, Any, Any] | None = stage.combiner
        if combiner is not None:
            return lambda first, second, third: _check_combiner(stage.name, combiner, first, second, third)
    if stage.kind is StageKind.ELEMENTWISE or _is_stateful(stage):
        return lambda first, second, third: anyio.run(_check_parts, stage, [first, second, third])
    raise ValueError(f"stage {stage.name!r} is {stage.kind.value}, which is no law that can be checked")


async def _check_parts(stage: PipelineStage[Any, Any], parts: list[list[Any]]) -> None:
    # A stage may be both: one that could keep a state, and as it was made needs none.
    if stage.kind is StageKind.ELEMENTWISE:
        await _check_elementwise(stage, parts[0], parts[1] + parts[2])
    if _is_stateful(stage):
        await check_stateful(stage, parts)


def _is_stateful(stage: object) -> TypeGuard[StatefulStage[Any, Any]]:
    return isinstance(stage, StatefulStage)


async def _work(stage: PipelineStage[Any, Any], *parts: list[Any]) -> Outcome:
    """Feed the parts to the stage in one run, up to the first at which it fails."""
    context = PipelineContext()
    run = StageRun(stage, stage.name, context)
    outcome = NOTHING
    for part in parts:
        errors_before = len(context.errors)
        outcome = outcome.followed_by(outcome_of(await run.feed(part), context, errors_before))
        if outcome.output is None:
            break
    return outcome


async def _check_elementwise(stage: PipelineStage[Any, Any], first: list[Any], second: list[Any]) -> None:
    together = await _work(stage, first + second)
    ways = {
        "apart": (await _work(stage, first)).followed_by(await _work(stage, second), len(first)),
        "in turn": await _work(stage, first, second),
    }
    for way, outcome in ways.items():
        if not outcome.is_like(together):
            raise LawBrokenError(
                f"stage {stage.name!r} claims to be elementwise, and is not: it gives something else for\n"
                f"  {first!r} + {second!r}\n"
                f"than for the one followed by the other, in {'two runs' if way == 'apart' else 'one run'}:\n"
                f"  together  {together!r}\n"
                f"  {way:<8}  {outcome!r}"
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
        if not alike(answer, answers["all at once"]):
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
