"""A preview as it is printed, and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from mainstem.cli.escape import printable, represent
from mainstem.cli.json_report import ERRORS_INCLUDED, RECORD_LENGTH
from mainstem.cli.outcome import Outcome
from mainstem.cli.report import print_rejects
from mainstem.cli.stages import stage_table
from mainstem.cli.tables import print_table
from mainstem.connect.table_diff import RowChange, TableChanges
from mainstem.context import StageError
from mainstem.errors import describe_error
from mainstem.plan.preview import Preview, SinkPreview

_VALUE = 60
_STYLES = {"insert": "green", "update": "yellow", "unchanged": "dim"}


def print_preview(console: Console, preview: Preview, outcome: Outcome) -> None:
    """Print what the records would do."""
    heading = Text.assemble((printable(preview.pipeline), "bold"), ": ", (printable(str(preview)), "bold"))
    console.print(heading, soft_wrap=True)
    console.print(Text(f"{preview.records_read:,} records read, nothing written", style="dim"))
    print_table(console, stage_table(outcome.rows, live=False), indent=2)
    for sink in preview.sinks:
        name = f"{sink.path} -> {sink.target}: {sink}"
        console.print(Text(printable(name), style="bold"), soft_wrap=True)
        for line, style in _lines_of(sink):
            console.print(Text(f"  {printable(line)}", style=style), soft_wrap=True)
    for note in preview.notes:
        console.print(Text(f"note: {printable(note)}", style="yellow"), soft_wrap=True)
    print_rejects(console, outcome)


def _lines_of(sink: SinkPreview) -> Iterator[tuple[str, str]]:
    changes = sink.changes
    if changes is None:
        if sink.replaces:
            yield "what is there now would be replaced", "yellow"
        for record in sink.first:
            yield represent(record, length=160), "dim"
        return
    for statement in changes.statements:
        yield statement, "yellow"
    for change in changes.samples:
        yield f"{change.kind:<9} {_values(change)}", _STYLES[change.kind]
    if changes.not_tried:
        yield f"not tried: {', '.join(changes.not_tried)} of the table, which show when rows are written", "dim"


def _values(change: RowChange) -> str:
    before = change.before
    if before is None or change.kind == "unchanged":
        return ", ".join(f"{name}={_shown(value)}" for name, value in change.after.items())
    parts: list[str] = []
    for name, value in change.after.items():
        was, now = _shown(before[name]), _shown(value)
        parts.append(f"{name}={now}" if was == now else f"{name}: {was} -> {now}")
    return ", ".join(parts)


def _shown(value: Any) -> str:
    return represent(getattr(value, "obj", value), length=_VALUE)


def write_json(preview: Preview, outcome: Outcome) -> None:
    """Write a preview to stdout as one JSON document in ASCII."""
    error = outcome.error
    document: dict[str, Any] = {
        "pipeline": preview.pipeline,
        "summary": str(preview),
        "records_read": preview.records_read,
        "status": outcome.status,
        "error": None if error is None else describe_error(error),
        "stages": [
            {
                "name": row.name,
                "state": row.state,
                "records_in": row.progress.records_in,
                "records_passed": row.progress.records_passed,
                "records_filtered": row.progress.records_filtered,
                "records_failed": row.progress.records_failed,
            }
            for row in outcome.rows
        ],
        "sinks": [_sink(sink) for sink in preview.sinks],
        "rejects": {"count": len(preview.rejects), "first": list(map(_reject, preview.rejects[:ERRORS_INCLUDED]))},
        "notes": list(preview.notes),
    }
    sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")


def _sink(sink: SinkPreview) -> dict[str, Any]:
    return {
        "name": sink.path,
        "target": sink.target,
        "records": sink.taken,
        "rejected": sink.rejected,
        "replaces": sink.replaces,
        "changes": None if sink.changes is None else _changes(sink.changes),
        "first": [represent(record, length=RECORD_LENGTH) for record in sink.first],
    }


def _changes(changes: TableChanges) -> dict[str, Any]:
    return {
        "insert": changes.inserts,
        "update": changes.updates,
        "unchanged": changes.unchanged,
        "delete": changes.deletes,
        "statements": changes.statements,
        "not_tried": changes.not_tried,
        "samples": [
            {"kind": each.kind, "before": _texts(each.before), "after": _texts(each.after)} for each in changes.samples
        ],
    }


def _texts(row: Mapping[str, Any] | None) -> dict[str, str] | None:
    return None if row is None else {name: _shown(value) for name, value in row.items()}


def _reject(entry: StageError) -> dict[str, Any]:
    return {
        "stage": entry.stage,
        "index": entry.index,
        "reason": describe_error(entry.error),
        "record": represent(entry.record, length=RECORD_LENGTH),
    }
