"""The documented import path of the framework: hands on the public names of mainstem. Not part of the wheel."""

from __future__ import annotations

import mainstem
from mainstem import *  # noqa: F403 - that is what this module is for

__all__ = mainstem.__all__  # pyright: ignore[reportUnsupportedDunderAll]
