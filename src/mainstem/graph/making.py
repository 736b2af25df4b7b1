"""Making the graph of a pipeline: what its stages, their branches and the pipelines within it are joined to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

from mainstem.endpoints import SinkStage, SourceStage
from mainstem.graph.data import Flow, GraphEdge, GraphGroup, GraphNode, NodeShape, PipelineGraph
from mainstem.stage import PipelineStage, StageKind
from mainstem.stage_run import unique_names
from mainstem.stages.join import JoinStage
from mainstem.stages.split import SplitStage
from mainstem.stateful import takes_chunks
from mainstem.typecheck import show


def graph_of(stage: PipelineStage[Any, Any]) -> PipelineGraph:
    """Return the graph of a pipeline, or of a chain or a stage; nothing is run.

    Args:
        stage: The pipeline.

    Raises:
        ValueError: If a pipeline is within itself.

    Example:
        >>> from mainstem import AggregateStage, BranchStage, Pipeline
        >>> both = BranchStage(low=AggregateStage(min), high=AggregateStage(max), name="range")
        >>> graph = graph_of(Pipeline[list[int], dict[str, int]]("numbers").add_stage(both))
        >>> [(node.shape, node.path) for node in graph.nodes]
        [('input', ''), ('fork', 'range'), ('stage', 'range/low'), ('stage', 'range/high'), ('merge', 'range'), \
('output', '')]
        >>> [edge.label for edge in graph.edges]
        ['', 'low', 'high', '', '', '']
    """
    return map_graph(stage).graph


@dataclass(frozen=True, slots=True)
class GraphMap:
    """A graph, with the stages that its nodes stand for.

    Attributes:
        graph: The graph.
        stages: The stage of each node that has one, by the node's id.
        hints: The annotation of what each of them is given.
    """

    graph: PipelineGraph
    stages: Mapping[str, PipelineStage[Any, Any]]
    hints: Mapping[str, Any]


def map_graph(stage: PipelineStage[Any, Any]) -> GraphMap:
    """Do what ``graph_of`` does, and return the stages with it.

    Raises:
        ValueError: If a pipeline is within itself.
    """
    making = _Making()
    stages = stages_within(stage)
    hint = stage.input_hint
    ends: list[_End] = []
    if hint not in (None, NoneType) and not (stages and begins(stages[0])):
        ends = [_End(making.add("input", name="input", path="", gives=show(hint)))]
    making.within.append(stage)
    ends, hint = making.add_chain(stages, unique_names(stages), "", ends, hint)
    if not stages or not isinstance(stages[-1], SinkStage):
        making.join(ends, making.add("output", name="output", path="", takes=show(hint)))
    graph = PipelineGraph(
        name=stage.name, nodes=tuple(making.nodes), edges=tuple(making.edges), groups=tuple(making.groups)
    )
    return GraphMap(graph, making.stages, making.hints)


def stages_within(stage: PipelineStage[Any, Any]) -> Sequence[PipelineStage[Any, Any]]:
    """Return the stages of a pipeline, the members of a chain, or the stage itself."""
    inner: Sequence[PipelineStage[Any, Any]] | None = getattr(stage, "stages", None)  # of a pipeline
    return stage.members if inner is None else inner


def begins(stage: PipelineStage[Any, Any]) -> bool:
    """Whether a stage has nothing before it: a source, or one that takes ``None``."""
    return isinstance(stage, SourceStage) or stage.input_hint in (None, NoneType)


def flow_of_stage(stage: PipelineStage[Any, Any]) -> Flow:
    """Say what a stage does with its input, by the law that it keeps."""
    if takes_chunks(stage) or isinstance(stage, (SourceStage, SinkStage)):
        return "streams"
    return "adds up" if stage.kind is StageKind.COMBINER else "blocks"


def reference_of(stage: object) -> PipelineStage[Any, Any] | None:
    """Return the stage that gives a join its reference; ``None`` if there is none."""
    return stage.reference_stage if isinstance(stage, JoinStage) else None


def _shape_of(stage: Any) -> NodeShape:
    return "sink" if isinstance(stage, SinkStage) else "source" if begins(stage) else "stage"


def _shape_of_branches(stage: object) -> NodeShape:
    return "split" if isinstance(stage, SplitStage) else "fork"


class _End:
    """Where the next node is joined to: a node's id, and the label of the edge that leads on."""

    def __init__(self, node: str, label: str = "") -> None:
        self.node, self.label = node, label


