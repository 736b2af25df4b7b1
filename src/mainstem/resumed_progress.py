"""How far a stage is in a durable run that is gone on with."""

from __future__ import annotations

from dataclasses import dataclass, field

from mainstem.context import StageProgress


@dataclass(slots=True)
class ResumedProgress(StageProgress):
    """The counts of a stage of a durable run that is gone on with: those of all attempts.

    Attributes:
        earlier: What they were when this attempt began.
    """

    earlier: StageProgress = field(default_factory=StageProgress)
