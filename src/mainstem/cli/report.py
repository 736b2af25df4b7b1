"""The report at the end of a run: a table of the stages, the output, what was rejected, the error."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.pretty import pretty_repr
from rich.text import Text

from mainstem.cli.durable_report import print_durable, print_kept_rejects, print_resume
from mainstem.cli.escape import printable, printable_lines, represent, shorten
from mainstem.cli.outcome import Outcome
from mainstem.cli.stages import count_cells, format_duration, stage_table
from mainstem.cli.tables import RejectRow, print_table, reject_table, shape_of_reason
from mainstem.cli.tracebacks import format_error
from mainstem.context import StageError
from mainstem.endpoints import LoadReport
from mainstem.errors import describe_error

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
    print_table(console, table, indent=2)
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
    print_table(console, reject_table(entries, _row_of, _kind_of), indent=2)


def _row_of(entry: StageError) -> RejectRow:
    value = "" if entry.index is None else represent(entry.record, length=120)
    return RejectRow(entry.stage, entry.index, describe_error(entry.error), value)


def _kind_of(entry: StageError) -> tuple[str, str]:
    return entry.stage, shape_of_reason(describe_error(entry.error))


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


def describe_load(report: LoadReport) -> str:
    """Say in one line what was loaded."""
    loaded = "1 record" if report.records_loaded == 1 else f"{report.records_loaded:,} records"
    rejected = f", {report.records_rejected:,} rejected by it" if report.records_rejected else ""
    return printable(f"{loaded} loaded into {report.target} ({report.guarantee.value}){rejected}")


def _describe_output(data: Any, width: int) -> str:
    if isinstance(data, LoadReport):
        return describe_load(data)
    if is_plain(data):
        return pretty_repr(data, max_width=width, max_string=1000)
    name = printable(type(data).__name__)
    if isinstance(data, Collection):
        return f"{name} of {len(data):,}"  # pyright: ignore[reportUnknownArgumentType]  # of whatever it is
    return name
