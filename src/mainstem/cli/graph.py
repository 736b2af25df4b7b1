"""``mainstem graph``: a pipeline as a drawing, or as the text of one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from typing import Annotated, Literal, TypeAlias

import anyio
from cyclopts import Parameter

from mainstem.cli.exit_code import ExitCode
from mainstem.cli.parameters import Settings, TargetName, Traceback
from mainstem.cli.pipelines import guarded_target
from mainstem.cli.usage import UsageError
from mainstem.errors import MissingExtraError
from mainstem.graph.data import PipelineGraph
from mainstem.graph.dot import to_dot
from mainstem.graph.making import graph_of
from mainstem.graph.mermaid import to_mermaid
from mainstem.graph.svg import to_svg

Format: TypeAlias = Literal["mermaid", "dot", "svg"]

GRAPH_HELP = """\
Draw the stages of a pipeline, with their branches and types. Nothing is run, and nothing is read.

The drawing is written to stdout. Stages that hold their whole input have a dashed border.
"""
GRAPH_EPILOGUE = """\
Examples:
  mainstem graph flows.py:daily
  mainstem graph flows.py:daily --format svg > daily.svg
  mainstem graph flows.py:daily --format dot | dot -Tpng > daily.png
"""
_FORMATS: dict[Format, Callable[[PipelineGraph], str]] = {"mermaid": to_mermaid, "dot": to_dot, "svg": to_svg}


def graph(
    target: TargetName,
    /,
    *,
    format: Annotated[  # noqa: A002 - the option's name
        Format,
        Parameter(
            help="mermaid and dot are text that other programs draw; svg is a drawing, and needs mainstem[graph]."
        ),
    ] = "mermaid",
    settings: Settings = (),
    traceback: Traceback = False,
) -> int:
    with redirect_stdout(sys.stderr):  # what the pipeline's code prints is no part of the drawing
        drawn = _draw(target, settings, format, traceback=traceback)
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(encoding="utf-8")  # which an SVG without a declaration has, whatever the terminal's is
    sys.stdout.write(drawn)
    return ExitCode.COMPLETED


def _draw(target: str, settings: Sequence[str], form: Format, *, traceback: bool) -> str:
    with guarded_target(target, traceback=traceback) as loaded:
        pipeline = anyio.run(loaded.make(settings).pipeline)
        made = graph_of(pipeline)
    try:
        return _FORMATS[form](made)
    except MissingExtraError as error:
        raise UsageError(str(error)) from None
