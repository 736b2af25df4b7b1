"""A graph as the text of a Mermaid flowchart, which GitHub, GitLab, JupyterLab and many editors draw."""

from __future__ import annotations

from collections.abc import Iterable

from mainstem.graph.data import GraphEdge, GraphGroup, GraphNode, NodeShape, PipelineGraph
from mainstem.graph.words import lines_of, title_of
from mainstem.printable import printable

_BRACKETS: dict[NodeShape, tuple[str, str]] = {
    "input": ("([", "])"),
    "output": ("([", "])"),
    "source": ("[(", ")]"),
    "sink": ("[(", ")]"),
    "stage": ("[", "]"),
    "fork": ("{{", "}}"),
    "split": ("{", "}"),
    "merge": ("([", "])"),
}
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:/-+=()[]")


def to_mermaid(graph: PipelineGraph) -> str:
    """Return the text of a flowchart, from top to bottom.

    Names and types are escaped, whatever is in them: each character that could be markup is a number. Stages that hold
    their whole input have a dashed border.

    Args:
        graph: The graph.

    Example:
        >>> from mainstem import MapStage, Pipeline
        >>> from mainstem.graph import graph_of
        >>> print(to_mermaid(graph_of(Pipeline[list[int], list[str]]("texts").add_stage(MapStage(str)))))
        flowchart TD
            n0(["input<br/>list[int]"])
            n1["MapStage<br/>elementwise, streams<br/>gives list[str]"]
            n2(["output<br/>list[str]"])
            n0 --> n1
            n1 --> n2
            classDef blocks stroke-dasharray:5 4
        <BLANKLINE>
    """
    lines = [*_nodes(graph), *map(_edge, graph.edges), "classDef blocks stroke-dasharray:5 4"]
    blocking = [node.id for node in graph.nodes if node.flow == "blocks"]
    if blocking:
        lines.append(f"class {','.join(blocking)} blocks")
    return "flowchart TD\n" + "".join(f"    {line}\n" for line in lines)


def _nodes(graph: PipelineGraph) -> Iterable[str]:
    """Give the lines of the nodes, those of a group between its beginning and its end."""
    inside = {each for group in graph.groups for each in group.members}
    yield from (_node(node) for node in graph.nodes if node.id not in inside)
    yield from _groups(graph, graph.groups)


def _groups(graph: PipelineGraph, groups: Iterable[GraphGroup]) -> Iterable[str]:
    left = sorted(groups, key=lambda group: len(group.members), reverse=True)
    while left:
        outer = left[0]
        inner = [each for each in left[1:] if set(each.members) <= set(outer.members)]
        left = [each for each in left[1:] if each not in inner]
        deeper = {member for each in inner for member in each.members}
        yield f'subgraph {outer.id}["{_escaped(printable(outer.name))}"]'
        yield from (f"    {_node(node)}" for node in graph.nodes if node.id in outer.members and node.id not in deeper)
        yield from (f"    {line}" for line in _groups(graph, inner))
        yield "end"


def _node(node: GraphNode) -> str:
    opening, closing = _BRACKETS[node.shape]
    label = "<br/>".join(_escaped(line) for line in (title_of(node), *lines_of(node)) if line)
    return f'{node.id}{opening}"{label}"{closing}'


def _edge(edge: GraphEdge) -> str:
    if not edge.label:
        return f"{edge.start} --> {edge.end}"
    return f'{edge.start} -->|"{_escaped(printable(edge.label))}"| {edge.end}'


def _escaped(text: str) -> str:
    """Return text as Mermaid's own entities have it: it takes quoted labels for HTML, and backticks for Markdown."""
    return "".join(each if each in _PLAIN or ord(each) > 127 else f"#{ord(each)};" for each in text)
