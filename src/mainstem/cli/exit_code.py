"""The exit codes of the command line."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How the command ended."""

    COMPLETED = 0
    FAILED = 1
    WRONG_USAGE = 2
    REFUSED = 3
    """A durable run cannot begin or go on as it is."""
    RUN_ACTIVE = 4
    """Somebody else works on it."""
    CANCELLED = 130
    """What shells report for a command that Ctrl-C ended: 128 and the number of SIGINT."""
    TERMINATED = 143
    """What shells report for a command that SIGTERM ended."""
