"""Running the elementwise stages and combiners of a pipeline on a Ray cluster. It needs ``mainstem[ray]``."""

from __future__ import annotations

from mainstem.ray_runner.runner import RayRunner

__all__ = ["RayRunner"]
