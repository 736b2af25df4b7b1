"""Showing a run while it goes on: a live table in a terminal, plain lines elsewhere.

Both only read the run's progress, from a thread of their own. A hook would see every stage begin and end, but stages
that are watched by hooks no longer share chunks, and a run must not get slower because somebody looks.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import TextIO

from rich.console import Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from mainstem.cli.escape import plain_console, printable
from mainstem.cli.stages import StageRow, format_duration, rows_so_far, stage_table
from mainstem.context import PipelineContext

REFRESHES_PER_SECOND = 8
LINES_EVERY = 0.25
"""Seconds between two looks for stages that are done, where there is no terminal."""


class Progress:
    """A run that goes on, to be shown.

    Args:
        title: The pipeline's name.
        names: The names of its stages.
        context: The context of the run.
    """

    def __init__(self, title: str, names: Sequence[str], context: PipelineContext) -> None:
        self._title = title
        self._names = names
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
        elapsed = format_duration(self._context.elapsed_ms)
        state = "stopping, Ctrl-C again stops at once" if self.stopping else elapsed
        self._spinner.update(text=Text.assemble((printable(self._title), "bold"), "  ", (state, "dim")))
        table = stage_table(rows_so_far(self._names, self._context), live=True)
        # The cursor waits in an empty line: the terminal's echo of Ctrl-C must not wrap and scroll the table up.
        return Group(self._spinner, table, Text(""))

    @contextmanager
    def _print_lines(self, stream: TextIO) -> Generator[None]:
        ended = Event()
        reported: set[str] = set()

        def report() -> None:
            rows = [row for row in rows_so_far(self._names, self._context) if row.state == "done"]
            lines = [f"{_line(row)}\n" for row in rows if row.name not in reported]
            reported.update(row.name for row in rows)
            if lines:
                stream.write("".join(lines))
                stream.flush()

        def watch() -> None:
            told = False
            while not ended.wait(LINES_EVERY):
                report()
                if self.stopping and not told:
                    told = True
                    stream.write("stopping, Ctrl-C again stops at once\n")
                    stream.flush()

        watcher = Thread(target=watch, name="mainstem-progress", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()
            report()


def _line(row: StageRow) -> str:
    counts = row.progress
    parts = [f"{counts.records_in:,} in", f"{counts.records_passed:,} out"]
    if counts.records_filtered:
        parts.append(f"{counts.records_filtered:,} filtered")
    if counts.records_failed:
        parts.append(f"{counts.records_failed:,} rejected")
    return f"{printable(row.name)}: {', '.join(parts)}, {format_duration(counts.duration_ms)}"
