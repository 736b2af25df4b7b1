"""Mermaid, DOT and SVG: they hold every stage, and nothing that a user named anything is taken for markup."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.debian_packages import require
from tests.graph.pipelines import double, everything

from mainstem import MapStage, Pipeline
from mainstem.graph import PipelineGraph, graph_of, to_dot, to_mermaid, to_svg
from mainstem.graph.layout import lay_out
from mainstem.printable import printable

pytestmark = pytest.mark.extras

HOSTILE = [
    '"]; click n0 "javascript:alert(1)"; x["',
    "</text><script>alert(1)</script>",
    '" ]; evil [label="',
    "`**bold**` #35; &lt;b&gt; \\N \\",
    "a\nb\x00\x1b[31m\u202egnp.exe\ud800",
    "]]> --> %% {{}} ((( <!--",
]
NAMES = st.text(max_size=20) | st.sampled_from(HOSTILE)
MERMAID_LINE = re.compile(
    r'(?:n\d+(?P<open>\(\[|\[\(|\[|\{\{|\{)"(?P<label>[^"`<>#;&\\]*(?:(?:#\d+;|<br/>)[^"`<>#;&\\]*)*)"[\])}]{1,2}'
    r'|n\d+ -->(?:\|"(?:[^"`<>#;&\\|]|#\d+;)*"\|)? n\d+'
    r'|subgraph g\d+\["(?:[^"`<>#;&\\]|#\d+;)*"\]|end'
    r"|classDef blocks stroke-dasharray:5 4|class n\d+(?:,n\d+)* blocks)"
)


def named(name: str) -> PipelineGraph:
    of_pipelines = name.encode("utf-8", "ignore").decode()  # which are in URLs of events
    inner = Pipeline[list[int], list[int]](of_pipelines).add_stage(MapStage(double, name=name))
    return graph_of(Pipeline[list[int], list[int]](of_pipelines).add_stage(inner))


def mermaid_labels(text: str) -> list[str]:
    """The labels, as Mermaid shows them; every line is one that Mermaid takes."""
    first, *lines = text.splitlines()
    assert first == "flowchart TD"
    labels: list[str] = []
    for line in lines:
        match = MERMAID_LINE.fullmatch(line.strip())
        assert match is not None, line
        if match["label"] is not None:
            labels.append(re.sub(r"#(\d+);", lambda code: chr(int(code[1])), match["label"].replace("<br/>", "\n")))
    return labels


@given(name=NAMES)
@settings(max_examples=200, deadline=None)
def test_no_name_is_markup_in_mermaid(name: str) -> None:
    shown = mermaid_labels(to_mermaid(named(name)))
    if name:
        assert any(label.startswith(printable(name)[:45]) for label in shown)


@given(name=NAMES)
@settings(max_examples=100, deadline=None)
def test_no_name_is_markup_in_svg(name: str) -> None:
    root = ElementTree.fromstring(to_svg(named(name)).encode())
    kinds = {element.tag.removeprefix("{http://www.w3.org/2000/svg}") for element in root.iter()}
    assert kinds <= {"svg", "title", "style", "defs", "marker", "path", "g", "rect", "text"}
    attributes = {attribute for element in root.iter() for attribute in element.attrib}
    assert not any(attribute.startswith("on") or "href" in attribute for attribute in attributes)
    assert printable(name)[:45] in "".join(root.itertext())


def test_graphviz_shows_every_name_as_it_is() -> None:
    dot = require("dot", "graphviz")
    for name in ["plain", *HOSTILE]:
        drawn = subprocess.run([dot, "-Tsvg"], input=to_dot(named(name)).encode(), capture_output=True, check=True)
        root = ElementTree.fromstring(drawn.stdout)
        texts = ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]
        assert {each.replace("\xa0", " ") for each in texts} >= {printable(name)[:45]}, texts
        assert len([each for each in root.iter() if each.get("class") == "node"]) == 3


def test_graphviz_draws_everything(tmp_path: Path) -> None:
    graph = graph_of(everything(tmp_path))
    drawn = subprocess.run(
        [require("dot", "graphviz"), "-Tsvg"], input=to_dot(graph).encode(), capture_output=True, check=True
    )
    kinds = [element.get("class") for element in ElementTree.fromstring(drawn.stdout).iter()]
    assert (kinds.count("node"), kinds.count("edge"), kinds.count("cluster")) == (len(graph.nodes), len(graph.edges), 2)
    assert drawn.stderr == b""


def test_mermaid_has_everything(tmp_path: Path) -> None:
    graph = graph_of(everything(tmp_path))
    text = to_mermaid(graph)
    assert len(mermaid_labels(text)) == len(graph.nodes)
    assert text.count("-->") == len(graph.edges)
    assert text.count("subgraph") == 2
    blocking = [node.id for node in graph.nodes if node.flow == "blocks"]
    assert f"class {','.join(blocking)} blocks" in text


def test_groups_within_groups_are_nested() -> None:
    innermost = Pipeline[list[int], list[int]]("innermost").add_stage(MapStage(double))
    inner = Pipeline[list[int], list[int]]("inner").add_stage(innermost).add_stage(MapStage(double))
    graph = graph_of(Pipeline[list[int], list[int]]("outer").add_stage(inner))
    lines = [line.strip() for line in to_mermaid(graph).splitlines()]
    began = [lines.index(f'subgraph {group.id}["{group.name}"]') for group in graph.groups]
    assert began[1] < began[0] < lines.index("end")
    assert to_dot(graph).index('label="inner"') < to_dot(graph).index('label="innermost"')


def test_the_svg_draws_everything_and_notes(tmp_path: Path) -> None:
    graph = graph_of(everything(tmp_path))
    root = ElementTree.fromstring(to_svg(graph, {"join": "12 in, <11> out"}))
    classes = [element.get("class") or "" for element in root.iter()]
    assert classes.count("edge") == len(graph.edges)
    assert sum("box" in each.split() for each in classes) == len(graph.nodes)
    assert classes.count("group") == 2
    assert "12 in, <11> out" in [element.text for element in root.iter()]


def test_the_same_graph_is_drawn_the_same(tmp_path: Path) -> None:
    assert to_svg(graph_of(everything(tmp_path))) == to_svg(graph_of(everything(tmp_path)))


def test_no_two_nodes_overlap_and_edges_lead_down(tmp_path: Path) -> None:
    graph = graph_of(everything(tmp_path))
    layout = lay_out(graph, across=200, down=100)
    points = list(layout.nodes.values())
    assert all(
        abs(one[0] - other[0]) >= 200 or abs(one[1] - other[1]) >= 100
        for at, one in enumerate(points)
        for other in points[:at]
    )
    for edge, bends in zip(graph.edges, layout.bends, strict=True):
        heights = [layout.nodes[edge.start][1], *(y for _, y in bends), layout.nodes[edge.end][1]]
        assert heights == sorted(set(heights))
    by_path = {node.path: layout.nodes[node.id] for node in graph.nodes if node.shape != "merge"}
    assert by_path["join/known/MapStage"][1] == by_path["join"][1] - 100


@pytest.mark.slow
def test_the_drawing_takes_the_colours_of_the_page_and_runs_nothing() -> None:
    from playwright.sync_api import sync_playwright

    drawn = to_svg(named("</title><script>document.title='run'</script><img src=x onerror=document.title='run'>"))
    fills: dict[str, Any] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=require("chromium", "chromium"), args=["--no-sandbox"])
        try:
            for scheme in ("light", "dark"):
                page = browser.new_page(color_scheme=scheme)
                page.set_content(f"<title>still</title>{drawn}")
                fills[scheme] = page.eval_on_selector(".box", "box => getComputedStyle(box).fill")
                assert page.title() == "still"
                assert page.locator("svg text").first.is_visible()
        finally:
            browser.close()
    assert fills == {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 27, 34)"}
