"""``mainstem graph``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Run

pytestmark = pytest.mark.extras

FLOW = """
    from mainstem import MapStage, Pipeline

    print("loaded")

    def double(number: int) -> int:
        raise AssertionError("a graph calls nothing")

    def flow(name: str = "täglich"):
        return Pipeline[list[int], list[int]](name).add_stage(MapStage(double, name=name))
    """


@pytest.mark.parametrize(
    ("form", "begins", "holds"),
    [("mermaid", "flowchart TD\n", "weekly"), ("dot", 'digraph "weekly" {\n', "weekly"), ("svg", "<svg ", "weekly")],
)
def test_the_drawing_alone_is_written_to_stdout(
    mainstem_here: Run, write: Callable[[str, str], Path], form: str, begins: str, holds: str
) -> None:
    write("flow.py", FLOW)
    done = mainstem_here("graph", "flow.py:flow", "--format", form, "--set", f"name={holds}")
    assert (done.returncode, done.stderr) == (0, "loaded\n")
    assert done.stdout.startswith(begins)
    assert holds in done.stdout


def test_a_drawing_is_utf_8_whatever_the_terminal_has(mainstem_command: Run, write: Callable[[str, str], Path]) -> None:
    write("flow.py", FLOW)
    done = mainstem_command("graph", "flow.py:flow", "--format", "svg", PYTHONIOENCODING="ascii")
    assert (done.returncode, "täglich" in done.stdout) == (0, True)


def test_without_igraph_it_says_what_to_install(
    mainstem_here: Run, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("flow.py", FLOW)
    monkeypatch.setitem(sys.modules, "igraph", None)
    done = mainstem_here("graph", "flow.py:flow", "--format", "svg")
    assert (done.returncode, "pip install 'mainstem[graph]'" in done.stderr) == (2, True)
    assert mainstem_here("graph", "flow.py:flow").returncode == 0


def test_what_cannot_be_drawn_is_said(mainstem_here: Run, write: Callable[[str, str], Path]) -> None:
    write("flow.py", FLOW)
    assert mainstem_here("graph", "flow.py:flow", "--format", "png").returncode == 2
    missing = mainstem_here("graph", "flow.py:flaw")
    assert (missing.returncode, "did you mean 'flow'" in missing.stderr) == (2, True)
    write("broken.py", "from mainstem import Pipeline\ndef flow():\n    raise OSError('no such disk')\n")
    broken = mainstem_here("graph", "broken.py:flow")
    assert (broken.returncode, "OSError: no such disk" in broken.stderr) == (1, True)
