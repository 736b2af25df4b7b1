"""The test kit: what helps to test pipelines and stages of one's own; ``pytest_plugin`` has its fixtures."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mainstem.testing.contexts import make_context
    from mainstem.testing.crashes import CrashReport, CrashTestFailed, survives_crashes
    from mainstem.testing.fake_sink import FakeSink
    from mainstem.testing.fake_source import FakeQueue, FakeSource
    from mainstem.testing.graph_snapshot import GraphSnapshot
    from mainstem.testing.graphs import graph_text
    from mainstem.testing.hook_recorder import HookCall, HookRecorder
    from mainstem.testing.laws import check_laws
    from mainstem.testing.outcome import LawBrokenError
    from mainstem.testing.rejects import assert_rejects
    from mainstem.testing.virtual_clock import VirtualClock

_WHERE = {
    "contexts": ("make_context",),
    "crashes": ("CrashReport", "CrashTestFailed", "survives_crashes"),
    "fake_sink": ("FakeSink",),
    "fake_source": ("FakeQueue", "FakeSource"),
    "graph_snapshot": ("GraphSnapshot",),
    "graphs": ("graph_text",),
    "hook_recorder": ("HookCall", "HookRecorder"),
    "laws": ("check_laws",),
    "outcome": ("LawBrokenError",),
    "rejects": ("assert_rejects",),
    "virtual_clock": ("VirtualClock",),
}
"""Modules, and the names that are imported from them when they are asked for: the plugin is loaded by every pytest."""

__all__ = [
    "CrashReport",
    "CrashTestFailed",
    "FakeQueue",
    "FakeSink",
    "FakeSource",
    "GraphSnapshot",
    "HookCall",
    "HookRecorder",
    "LawBrokenError",
    "VirtualClock",
    "assert_rejects",
    "check_laws",
    "graph_text",
    "make_context",
    "survives_crashes",
]


def __getattr__(name: str) -> Any:
    for module, names in _WHERE.items():
        if name in names:
            value = getattr(import_module(f"mainstem.testing.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'mainstem.testing' has no attribute {name!r}")
