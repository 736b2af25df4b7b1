"""``assert_rejects``: which records did a stage reject, and why?"""

from __future__ import annotations

from typing import Any, TypeAlias

from mainstem.context import PipelineContext, StageError
from mainstem.errors import describe_error
from mainstem.result import PipelineResult

Reason: TypeAlias = "str | type[Exception] | tuple[object, str | type[Exception]]"
"""What is to be in the error's text, or its type; with the record before it, where that matters."""


def assert_rejects(result: PipelineResult[Any] | PipelineContext, stage: str, *reasons: Reason) -> list[StageError]:
    """Assert that a stage rejected exactly so many records, in this order and for these reasons.

    Args:
        result: The result of a run; or a context, if a stage was called by hand.
        stage: The stage's name in reports, such as ``parse``, or ``branch/parse``.
        reasons: For each reject what its error says (a part of the text), or the type of its error; either may come as
            a pair with the record. None at all if nothing was to be rejected.

    Returns:
        The rejects, for more to be asserted of them.

    Raises:
        AssertionError: If it is otherwise; the message lists what was rejected.

    Example:
        >>> from mainstem import Pipeline
        >>> numbers = Pipeline[list[str], list[int]]("numbers").map(int, name="parse", continue_on_error=True)
        >>> rejects = assert_rejects(numbers.run(["1", "x", ""]), "parse", "invalid literal", ("", ValueError))
        >>> [reject.index for reject in rejects]
        [1, 2]
    """
    __tracebackhide__ = True
    context = result.context if isinstance(result, PipelineResult) else result
    rejects = [each for each in context.errors if each.index is not None or each.record is not None]
    found = [each for each in rejects if each.stage == stage]
    if len(found) == len(reasons) and all(map(_fits, found, reasons)):
        return found
    lines = [f"stage {stage!r} was to reject {len(reasons)} records, for these reasons, and rejected {len(found)}:"]
    lines += [f"  expected  {_in_words(reason)}" for reason in reasons]
    lines += [f"  rejected  {_of_reject(each)}" for each in found]
    lines += [f"  elsewhere {each.stage}: {_of_reject(each)}" for each in rejects if each.stage != stage]
    if isinstance(result, PipelineResult) and result.error is not None:
        lines.append(f"  the run failed: {describe_error(result.error)}")
    raise AssertionError("\n".join(lines))


def _fits(reject: StageError, reason: Reason) -> bool:
    if isinstance(reason, tuple):
        record, reason = reason
        if type(record) is not type(reject.record) or record != reject.record:
            return False
    if isinstance(reason, str):
        return reason in str(reject.error)
    return isinstance(reject.error, reason)


def _in_words(reason: Reason) -> str:
    if isinstance(reason, tuple):
        return f"{reason[0]!r:.100}: {_in_words(reason[1])}"
    return f"... {reason} ..." if isinstance(reason, str) else reason.__name__


def _of_reject(reject: StageError) -> str:
    at = "" if reject.index is None else f" at {reject.index}"
    return f"{reject.record!r:.100}{at}: {describe_error(reject.error)}"
