"""What is known of a run before it: plain data, which is printed, put into JSON, or looked at in a program."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from mainstem.connect.table_look import TableLook
from mainstem.endpoints import Guarantee
from mainstem.graph.data import PipelineGraph

AccessLevel: TypeAlias = Literal["ok", "unknown", "broken", "not checked"]


@dataclass(frozen=True, slots=True)
class Access:
    """Whether a place can be reached, with the credentials given.

    Attributes:
        level: ``unknown`` where only reading or writing tells.
        text: What was found, or why it cannot be reached and what to do.
    """

    level: AccessLevel
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePlan:
    """A source.

    Attributes:
        path: Its name as reports show it.
        stage_class: Its class.
        gives: The type it gives.
        access: Whether it can be read.
        acknowledges: Whether it lets go of records when they are committed.
        is_reference: Whether its records are the reference of a join, read as a whole at the start.
    """

    path: str
    stage_class: str
    gives: str
    access: Access
    acknowledges: bool = False
    is_reference: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkPlan:
    """A sink.

    Attributes:
        path: Its name as reports show it.
        stage_class: Its class.
        target: Where the records go, without secrets.
        access: Whether that can be reached and written, as far as can be told without writing.
        guarantee: What it promises of a run that is not durable.
        durable_guarantee: What it promises of a durable run.
        durable_refusal: Why a durable run cannot write into it; empty if it can.
        replaces: Whether a load takes the place of what is there.
        locked_file: The file that nobody else can write during a load, if there is one: a run's store must be another.
        table: What was seen of its table, and what would change; ``None`` if it has none that can be looked at.
    """

    path: str
    stage_class: str
    target: str
    access: Access
    guarantee: Guarantee
    durable_guarantee: Guarantee
    durable_refusal: str = ""
    replaces: bool = False
    locked_file: str | None = None
    table: TableLook | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelinePlan:
    """What a run of a pipeline would do.

    Attributes:
        pipeline: The pipeline's name.
        graph: Its stages, with kinds and types, and how they are joined.
        sources: Its sources, those of joins included.
        sinks: Its sinks, those within branches included.
        held: The parts of which the whole input, or output, is in memory, each with the reason; the others take it by
            chunk.
        collects: Whether what it gives is collected in memory.
        guarantee: What a durable run promises of all sinks together.
        guarantee_reason: Why it promises no more; empty if it promises that each record is loaded exactly once.
    """

    pipeline: str
    graph: PipelineGraph
    sources: tuple[SourcePlan, ...]
    sinks: tuple[SinkPlan, ...]
    held: tuple[tuple[str, str], ...]
    collects: bool
    guarantee: Guarantee
    guarantee_reason: str

    @property
    def problems(self) -> tuple[str, ...]:
        """What would keep a run from reading or loading its records."""
        found = [f"{each.path}: {each.access.text}" for each in self.sources if each.access.level == "broken"]
        for sink in self.sinks:
            if sink.access.level == "broken":
                found.append(f"{sink.path}: {sink.access.text}")
            if sink.table is not None:
                found += [f"{sink.path}: {problem}" for problem in sink.table.problems]
        return tuple(dict.fromkeys(found))

    def to_dict(self) -> dict[str, Any]:
        """Return the plan in values that JSON has."""
        document = asdict(self)
        document["graph"] = self.graph.to_dict()
        document["problems"] = list(self.problems)
        document["guarantee"] = self.guarantee.value
        for sink in document["sinks"]:
            sink["guarantee"] = sink["guarantee"].value
            sink["durable_guarantee"] = sink["durable_guarantee"].value
        document["held"] = [{"path": path, "reason": reason} for path, reason in self.held]
        return document
