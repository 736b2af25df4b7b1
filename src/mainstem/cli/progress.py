"""Showing a run while it goes on: a live table in a terminal, plain lines elsewhere.

Both only read the run's progress, from a thread of their own. A hook would see every stage begin and end, but stages
that are watched by hooks no longer share chunks, and a run must not get slower because somebody looks.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any, TextIO

from rich.console import Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from mainstem.cli.escape import plain_console, printable
from mainstem.cli.stages import live_table
from mainstem.context import PipelineContext
from mainstem.progress.figures import ProgressWatch, StageFigures
from mainstem.progress.log import looking
from mainstem.progress.words import estimate_of, format_duration, line_of
from mainstem.stage import PipelineStage

REFRESHES_PER_SECOND = 8
LINES_EVERY = 0.25
"""Seconds between two looks for stages that are done, where there is no terminal."""
RUNNING_EVERY = 10.0
"""Seconds between two lines of a stage that is not."""


class Progress:
    """A run that goes on, to be shown.

    Args:
        title: The pipeline's name.
        stages: Its stages.
        context: The context of the run.
    """

    def __init__(self, title: str, stages: Sequence[PipelineStage[Any, Any]], context: PipelineContext) -> None:
        self._title = title
        self._watch = ProgressWatch(stages, context)
        self._context = context
        self._spinner = Spinner("dots", style="cyan")
        self.stopping = False
        """Whether Ctrl-C was pressed and the run has yet to come to an end."""

    @contextmanager
    def show(self, *, quiet: bool) -> Generator[None]:
        """Show the progress on stderr within a ``with`` block."""
        console = plain_console(stderr=True)
        if quiet:
            yield
        elif sys.stderr.isatty() and not console.is_dumb_terminal:
            # What the user prints to a terminal appears above the table; what goes to a file or pipe must stay there.
            live = Live(
                self,
                console=console,
                refresh_per_second=REFRESHES_PER_SECOND,
                transient=True,
                redirect_stdout=sys.stdout.isatty(),
            )
            with live:
                yield
        else:
            with self._print_lines(sys.stderr):
                yield

    def __rich__(self) -> Group:
        """Build the table anew; rich calls this from its refreshing thread."""
        figures = self._watch.look()
        times = [format_duration(self._context.elapsed_ms), *(text for each in figures if (text := estimate_of(each)))]
        state = "stopping, Ctrl-C again stops at once" if self.stopping else ", ".join(times)
        self._spinner.update(text=Text.assemble((printable(self._title), "bold"), "  ", (state, "dim")))
        table = live_table(figures)
        # The cursor waits in an empty line: the terminal's echo of Ctrl-C must not wrap and scroll the table up.
        return Group(self._spinner, table, Text(""))

    @contextmanager
    def _print_lines(self, stream: TextIO) -> Generator[None]:
        lines = _Lines(self, stream)
        with looking(self._watch, lines.write, LINES_EVERY):
            yield


class _Lines:
    """What is printed of a run where there is no terminal: each stage at its end, and all of them from time to time."""

    def __init__(self, progress: Progress, stream: TextIO) -> None:
        self._progress, self._stream = progress, stream
        self._reported: set[str] = set()
        self._next = monotonic() + RUNNING_EVERY
        self._told = False

    def write(self, figures: Sequence[StageFigures], *, is_last: bool) -> None:
        done = [each for each in figures if each.state == "done" and each.name not in self._reported]
        self._reported.update(each.name for each in done)
        lines = list(map(line_of, done))
        if not is_last and monotonic() >= self._next:
            self._next = monotonic() + RUNNING_EVERY
            lines += [line_of(each) for each in figures if each.state == "running"]
        if not is_last and self._progress.stopping and not self._told:
            self._told = True
            lines.append("stopping, Ctrl-C again stops at once")
        if lines:
            self._stream.write("".join(f"{line}\n" for line in lines))
            self._stream.flush()
