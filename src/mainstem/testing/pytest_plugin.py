"""The plugin for pytest: fixtures for testing stages and pipelines. It is installed with mainstem.

What a fixture needs is imported when a test asks for it, so that tests of other things pay nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mainstem.context import PipelineContext
    from mainstem.testing.graph_snapshot import GraphSnapshot
    from mainstem.testing.hook_recorder import HookRecorder
    from mainstem.testing.virtual_clock import VirtualClock

_UPDATE = "--mainstem-update-snapshots"
"""As ``graph_snapshot.UPDATE_OPTION``, which is not imported for it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that has snapshots written anew."""
    parser.getgroup("mainstem").addoption(
        _UPDATE,
        dest="mainstem_update_snapshots",
        action="store_true",
        default=False,
        help="write the files of graph_snapshot anew, instead of comparing with them",
    )


@pytest.fixture
def make_context() -> Callable[..., PipelineContext]:
    """``mainstem.testing.make_context``: makes the context of a stage that is called by hand."""
    from mainstem.testing.contexts import make_context

    return make_context


@pytest.fixture
def hook_recorder() -> HookRecorder:
    """A fresh ``mainstem.testing.HookRecorder``, for ``pipeline.add_hooks``."""
    from mainstem.testing.hook_recorder import HookRecorder

    return HookRecorder()


@pytest.fixture
def virtual_clock() -> Iterator[VirtualClock]:
    """A ``mainstem.testing.VirtualClock``, in use for the whole test."""
    from mainstem.testing.virtual_clock import VirtualClock

    with VirtualClock() as clock:
        yield clock


@pytest.fixture
def graph_snapshot(request: pytest.FixtureRequest) -> GraphSnapshot:
    """Compares a pipeline's graph with ``snapshots/<test file>/<test>.txt`` beside the test's file."""
    from mainstem.testing.graph_snapshot import GraphSnapshot

    folder = request.path.parent / "snapshots" / request.path.stem
    test = re.sub(r"[^\w.-]+", "-", request.node.name).strip("-")
    return GraphSnapshot(folder, test, update=bool(request.config.getoption("mainstem_update_snapshots")))
