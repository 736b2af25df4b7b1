"""The graph of a pipeline: as plain data, as Mermaid, DOT or SVG, and in a notebook.

``graph_of(pipeline)`` gives the data, which ``to_mermaid``, ``to_dot`` and ``to_svg`` draw.
"""

from __future__ import annotations

from mainstem.graph.data import Flow, GraphEdge, GraphGroup, GraphNode, NodeShape, PipelineGraph
from mainstem.graph.dot import to_dot
from mainstem.graph.making import graph_of
from mainstem.graph.mermaid import to_mermaid
from mainstem.graph.svg import to_svg

__all__ = [
    "Flow",
    "GraphEdge",
    "GraphGroup",
    "GraphNode",
    "NodeShape",
    "PipelineGraph",
    "graph_of",
    "to_dot",
    "to_mermaid",
    "to_svg",
]
