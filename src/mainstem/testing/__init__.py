"""The test kit: what helps to test pipelines and stages of one's own."""

from __future__ import annotations

from mainstem.testing.laws import check_laws
from mainstem.testing.outcome import LawBrokenError

__all__ = ["LawBrokenError", "check_laws"]
