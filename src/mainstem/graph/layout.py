"""Where the nodes of a graph stand in a drawing: in layers, by Sugiyama's method, which igraph has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from typing import Any, TypeAlias

from mainstem.errors import missing_extra
from mainstem.graph.data import PipelineGraph

Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything stands.

    Attributes:
        nodes: The middle of each node, by its id.
        bends: For each edge the points it passes between its ends, where it leads past other layers.
    """

    nodes: Mapping[str, Point]
    bends: tuple[tuple[Point, ...], ...]


def lay_out(graph: PipelineGraph, *, across: float, down: float) -> Layout:
    """Place the nodes so that edges lead down and cross as little as can be.

    Args:
        graph: The graph.
        across: The distance between the middles of two nodes of one layer, at least.
        down: The distance between two layers.

    Raises:
        MissingExtraError: If ``mainstem[graph]`` is not installed.
    """
    try:
        igraph: Any = import_module("igraph")
    except ImportError:
        raise missing_extra("Drawing a graph", "graph") from None
    layers = _layers(graph)
    number = {node.id: at for at, node in enumerate(graph.nodes)}
    layer = [layers[node.id] for node in graph.nodes]
    edges: list[tuple[int, int]] = []
    ways: list[list[int]] = []
    for edge in graph.edges:
        # A point of its own in each layer that the edge passes keeps it clear of the nodes there.
        way = list(range(len(layer), len(layer) + layers[edge.end] - layers[edge.start] - 1))
        layer += range(layers[edge.start] + 1, layers[edge.end])
        stops = [number[edge.start], *way, number[edge.end]]
        edges += pairwise(stops)
        ways.append(way)
    if not layer:
        return Layout({}, ())
    found = igraph.Graph(len(layer), edges, directed=True).layout_sugiyama(layers=layer, hgap=across, vgap=down)
    points: list[Point] = [(float(x), float(y)) for x, y in list(found)[: len(layer)]]
    return Layout(
        {node.id: points[at] for node, at in zip(graph.nodes, range(len(layer)), strict=False)},
        tuple(tuple(points[at] for at in way) for way in ways),
    )


def _layers(graph: PipelineGraph) -> dict[str, int]:
    """Return how far down each node stands: below all that lead to it, and what gives a reference close above its join.

    Every edge leads to a later node.
    """
    layers: dict[str, int] = {}
    of_the_input: set[str] = set()
    for node in graph.nodes:
        before = [edge.start for edge in graph.edges if edge.end == node.id]
        layers[node.id] = max((layers[each] + 1 for each in before), default=0)
        if node is graph.nodes[0] or of_the_input.intersection(before):
            of_the_input.add(node.id)
    for node in reversed(graph.nodes):
        after = [layers[edge.end] - 1 for edge in graph.edges if edge.start == node.id]
        if after and node.id not in of_the_input:
            layers[node.id] = min(after)
    return layers
