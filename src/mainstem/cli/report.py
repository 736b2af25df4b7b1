"""The report at the end of a run: a table of the stages, the output, what was rejected, the error."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any
from uuid import UUID

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.pretty import pretty_repr
from rich.table import Column, Table
from rich.text import Text

from mainstem.cli.durable_report import print_durable, print_kept_rejects, print_resume
from mainstem.cli.escape import printable, printable_lines, represent, shorten
from mainstem.cli.outcome import Outcome
from mainstem.cli.stages import count_cells, format_duration, stage_table
from mainstem.cli.tracebacks import format_error
from mainstem.context import StageError
from mainstem.endpoints import LoadReport
from mainstem.errors import describe_error

REJECTS_SHOWN = 10
OUTPUT_LINES = 20
OUTPUT_RECORDS = 20
_STATUS_STYLES = {"completed": "bold green", "failed": "bold red", "cancelled": "bold yellow"}


def print_report(console: Console, outcome: Outcome) -> None:
    """Print the table of the stages, the output and the rejects."""
    if outcome.pipeline is None or not (outcome.result or outcome.context.progress):
        return  # nothing ran
    total = outcome.total
    heading = Text.assemble(
        (printable(outcome.pipeline.name), "bold"),
        ": ",
        (outcome.status, _STATUS_STYLES[outcome.status]),
        f" in {format_duration(total.duration_ms)}",
        (f"  run {printable(outcome.context.pipeline_id)}", "dim"),
    )
    table = stage_table(outcome.rows, live=False)
    table.add_section()
    table.add_row(
        Text("total", style="bold"),
        *count_cells(total, "bold"),
        Text(format_duration(total.duration_ms), style="bold"),
        "",
    )
    console.print()
    console.print(heading, soft_wrap=True)
    console.print(Padding(table, (0, 0, 0, 2), expand=False))
    if outcome.accounting is not None:
        console.print(Text(f"records: {outcome.accounting}"), soft_wrap=True)
    if outcome.result is not None and outcome.result.bottleneck is not None:
        console.print(Text(printable(outcome.result.explain().splitlines()[0])), soft_wrap=True)
    if outcome.durable is not None:
        print_durable(console, outcome.durable)
    if outcome.result is not None and outcome.status == "completed":
        _print_output(console, outcome.result.data)
    print_rejects(console, outcome)
    if outcome.durable is not None:
        print_resume(console, outcome.durable)


def print_error(console: Console, outcome: Outcome, *, everything: bool) -> None:
    """Print what made a run fail: where, the traceback, the exception and its notes."""
    error = outcome.error
    if error is None:
        return
    where = [] if outcome.pipeline is None else [printable(outcome.pipeline.name)]
    if outcome.failed_stage:
        where.append(f"in stage {printable(outcome.failed_stage)!r}")
    if outcome.culprit is not None and outcome.culprit.index is not None:
        where.append(f"at record {outcome.culprit.index}")
    if where:
        console.print(Text(f"failed: {' '.join(where)}", style="bold red"), soft_wrap=True)
    for line in format_error(error, own=outcome.own_code, everything=everything):
        console.print(Text(line), soft_wrap=True)


def print_refusal(console: Console, outcome: Outcome) -> None:
    """Print why a durable run did not begin."""
    if outcome.refusal is not None:
        print_message(console, str(outcome.refusal))


def print_message(console: Console, message: str, *, style: str = "bold") -> None:
    """Print a message of the command itself, with what it calls the arguments of functions as its options."""
    for argument, option in _ON_THE_COMMAND_LINE.items():
        message = message.replace(argument, option)
    first, *more = printable_lines(message)
    console.print(Text.assemble(("mainstem: ", style), first), soft_wrap=True)
    for line in more:
        console.print(Text(line), soft_wrap=True)


_ON_THE_COMMAND_LINE = {
    "another run_id": "another --run-id",
    "with force": "with --force",
    "with edit_fields()": "with mainstem rejects edit ID --set field=value",
    "with edit()": "with mainstem rejects edit ID --record JSON",
}


def print_rejects(console: Console, outcome: Outcome) -> None:
    """Print the records that failed and whatever else went wrong, the run's own error aside; many are grouped."""
    culprit = outcome.culprit
    entries = [each for each in outcome.context.errors if each is not culprit]
    if outcome.durable is not None:  # what the context has of it is only the end of the rejects
        print_kept_rejects(console, outcome.durable)
        entries = [each for each in entries if each.index is None]
    if not entries:
        return
    records = sum(each.index is not None for each in entries)
    others = len(entries) - records
    counted = [f"{records:,} rejected"] if records else []
    counted += [f"{others:,} other {'error' if others == 1 else 'errors'}"] if others else []
    console.print(Text(", ".join(counted), style="bold red"))
    table = _each_reject(entries) if len(entries) <= REJECTS_SHOWN else _grouped_rejects(entries)
    console.print(Padding(table, (0, 0, 0, 2), expand=False))


