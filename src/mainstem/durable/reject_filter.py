"""Which rejects are meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias, TypedDict

from mainstem.options import check_names
from mainstem.store.model import RejectQuery, RejectState

StateName: TypeAlias = Literal["open", "edited", "approved", "discarded", "replayed"]


class RejectFilter(TypedDict, total=False):
    """Which rejects are meant; what is left out, or ``None``, does not matter.

    Attributes:
        pipeline: The pipeline's name.
        run_id: The run's name.
        stage: The stage's name, as reports show it.
        code: The kind of failure: ``validation``, ``late``, the error's class or its own ``code``.
        states: One of these states.
    """

    pipeline: str | None
    run_id: str | None
    stage: str | None
    code: str | None
    states: Iterable[RejectState | StateName] | None


def query_of(which: RejectFilter) -> RejectQuery:
    """Return a filter as a store is asked.

    Raises:
        TypeError: If there is nothing of the kind to ask for: else a misspelt filter would mean every reject.
        ValueError: If there is no such state.
    """
    check_names("a filter of rejects", which, RejectFilter.__annotations__)
    states = which.get("states")
    return RejectQuery(
        pipeline=which.get("pipeline"),
        run_id=which.get("run_id"),
        stage=which.get("stage"),
        code=which.get("code"),
        states=None if states is None else checked_states(states),
    )


def checked_states(states: Iterable[RejectState | StateName]) -> Sequence[RejectState]:
    """Return states of which some may be given by name.

    Raises:
        ValueError: If there is no such state.
    """
    names = [states] if isinstance(states, str) else [*states]
    for name in names:
        if name not in RejectState._value2member_map_:
            raise ValueError(f"there is no state {name!r}: there are {', '.join(each.value for each in RejectState)}")
    return [RejectState(name) for name in names]
