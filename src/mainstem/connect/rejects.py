"""Records that a source cannot read or a target does not take: recorded and left out, or the end of the run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from mainstem.context import PipelineContext


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that failed.

    Attributes:
        index: Its position.
        record: The record, as raw as it is had.
        error: Why.
    """

    index: int
    record: Any
    error: Exception


def settle_rejects(
    rejects: Iterable[Reject], context: PipelineContext, stage: str, *, go_on: bool, first: int = 0
) -> int:
    """Record the rejects in the context, in order; without ``go_on`` only the first, which is raised.

    Args:
        rejects: The rejects.
        context: The run's state.
        stage: The name of the stage, in case the context does not know it.
        go_on: Whether the rest may go on.
        first: What the rejects' indexes count from, where that is not what the stage was handed.

    Returns:
        How many they were.

    Raises:
        Exception: The first one's error, without ``go_on``.
    """
    count = 0
    for reject in sorted(rejects, key=attrgetter("index")):
        name = context.current_stage or stage
        context.record_error(reject.error, stage=name, record=reject.record, index=reject.index - first)
        if not go_on:
            raise reject.error
        count += 1
    return count


def set_aside(
    positions: Sequence[int], failed: list[tuple[int, Exception]], failures: list[tuple[int, Exception]]
) -> Sequence[int]:
    """Move what failed among ``positions`` to ``failures``, under its position in the chunk, and return the others."""
    if not failed:
        return positions
    failures += [(positions[at], error) for at, error in failed]
    gone = {at for at, _ in failed}
    return [position for at, position in enumerate(positions) if at not in gone]