def _each_reject(entries: Sequence[StageError]) -> Table:
    table = _reject_table(Column("record", justify="right", no_wrap=True))
    for each in entries:
        table.add_row(_position(each), _stage(each), _reason(each), _value(each))
    return table


def _grouped_rejects(entries: Sequence[StageError]) -> Table:
    """Group by stage and reason. Reasons that differ in numbers and quoted values only are one, shown by its first."""
    groups: dict[tuple[str, str], list[StageError]] = {}
    for each in entries:
        shape = _VALUES.sub("...", describe_error(each.error)[:500])
        groups.setdefault((each.stage, shape), []).append(each)
    largest = sorted(groups.values(), key=len, reverse=True)
    table = _reject_table(
        Column("count", justify="right", no_wrap=True), Column("first at", justify="right", no_wrap=True)
    )
    for group in largest[:REJECTS_SHOWN]:
        first = group[0]
        table.add_row(Text(f"{len(group):,}"), _position(first), _stage(first), _reason(first), _value(first))
    more = largest[REJECTS_SHOWN:]
    if more:
        table.add_row(
            Text(f"{sum(map(len, more)):,}"), "", "", Text(f"for {len(more):,} other reasons", style="dim"), ""
        )
    return table


_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")


def _reject_table(*leading: Column) -> Table:
    return Table(
        *leading,
        Column("stage", overflow="fold"),
        Column("reason", overflow="fold"),
        Column("value", overflow="fold"),
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        header_style="bold",
    )


def _position(entry: StageError) -> Text:
    return Text("" if entry.index is None else f"{entry.index:,}")


def _stage(entry: StageError) -> Text:
    return Text(printable(entry.stage))


def _reason(entry: StageError) -> Text:
    return Text(shorten(printable(describe_error(entry.error)), 300))


def _value(entry: StageError) -> Text:
    return Text("" if entry.index is None else represent(entry.record, length=120), style="dim")


_PLAIN = (bool, int, float, complex, str, bytes, Decimal, date, time, timedelta, UUID, PurePath)


def is_plain(value: Any, depth: int = 3) -> bool:
    """Say whether a value is small and made of plain values, so that it can be shown as the run's output."""
    if value is None or isinstance(value, _PLAIN):
        return True
    if depth == 0:
        return False
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return all(is_plain(getattr(value, each.name, None), depth - 1) for each in dataclasses.fields(value))
    if isinstance(value, dict):
        parts: list[Any] = [*value.keys(), *value.values()]
        most = 2 * OUTPUT_RECORDS
    elif isinstance(value, (list, tuple, set, frozenset)):
        parts = list(value)  # pyright: ignore[reportUnknownArgumentType]  # of whatever it is
        most = OUTPUT_RECORDS
    else:
        return False
    return len(parts) <= most and all(is_plain(each, depth - 1) for each in parts)


def _print_output(console: Console, data: Any) -> None:
    if data is None:
        return
    lines = [_describe_output(data, console.width - 4)]
    if isinstance(data, LoadReport) or not is_plain(data):
        console.print(Text(f"output: {lines[0]}"), soft_wrap=True)
        return
    lines = printable_lines(lines[0])
    console.print(Text("output", style="bold"))
    for line in lines[:OUTPUT_LINES]:
        console.print(Text(f"  {shorten(line, 500)}"), soft_wrap=True)
    if len(lines) > OUTPUT_LINES:
        console.print(Text(f"  … {len(lines) - OUTPUT_LINES} more lines", style="dim"))
    console.print()


def _describe_output(data: Any, width: int) -> str:
    if isinstance(data, LoadReport):
        rejected = f", {data.records_rejected:,} rejected by it" if data.records_rejected else ""
        return printable(
            f"{data.records_loaded:,} records loaded into {data.target} ({data.guarantee.value}){rejected}"
        )
    if is_plain(data):
        return pretty_repr(data, max_width=width, max_string=1000)
    name = printable(type(data).__name__)
    if isinstance(data, Collection):
        return f"{name} of {len(data):,}"  # pyright: ignore[reportUnknownArgumentType]  # of whatever it is
    return name
