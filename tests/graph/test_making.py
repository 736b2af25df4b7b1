"""The graph as data: every stage once, under the name that reports give it, and every way between them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.graph.pipelines import double, everything, is_even

from mainstem import AggregateStage, FilterStage, MapStage, Pipeline
from mainstem.graph import graph_of

pytestmark = pytest.mark.extras


def test_every_stage_is_a_node_under_its_name_in_reports(tmp_path: Path) -> None:
    graph = graph_of(everything(tmp_path))
    assert [(node.shape, node.path) for node in graph.nodes] == [
        ("source", "CsvSource"),
        ("stage", "MapStage"),
        ("stage", "inner/FilterStage"),
        ("stage", "inner/MapStage"),
        ("split", "parity"),
        ("stage", "parity/even/double"),
        ("stage", "parity/even/MapStage"),
        ("stage", "parity/otherwise"),
        ("merge", "parity"),
        ("source", "join/known/CsvSource"),
        ("stage", "join/known/MapStage"),
        ("stage", "join"),
        ("fork", "results"),
        ("sink", "results/stored"),
        ("stage", "results/counted"),
        ("stage", "results/held/AggregateStage"),
        ("stage", "results/held/MapStage"),
        ("merge", "results"),
        ("output", ""),
    ]
    assert [(group.path, len(group.members)) for group in graph.groups] == [("inner", 2), ("join/known", 2)]
    assert len({node.id for node in graph.nodes}) == len(graph.nodes)


def test_edges_lead_on_and_say_which_branch_begins_there(tmp_path: Path) -> None:
    graph = graph_of(everything(tmp_path))
    order = {node.id: at for at, node in enumerate(graph.nodes)}
    assert all(order[edge.start] < order[edge.end] for edge in graph.edges)
    path = {node.id: node.path for node in graph.nodes}
    labelled = [(edge.label, path[edge.end]) for edge in graph.edges if edge.label]
    assert labelled == [
        ("even", "parity/even/double"),
        ("otherwise", "parity/otherwise"),
        ("reference", "join"),
        ("stored", "results/stored"),
        ("counted", "results/counted"),
        ("held", "results/held/AggregateStage"),
    ]
    into_join = [path[edge.start] for edge in graph.edges if path[edge.end] == "join"]
    assert into_join == ["parity", "join/known/MapStage"]


def test_types_laws_and_flows_are_those_of_the_stages(tmp_path: Path) -> None:
    nodes = {node.path: node for node in graph_of(everything(tmp_path)).stages}
    source = nodes["CsvSource"]
    assert (source.takes, source.gives, source.flow) == ("", "list[dict[str, str]]", "streams")
    assert (nodes["join"].takes, nodes["join"].gives) == ("list[int]", "list[tuple[int, int]]")
    assert (nodes["results/counted"].law, nodes["results/counted"].flow) == ("combiner", "adds up")
    assert (nodes["results/held/AggregateStage"].law, nodes["results"].flow) == ("blocking", "blocks")
    assert nodes["results/stored"].target == f"sqlite:///{tmp_path}/shop.db, table numbers"
    assert nodes["join"].made_at.startswith(str(Path(__file__).parent / "pipelines.py"))


def test_a_pipeline_without_a_source_begins_with_its_input() -> None:
    graph = graph_of(Pipeline[list[int], int]("sum").add_stage(FilterStage(is_even)).add_stage(AggregateStage(sum)))
    first = graph.nodes[0]
    assert (first.shape, first.takes, first.gives) == ("input", "", "list[int]")
    assert (graph.nodes[-1].shape, len(graph.edges)) == ("output", 3)


def test_a_chain_or_a_stage_has_a_graph_too() -> None:
    assert [node.name for node in graph_of(MapStage(double) >> FilterStage(is_even)).stages] == [
        "MapStage",
        "FilterStage",
    ]
    assert [node.name for node in graph_of(MapStage(double, name="twice")).stages] == ["twice"]


def test_a_pipeline_within_itself_has_none() -> None:
    outer = Pipeline[list[int], list[int]]("outer")
    inner = Pipeline[list[int], list[int]]("inner").add_stage(outer)
    outer.add_stage(inner)
    with pytest.raises(ValueError, match="pipeline 'outer' is within itself"):
        graph_of(outer)


def test_the_graph_is_plain_data(tmp_path: Path) -> None:
    graph = graph_of(everything(tmp_path))
    read = json.loads(json.dumps(graph.to_dict()))
    assert (read["name"], len(read["nodes"]), read["edges"][0]) == (
        "everything",
        19,
        {"start": "n0", "end": "n1", "label": ""},
    )
