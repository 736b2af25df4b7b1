"""A graph as the text of a DOT graph, which Graphviz draws."""

from __future__ import annotations

from collections.abc import Iterable

from mainstem.graph.data import GraphGroup, GraphNode, NodeShape, PipelineGraph
from mainstem.graph.words import description_of, lines_of, title_of
from mainstem.printable import printable

_SHAPES: dict[NodeShape, str] = {
    "input": "oval",
    "output": "oval",
    "source": "cylinder",
    "sink": "cylinder",
    "stage": "box",
    "fork": "hexagon",
    "split": "diamond",
    "merge": "oval",
}


def to_dot(graph: PipelineGraph) -> str:
    """Return the text of a directed graph, from top to bottom.

    Names and types are escaped, whatever is in them. Stages that hold their whole input have a dashed border.

    Args:
        graph: The graph.

    Example:
        >>> from mainstem import MapStage, Pipeline
        >>> from mainstem.graph import graph_of
        >>> print(to_dot(graph_of(Pipeline[list[int], list[str]]("texts").add_stage(MapStage(str)))).splitlines()[0])
        digraph "texts" {
    """
    inside = {each for group in graph.groups for each in group.members}
    lines = [
        'graph [rankdir=TB, bgcolor="transparent"]',
        'node [fontname="sans-serif", fontsize=11, style="rounded"]',
        'edge [fontname="sans-serif", fontsize=10]',
        *(_node(node) for node in graph.nodes if node.id not in inside),
        *_clusters(graph, graph.groups),
    ]
    for edge in graph.edges:
        label = f' [label="{_escaped(printable(edge.label))}"]' if edge.label else ""
        lines.append(f"{edge.start} -> {edge.end}{label}")
    return f'digraph "{_escaped(printable(graph.name))}" {{\n' + "".join(f"    {line};\n" for line in lines) + "}\n"


def _clusters(graph: PipelineGraph, groups: Iterable[GraphGroup]) -> Iterable[str]:
    left = sorted(groups, key=lambda group: len(group.members), reverse=True)
    while left:
        outer = left[0]
        inner = [each for each in left[1:] if set(each.members) <= set(outer.members)]
        left = [each for each in left[1:] if each not in inner]
        deeper = {member for each in inner for member in each.members}
        parts = [
            f'label="{_escaped(printable(outer.name))}"',
            *(_node(node) for node in graph.nodes if node.id in outer.members and node.id not in deeper),
            *_clusters(graph, inner),
        ]
        yield f"subgraph cluster_{outer.id} {{ " + " ".join(f"{part};" for part in parts) + " }"


def _node(node: GraphNode) -> str:
    label = r"\n".join(_escaped(line) for line in (title_of(node), *lines_of(node)) if line)
    shape = _SHAPES[node.shape]
    style = ', style="rounded,dashed"' if node.flow == "blocks" else "" if shape == "box" else ', style="solid"'
    return f'{node.id} [shape={shape}, label="{label}", tooltip="{_escaped(description_of(node))}"{style}]'


def _escaped(text: str) -> str:
    r"""Return text for a label between quotes, where ``\N`` and the like, and entities of HTML, stand for something."""
    return (
        text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"').replace("<", "&lt;").replace(">", "&gt;")
    )