class _Making:
    """A graph in the making."""

    def __init__(self) -> None:
        self.nodes: list[GraphNode] = []
        self.edges: list[GraphEdge] = []
        self.groups: list[GraphGroup] = []
        self.stages: dict[str, PipelineStage[Any, Any]] = {}
        self.hints: dict[str, Any] = {}
        self.within: list[PipelineStage[Any, Any]] = []
        """The pipelines that are being gone through, from the outermost on."""

    def add(self, shape: NodeShape, **values: Any) -> str:
        node = GraphNode(id=f"n{len(self.nodes)}", shape=shape, **values)
        self.nodes.append(node)
        return node.id

    def join(self, ends: Sequence[_End], node: str) -> None:
        self.edges += [GraphEdge(start=end.node, end=node, label=end.label) for end in ends]

    def add_chain(
        self,
        stages: Sequence[PipelineStage[Any, Any]],
        names: Sequence[str],
        within: str,
        ends: Sequence[_End],
        hint: Any,
    ) -> tuple[list[_End], Any]:
        """Add stages that follow one another.

        Args:
            stages: The stages.
            names: Their names in reports.
            within: What their paths begin with.
            ends: Where the first of them is joined to.
            hint: The annotation of what comes from there.

        Returns:
            Where what follows is to be joined to, and the annotation of what comes from there.
        """
        now = list(ends)
        for stage, name in zip(stages, names, strict=True):
            given = stage.input_hint if hint is Any else hint
            now = self._add_stage(stage, name, f"{within}{name}", now, given)
            hint = stage.output_hint(given)
        return now, hint

    def _add_stage(
        self, stage: PipelineStage[Any, Any], name: str, path: str, ends: Sequence[_End], hint: Any
    ) -> list[_End]:
        inner = stages_within(stage)
        if inner != (stage,):
            return self._add_inner(stage, inner, name, path, ends, hint)
        branches: Mapping[str, PipelineStage[Any, Any]] | None = getattr(stage, "branches", None)
        if branches:
            return self._add_branches(stage, branches, name, path, ends, hint)
        references: list[_End] = []
        reference = reference_of(stage)
        if reference is not None:
            given = self._add_stage(reference, reference.name, f"{path}/{reference.name}", [], reference.input_hint)
            references = [_End(end.node, "reference") for end in given]
        node = self._node_of(_shape_of(stage), stage, name, path, hint)
        self.join([*ends, *references], node)
        return [_End(node)]

    def _node_of(self, shape: NodeShape, stage: PipelineStage[Any, Any], name: str, path: str, hint: Any) -> str:
        node = self.add(
            shape,
            name=name,
            path=path,
            stage_class=type(stage).__name__,
            law=stage.kind.value,
            flow=flow_of_stage(stage),
            takes="" if shape == "source" else show(hint),
            gives=show(stage.output_hint(hint)),
            target=stage.target if isinstance(stage, SinkStage) else "",
            made_at=stage.made_at,
        )
        self.stages[node], self.hints[node] = stage, hint
        return node

    def _add_inner(
        self,
        stage: PipelineStage[Any, Any],
        inner: Sequence[PipelineStage[Any, Any]],
        name: str,
        path: str,
        ends: Sequence[_End],
        hint: Any,
    ) -> list[_End]:
        """Add the members of a chain, or the stages of a pipeline, which are a group."""
        if any(stage is each for each in self.within):
            raise ValueError(
                f"pipeline {stage.name!r} is within itself, so it has no graph, and no run of it would end"
            )
        first = len(self.nodes)
        self.within.append(stage)
        after, _ = self.add_chain(inner, unique_names(inner), f"{path}/", ends, hint)
        self.within.pop()
        if hasattr(stage, "stages") and len(self.nodes) > first:
            members = tuple(node.id for node in self.nodes[first:])
            self.groups.append(GraphGroup(id=f"g{len(self.groups)}", name=name, path=path, members=members))
        return after

    def _add_branches(
        self,
        stage: PipelineStage[Any, Any],
        branches: Mapping[str, PipelineStage[Any, Any]],
        name: str,
        path: str,
        ends: Sequence[_End],
        hint: Any,
    ) -> list[_End]:
        node = self._node_of(_shape_of_branches(stage), stage, name, path, hint)
        self.join(ends, node)
        outputs: list[_End] = []
        for branch, within in branches.items():
            outputs += self._add_stage(within, within.name, f"{path}/{branch}", [_End(node, branch)], hint)
        merge = self.add("merge", name=name, path=path, gives=show(stage.output_hint(hint)))
        self.join(outputs, merge)
        return [_End(merge)]
