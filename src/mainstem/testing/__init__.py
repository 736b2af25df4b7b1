"""The test kit: what helps to test pipelines and stages of one's own."""

from __future__ import annotations

from mainstem.testing.crashes import CrashReport, CrashTestFailed, survives_crashes
from mainstem.testing.laws import check_laws
from mainstem.testing.outcome import LawBrokenError

__all__ = ["CrashReport", "CrashTestFailed", "LawBrokenError", "check_laws", "survives_crashes"]
