"""The entry of the command ``mainstem``. What it needs is imported late, so that its absence is one clear line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from mainstem.cli.exit_code import ExitCode
from mainstem.errors import missing_extra


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The arguments after the command's name; those of the process by default.

    Returns:
        The exit code: see ``ExitCode``.

    Raises:
        SystemExit: What the user's code raised.
    """
    try:
        import cyclopts
        import rich
    except ImportError:
        print(missing_extra("The command line", "cli"), file=sys.stderr)  # noqa: T201 - rich may be what is missing
        return ExitCode.WRONG_USAGE
    del cyclopts, rich
    from mainstem.cli.app import run_app

    try:
        return run_app(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        return ExitCode.CANCELLED
    except BrokenPipeError:
        # Whoever read our output has gone (``| head``). Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return ExitCode.FAILED
