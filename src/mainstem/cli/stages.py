"""The stages of a run as rows: read from the run's progress while it goes on, and at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from rich.table import Column, Table
from rich.text import Text

from mainstem.cli.escape import printable
from mainstem.cli.tables import number_column, plain_table
from mainstem.context import PipelineContext, StageProgress
from mainstem.result import StageResult

State: TypeAlias = Literal["waiting", "running", "done", "failed", "stopped", "not run"]
_STYLES: dict[State, str] = {
    "waiting": "dim",
    "running": "cyan",
    "done": "green",
    "failed": "bold red",
    "stopped": "yellow",
    "not run": "dim",
}


@dataclass(frozen=True, slots=True)
class StageRow:
    """One stage: its name, its state, and its counts, which may still move."""

    name: str
    state: State
    progress: StageProgress


def rows_so_far(names: Sequence[str], context: PipelineContext) -> list[StageRow]:
    """Return the stages of a run that goes on, those included that have not begun."""
    begun = dict(context.progress)  # a copy: the run adds to it in another thread
    rows: list[StageRow] = []
    for name in dict.fromkeys([*names, *begun]):
        progress = begun.get(name)
        state: State = "waiting" if progress is None else "done" if progress.done else "running"
        rows.append(StageRow(name, state, progress or StageProgress()))
    return rows


def rows_at_end(
    names: Sequence[str], context: PipelineContext, results: Mapping[str, StageResult[Any]]
) -> list[StageRow]:
    """Return the stages of a run that has ended, those included that never began."""

    def ended(row: StageRow) -> State:
        result = results.get(row.name)
        if result is not None and not result.success:
            return "failed"
        return "done" if row.state == "done" else "not run" if row.state == "waiting" else "stopped"

    return [StageRow(row.name, ended(row), row.progress) for row in rows_so_far(names, context)]


def stage_table(rows: Sequence[StageRow], *, live: bool) -> Table:
    """Make the table of the stages; while the run goes on with their rates."""
    names = ["in", "out", "filtered", "rejected", *(["rate"] if live else []), "time"]
    table = plain_table(
        Column("stage", overflow="fold", min_width=12), *map(number_column, names), Column("", no_wrap=True)
    )
    for row in rows:
        table.add_row(Text(printable(row.name)), *_numbers(row, live), Text(row.state, style=_STYLES[row.state]))
    return table


def _numbers(row: StageRow, live: bool) -> list[Text]:
    counts = row.progress
    columns = 6 if live else 5
    if row.state in ("waiting", "not run"):
        return [Text("")] * columns
    if row.state == "running" and not counts.records_in:
        return [Text("")] * columns  # it is at its first chunk
    rate = [Text(format_rate(counts))] if live else []
    return [*count_cells(counts), *rate, Text(format_duration(counts.duration_ms))]


def count_cells(counts: StageProgress, style: str = "") -> list[Text]:
    """Return the four counts as cells of the table; what was rejected stands out."""
    return [
        Text(f"{counts.records_in:,}", style=style),
        Text(f"{counts.records_passed:,}", style=style),
        Text(f"{counts.records_filtered:,}", style=style),
        Text(f"{counts.records_failed:,}", style="red" if counts.records_failed else style),
    ]


def format_rate(counts: StageProgress) -> str:
    """Format records per second of the time spent in the stage; nothing before there are any."""
    if not counts.records_in or not counts.duration_ms:
        return ""
    rate = counts.records_in / counts.duration_ms * 1000
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if rate >= size:
            return f"{_three_digits(rate / size)}{unit}/s"
    return f"{_three_digits(rate)}/s"


def _three_digits(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}"


def format_duration(milliseconds: float) -> str:
    """Format a duration to about three digits."""
    if milliseconds < 1:
        return f"{milliseconds:.2f} ms"
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"
