"""What may become of a reject: which state follows which, and in words why another does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mainstem.durable.edits import why_not_replayable
from mainstem.store.model import RejectRecord, RejectState

_WHY_NOT = {
    RejectState.REPLAYED: "it was replayed, and its record went through: nothing is left to do",
    RejectState.DISCARDED: "it is discarded: reopen it first",
}


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state.

    Attributes:
        among: The states that may be left.
        target: The state that a reject comes to.
        hindrance: Says why this one cannot come to it, if it can't.
    """

    among: frozenset[RejectState]
    target: Callable[[RejectRecord], RejectState]
    hindrance: Callable[[RejectRecord], str | None] = lambda _: None

    def refusal(self, reject: RejectRecord) -> str | None:
        """Say why a reject cannot be changed so; ``None`` if it can, or is so already."""
        if reject.state is self.target(reject):
            return None
        if reject.state not in self.among:
            return _WHY_NOT[reject.state]
        return self.hindrance(reject)


def _back(reject: RejectRecord) -> RejectState:
    return RejectState.OPEN if reject.edited is None else RejectState.EDITED


_AT_WORK = frozenset((RejectState.OPEN, RejectState.EDITED, RejectState.APPROVED))

EDIT = Transition(_AT_WORK, lambda _: RejectState.EDITED)
APPROVE = Transition(_AT_WORK, lambda _: RejectState.APPROVED, why_not_replayable)
DISCARD = Transition(_AT_WORK, lambda _: RejectState.DISCARDED)
REOPEN = Transition(_AT_WORK | {RejectState.DISCARDED}, _back)
