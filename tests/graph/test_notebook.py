"""What a pipeline shows in a notebook, with and without what draws it."""

from __future__ import annotations

import sys

import pytest
from tests.graph.pipelines import double

from mainstem import MapStage, MissingExtraError, Pipeline
from mainstem.graph import graph_of, to_svg

pytestmark = pytest.mark.extras

PIPELINE = Pipeline[list[int], list[int]]("two <b>").add_stage(MapStage(double, name="twice & more"))


def test_a_pipeline_shows_itself_as_a_drawing_and_as_mermaid() -> None:
    bundle = PIPELINE._repr_mimebundle_(include=None, exclude=None)
    assert sorted(bundle) == ["text/html", "text/plain", "text/vnd.mermaid"]
    assert bundle["text/plain"] == repr(PIPELINE)
    assert bundle["text/html"] == PIPELINE._repr_html_() == to_svg(graph_of(PIPELINE))
    assert bundle["text/vnd.mermaid"].startswith("flowchart TD\n")


def test_without_the_extra_it_shows_itself_as_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "igraph", None)
    with pytest.raises(MissingExtraError, match=r"mainstem\[graph\]"):
        to_svg(graph_of(PIPELINE))
    shown = PIPELINE._repr_html_()
    assert shown.startswith("<p><b>two &lt;b&gt;</b></p><ol><li>input")
    assert "twice &amp; more" in shown
    assert "pip install &#x27;mainstem[graph]&#x27;" in shown
