"""The commands and options of ``mainstem``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter
from rich.text import Text

from mainstem import __version__
from mainstem.cli.escape import plain_console, printable_lines
from mainstem.cli.exit_code import ExitCode
from mainstem.cli.run import RunOptions, run_target
from mainstem.cli.usage import UsageError

_RUN_HELP = """\
Run a pipeline, and report what each stage did.

TARGET is module:attribute or path/to/file.py:attribute. The attribute is a Pipeline, or a function (async or not) \
that returns one; --set gives the function its arguments. The current directory and the file's own folder are \
importable.
"""
_RUN_EPILOGUE = """\
Examples:
  mainstem run flows.py:daily
  mainstem run shop.flows:imports --set day=2026-03-01 --set limit=500
  mainstem run flows.py:daily --workers 4
  mainstem run flows.py:daily --quiet --json > result.json

Exit codes:
  0    the run completed, perhaps with rejected records
  1    it failed, or the code of TARGET raised an error
  2    wrong usage
  130  ended by Ctrl-C
"""


def make_app() -> App:
    """Make the command line."""
    app = App(
        name="mainstem",
        version=f"mainstem {__version__}",
        help="Composable, type-safe data pipelines.",
        help_format="plaintext",
    )
    app.command(run, help=_RUN_HELP, help_epilogue=_RUN_EPILOGUE)
    return app


def run(
    target: Annotated[str, Parameter(help="What to run: module:attribute or path/to/file.py:attribute.")],
    /,
    *,
    settings: Annotated[
        tuple[str, ...],
        Parameter(
            name="--set",
            negative="",
            show_default=False,
            help="name=value: an argument of the function, converted to its annotated type. Repeat it for more, and "
            "for each item of a list.",
        ),
    ] = (),
    workers: Annotated[
        int | None,
        Parameter(
            show_default=False,
            help="How many worker processes may share the work, where that is quicker; what belongs to one process "
            "alone, such as a lock, cannot be sent there.",
        ),
    ] = None,
    quiet: Annotated[
        bool, Parameter(negative="", show_default=False, help="Show only what was rejected and what failed.")
    ] = False,
    json: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Write the result to stdout as one JSON document; all else goes to stderr.",
        ),
    ] = False,
    traceback: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Show tracebacks in full, frames of libraries included."),
    ] = False,
) -> int:
    return run_target(RunOptions(target, settings, workers, quiet, json, traceback))


def run_app(arguments: Sequence[str]) -> int:
    """Run the command line.

    Returns:
        The exit code.

    Raises:
        SystemExit: What the user's code raised.
        KeyboardInterrupt: If Ctrl-C was pressed outside a run.
    """
    app = make_app()
    try:
        code = app(list(arguments), exit_on_error=False, print_error=False, result_action="return_value")
    except (CycloptsError, UsageError) as error:
        console = plain_console(stderr=True)
        first, *more = printable_lines(str(error))
        console.print(Text.assemble(("mainstem: ", "bold red"), first), soft_wrap=True)
        for line in more:
            console.print(Text(line), soft_wrap=True)
        return ExitCode.WRONG_USAGE
    return code if isinstance(code, int) else 0
