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
from mainstem.progress.figures import StageFigures, rate_of
from mainstem.progress.words import format_duration as format_duration
from mainstem.progress.words import format_per_second
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
        cells = _numbers(row, [format_rate(row.progress)] if live else [])
        table.add_row(Text(printable(row.name)), *cells, Text(row.state, style=_STYLES[row.state]))
    return table


def live_table(figures: Sequence[StageFigures]) -> Table:
    """Make the table of the stages of a run that goes on: with their rates, and what they wait on."""
    names = ["in", "out", "filtered", "rejected", "rate", "time"]
    columns = [Column("", no_wrap=True), Column("waiting on", no_wrap=True)]
    table = plain_table(Column("stage", overflow="fold", min_width=12), *map(number_column, names), *columns)
    for each in figures:
        counts = StageProgress(
            each.records_in, each.records_passed, each.records_filtered, each.records_failed, each.duration_ms
        )
        cells = _numbers(StageRow(each.name, each.state, counts), [format_per_second(each.rate)])
        state = Text(each.state, style=_STYLES[each.state])
        table.add_row(Text(printable(each.name)), *cells, state, Text(each.waiting_on, style="dim"))
    return table


def _numbers(row: StageRow, rate: Sequence[str]) -> list[Text]:
    counts = row.progress
    if row.state in ("waiting", "not run") or (row.state == "running" and not counts.records_in):
        return [Text("")] * (5 + len(rate))  # it has not begun, or is at its first chunk
    return [*count_cells(counts), *map(Text, rate), Text(format_duration(counts.duration_ms))]


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
    return format_per_second(rate_of(counts))
