"""The way of a reject through a pipeline: from the stage in which it failed to the sink."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeGuard

from mainstem.endpoints import SourceStage
from mainstem.stage import PipelineStage, StageKind
from mainstem.stage_run import unique_names
from mainstem.stages.batch import BatchStage
from mainstem.stages.join import JoinStage
from mainstem.stages.split import SplitStage
from mainstem.stages.throttle import ThrottleStage
from mainstem.stateful import StageState, StatefulStage


class Manner(Enum):
    """How a record that comes by itself goes through a stage."""

    EACH = "each"
    """The stage takes any record by itself."""
    ALONE = "alone"
    """It makes a batch of one."""
    AFRESH = "afresh"
    """Its state is one of the moment, and begins with the replay."""
    KEPT = "kept"
    """Its state is that of the run, and goes on with the replay."""
    BLOCKED = "blocked"
    """It made its answer of all records of the run, and has given it."""


@dataclass(frozen=True, slots=True)
class Step:
    """A stage on the way.

    Attributes:
        stage: The stage.
        name: Its name among those beside it.
        within: The names of what it is in.
        manner: How a record goes through it.
    """

    stage: PipelineStage[Any, Any]
    name: str
    within: tuple[str, ...]
    manner: Manner

    @property
    def path(self) -> str:
        """Its name in reports."""
        return "/".join((*self.within, self.name))


@dataclass(frozen=True, slots=True)
class Way:
    """The way of a reject.

    Attributes:
        steps: The stages it goes through; none, if it is the sink that did not take it.
        source: The source that could not read it, if it was that.
    """

    steps: Sequence[Step]
    source: SourceStage[Any] | None = None


class Ways:
    """The ways through a pipeline that ends in a sink.

    Args:
        stages: Its stages.
        names: Their names in reports.
    """

    def __init__(self, stages: Sequence[PipelineStage[Any, Any]], names: Sequence[str]) -> None:
        first: Any = stages[0]
        self._source: SourceStage[Any] | None = first if isinstance(first, SourceStage) else None
        self._names = names
        start = 0 if self._source is None else 1
        self.steps = [*_steps(stages[start:-1], names[start:-1], ())]

    def way_from(self, stage: str) -> Way | str:
        """Return the way from the stage of a name; in words why there is none, if there is none."""
        if stage == self._names[-1]:
            return Way(())
        if self._source is not None and stage == self._names[0]:
            return self._checked(Way(self.steps, self._source))
        steps = _from(stage, self.steps)
        if steps is not None:
            return self._checked(Way(steps))
        outer = stage.partition("/")[0]
        if outer in self._names:
            return (
                f"it failed inside stage {outer!r}, which puts together what its parts give, so a record cannot enter "
                f"at {stage!r}: discard it, or mend it where it comes from"
            )
        return f"the pipeline has no stage {stage!r} any more: discard it, or replay with the pipeline as it was"

    @staticmethod
    def _checked(way: Way) -> Way | str:
        blocked = next((step for step in way.steps if step.manner is Manner.BLOCKED), None)
        if blocked is None:
            return way
        return (
            f"stage {blocked.path!r}, {type(blocked.stage).__name__}, made its answer of all records of the run, and "
            "has given it: discard it, or run the pipeline anew on a mended input"
        )


def _steps(stages: Sequence[PipelineStage[Any, Any]], names: Sequence[str], within: tuple[str, ...]) -> Iterator[Step]:
    """Give the stages one after another, those of a pipeline that is used as a stage in its place."""
    for stage, name in zip(stages, names, strict=True):
        nested: Sequence[PipelineStage[Any, Any]] | None = getattr(stage, "stages", None)
        if nested is None:
            yield Step(stage, name, within, _manner_of(stage, within))
        else:
            yield from _steps(nested, unique_names(nested), (*within, name))


def _manner_of(stage: PipelineStage[Any, Any], within: tuple[str, ...]) -> Manner:
    if stage.kind is StageKind.ELEMENTWISE:
        return Manner.EACH
    if isinstance(stage, BatchStage):
        return Manner.ALONE
    if isinstance(stage, (ThrottleStage, JoinStage)):
        return Manner.AFRESH
    if within or not _is_stateful(stage):  # of nested pipelines no states are kept
        return Manner.BLOCKED
    state: type[StageState[Any, Any]] = type(stage.begin())
    # One that has something left at the end of the input gave it then.
    return Manner.KEPT if "finish" not in _overridden(state) else Manner.BLOCKED


def _is_stateful(stage: object) -> TypeGuard[StatefulStage[Any, Any]]:
    return isinstance(stage, StatefulStage)


def _is_split(stage: object) -> TypeGuard[SplitStage[Any, Any]]:
    return isinstance(stage, SplitStage)


def _overridden(state: type[StageState[Any, Any]]) -> set[str]:
    """Return the names of what a class of states has of its own."""
    bases = state.__mro__[: state.__mro__.index(StageState)]
    return {name for base in bases for name in vars(base)}


def _from(path: str, steps: Sequence[Step]) -> Sequence[Step] | None:
    """Return the steps from the one of a name on, which may be in a branch of a split; ``None`` if it is not there."""
    for at, step in enumerate(steps):
        if step.path == path:
            return steps[at:]
        split: object = step.stage
        if _is_split(split) and path.startswith(f"{step.path}/"):
            for branch, stage in split.branches.items():
                within = (*step.within, step.name, branch)
                inner = _from(path, [*_steps(stage.members, unique_names(stage.members), within)])
                if inner is not None:
                    return [*inner, *steps[at + 1 :]]
    return None
