"""What a replay is told, and what it says of what it did."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any, Protocol, TypedDict

from mainstem.context import PipelineContext
from mainstem.endpoints import LoadReport
from mainstem.stage import PipelineStage
from mainstem.store.model import RejectState
from mainstem.store.resumable import LONGEST_RUN_ID

_REPLAYABLE = (RejectState.OPEN, RejectState.EDITED, RejectState.APPROVED)


class Replayable(Protocol):
    """What a replay needs of a pipeline."""

    @property
    def name(self) -> str: ...

    @property
    def stages(self) -> tuple[PipelineStage[Any, Any], ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """What a replay did.

    Attributes:
        run_id: The replay's name among the runs of the pipeline.
        replayed: Rejects that went through.
        dropped: Those of them of which nothing came out: they were filtered, or repeat what is loaded already.
        failed_again: Rejects that failed again; they are open, with what went wrong now.
        skipped: How many rejects could not be replayed, by the reason.
        load: What the sink did.
    """

    run_id: str
    replayed: int
    dropped: int
    failed_again: int
    skipped: Mapping[str, int]
    load: LoadReport


class ReplayOptions(TypedDict, total=False):
    """Options of a replay.

    Attributes:
        states: Rejects in these states are replayed; by default those that are approved. ``open`` and ``edited`` may be
            named as well.
        stage: Those of this stage only.
        code: Those with this code only.
        force: Replay though the pipeline is not the one that the run began with.
        lease: How long after the last sign of life nobody else may replay, unless the process is known to be gone; 10
            seconds by default.
        secret_fields: Names of fields whose values are left out of what is kept of rejects.
        context: The context that stages are given; a fresh one by default.
    """

    states: Iterable[RejectState | str]
    stage: str | None
    code: str | None
    force: bool
    lease: timedelta
    secret_fields: Collection[str]
    context: PipelineContext | None


def replay_run_id(run_id: str) -> str:
    """Return the name that the replay of a run has among the runs of the pipeline."""
    name = f"{run_id} (replay)"
    if len(name) <= LONGEST_RUN_ID:
        return name
    return f"{run_id[:150]}... {sha256(run_id.encode()).hexdigest()[:16]} (replay)"


def checked_states(states: Iterable[RejectState | str]) -> Sequence[RejectState]:
    """Return states, some of which may be given by name.

    Raises:
        ValueError: If rejects of one of them are not replayed.
    """
    names = {each.value: each for each in _REPLAYABLE}
    several = [states] if isinstance(states, str) else [*states]
    for each in several:
        if each not in names:
            raise ValueError(f"rejects that are {', '.join(names)} can be replayed, and not those that are {each!r}")
    return [names[each] for each in several]
