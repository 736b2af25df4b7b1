"""Identities of runs and events."""

from __future__ import annotations

import os


def new_id() -> str:
    """Return 128 random bits as hexadecimal digits: an identity that no other run or event has."""
    return os.urandom(16).hex()
