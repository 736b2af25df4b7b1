"""The graph of a pipeline as plain data: what is drawn, printed, compared and put into JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

NodeShape: TypeAlias = Literal["input", "source", "stage", "fork", "split", "merge", "sink", "output"]
"""What a node stands for. ``fork`` hands the same input to each branch, ``split`` each record to one; after either,
``merge`` puts together what the branches give."""

Flow: TypeAlias = Literal["streams", "adds up", "blocks"]
"""What a stage does with its input: gives output for each chunk; takes chunk by chunk and gives one value at the end;
or holds all of it at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphNode:
    """A stage, or a place where the way of the records forks, splits, merges, begins or ends.

    Attributes:
        id: Names it in this graph; holds nothing of the user's.
        shape: What it stands for.
        name: The stage's name.
        path: Its name as reports show it, ``outer/inner`` within a branch or a nested pipeline; of a merge, that of the
            stage whose branches end there.
        stage_class: The class of the stage; empty where there is none.
        law: The law it keeps, as ``StageKind`` has it; empty where there is no stage.
        flow: What it does with its input; ``None`` where there is no stage.
        takes: The type it takes, as one would write it.
        gives: The type it gives.
        target: Where a sink's records go, without secrets.
        made_at: Where the stage was made, as ``file:line``.
    """

    id: str
    shape: NodeShape
    name: str
    path: str
    stage_class: str = ""
    law: str = ""
    flow: Flow | None = None
    takes: str = ""
    gives: str = ""
    target: str = ""
    made_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphEdge:
    """The way from a node to another.

    Attributes:
        start: The node's id.
        end: The other's.
        label: The name of the branch that begins here, or ``reference``; empty on all other edges.
    """

    start: str
    end: str
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphGroup:
    """A pipeline that is a stage of another: its stages belong together.

    Attributes:
        id: Names it in this graph.
        name: The pipeline's name.
        path: Its name as reports show it.
        members: The ids of all nodes within, those of groups within it included.
    """

    id: str
    name: str
    path: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineGraph:
    """A pipeline as a graph without cycles; the nodes are in an order in which every edge leads on.

    Attributes:
        name: The pipeline's name.
        nodes: The nodes.
        edges: The edges.
        groups: The pipelines within it.
    """

    name: str
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    groups: tuple[GraphGroup, ...] = ()

    @property
    def stages(self) -> tuple[GraphNode, ...]:
        """The nodes that are stages."""
        return tuple(node for node in self.nodes if node.stage_class)

    @property
    def sinks(self) -> tuple[GraphNode, ...]:
        """The nodes that are sinks, those within branches too."""
        return tuple(node for node in self.nodes if node.shape == "sink")

    def to_dict(self) -> dict[str, Any]:
        """Return the graph in values that JSON has."""
        return asdict(self)
