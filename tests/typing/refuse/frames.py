"""Frames where records are expected, and the other way round."""

from __future__ import annotations


def length(name: str) -> int:
    return len(name)


