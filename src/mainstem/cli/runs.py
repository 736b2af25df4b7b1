"""``mainstem runs``: which durable runs there are, where each stands, and going on with one."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timezone
from typing import Any

from rich import box
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from mainstem.cli.durability import describe_run
from mainstem.cli.escape import plain_console, printable
from mainstem.cli.exit_code import ExitCode
from mainstem.cli.pipelines import as_started
from mainstem.cli.report import print_message
from mainstem.cli.run import CommandOptions, run_target
from mainstem.cli.stages import StageRow, format_duration, stage_table
from mainstem.cli.stores import existing_store
from mainstem.cli.usage import UsageError, did_you_mean
from mainstem.context import StageProgress
from mainstem.errors import RunError
from mainstem.store.model import RunRecord, RunStatus
from mainstem.store.store import Store

INTERRUPTED = "interrupted"
"""What a run is called whose process was killed: the store says running, and nobody works on it."""
STATES = (*(each.value for each in RunStatus), INTERRUPTED)


def state_of(record: RunRecord) -> str:
    """Return where a run stands, in one word."""
    if record.status is RunStatus.RUNNING and not record.is_live:
        return INTERRUPTED
    return record.status.value


def list_runs(store: str | None, *, pipeline: str | None, states: Sequence[str], limit: int, as_json: bool) -> int:
    """Show runs as a table, or as JSON, the latest first."""
    for state in states:
        if state not in STATES:
            hint = did_you_mean(state, STATES) or f"; there are {', '.join(STATES)}"
            raise UsageError(f"--status: no run is {state!r}{hint}")
    if limit < 1:
        raise UsageError(f"--limit is a number of runs, at least 1, not {limit}")
    with existing_store(store) as opened:
        # A status that is derived cannot be asked for, so they are limited here.
        records = opened.runs(pipeline=pipeline, limit=None if states else limit)
    records = [each for each in records if not states or state_of(each) in states][:limit]
    if as_json:
        _write_json([document_of(each) for each in records])
    elif not records:
        plain_console().print(Text("there are no such runs"))
    else:
        plain_console().print(Padding(_table(records), (0, 0, 0, 0), expand=False))
    return ExitCode.COMPLETED


def show_run(run_id: str, store: str | None, *, pipeline: str | None, as_json: bool) -> int:
    """Show all that is known of one run."""
    with existing_store(store) as opened:
        record = find_run(opened, run_id, pipeline)
    if as_json:
        _write_json(document_of(record))
        return ExitCode.COMPLETED
    console = plain_console()
    for name, value in _facts(record):
        console.print(Text(f"{name:<10} {printable(value)}"), soft_wrap=True)
    if record.counts:
        rows = [StageRow(name, "done", StageProgress(**asdict(counts))) for name, counts in record.counts.items()]
        console.print(Text("at the last batch:"))
        console.print(Padding(stage_table(rows, live=False), (0, 0, 0, 2), expand=False))
    return ExitCode.COMPLETED


def resume_run(run_id: str, options: CommandOptions, *, pipeline: str | None) -> int:
    """Go on with a run, as the store says that it was started.

    Args:
        run_id: The run.
        options: What the command was told: settings given anew take the place of those that are kept.
        pipeline: The pipeline's name, if several have a run of that name.
    """
    errors = plain_console(stderr=True)
    with existing_store(options.durability.store) as opened:
        record = find_run(opened, run_id, pipeline)
    if record.status is RunStatus.COMPLETED:
        when = "" if record.ended_at is None else f" on {record.ended_at:%Y-%m-%d at %H:%M:%S} UTC"
        print_message(
            errors, f"run {run_id!r} of pipeline {record.pipeline!r} has completed{when}: nothing is left to do"
        )
        return ExitCode.COMPLETED
    otherwise = f"mainstem run TARGET --run-id {shlex.quote(run_id)}"
    target, assignments = as_started(record, options.assignments, otherwise=otherwise)
    durability = replace(options.durability, run_id=run_id)
    if not options.quiet:
        command = describe_run(durability, target, assignments, run_id)
        errors.print(Text(printable(command), style="dim"), soft_wrap=True)
    return run_target(replace(options, target=target, assignments=assignments, durability=durability))


def find_run(store: Store, run_id: str, pipeline: str | None) -> RunRecord:
    """Return the run of a name.

    Raises:
        RunError: If there is none.
        UsageError: If several pipelines have one.
    """
    found = store.runs(pipeline=pipeline, run_id=run_id)
    if not found:
        known = [each.run_id for each in store.runs(pipeline=pipeline, limit=1000)]
        of = "" if pipeline is None else f" of pipeline {pipeline!r}"
        raise RunError(f"there is no run {run_id!r}{of} in {store.url}{did_you_mean(run_id, known)}")
    if len(found) > 1:
        names = ", ".join(repr(each.pipeline) for each in found)
        raise UsageError(f"several pipelines have a run {run_id!r}: say which with --pipeline ({names})")
    return found[0]


def document_of(record: RunRecord) -> dict[str, Any]:
    """Return a run in plain JSON values."""
    document = {name: _plain(value) for name, value in asdict(record).items()}
    document["rejects"] = {state.value: count for state, count in record.rejects.items()}
    return {**document, "state": state_of(record), "owner": {**asdict(record.owner), "host": _host(record)}}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _write_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    sys.stdout.flush()


def _host(record: RunRecord) -> str:
    return record.owner.host.split()[0] if record.owner.host.strip() else ""


def _records_read(record: RunRecord) -> int:
    first: Mapping[str, Any] = record.shape[0] if record.shape else {}
    counts = record.counts.get(str(first.get("name")))
    return 0 if counts is None else counts.records_in


_STYLES = {"completed": "green", "failed": "red", "cancelled": "yellow", "running": "cyan", INTERRUPTED: "bold yellow"}


def _table(records: Sequence[RunRecord]) -> Table:
    table = Table(
        Column("run", overflow="fold"),
        Column("pipeline", overflow="fold"),
        Column("state", no_wrap=True),
        Column("began (UTC)", no_wrap=True),
        Column("batches", justify="right", no_wrap=True),
        Column("read", justify="right", no_wrap=True),
        Column("rejects", justify="right", no_wrap=True),
        Column("attempts", justify="right", no_wrap=True),
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        header_style="bold",
    )
    for each in records:
        rejects = sum(each.rejects.values())
        table.add_row(
            Text(printable(each.run_id)),
            Text(printable(each.pipeline)),
            Text(state_of(each), style=_STYLES[state_of(each)]),
            f"{each.started_at:%Y-%m-%d %H:%M:%S}",
            f"{each.committed:,}",
            f"{_records_read(each):,}",
            Text(f"{rejects:,}", style="red" if rejects else ""),
            f"{each.epoch:,}",
        )
    return table


def _facts(record: RunRecord) -> list[tuple[str, str]]:
    began = f"{record.started_at:%Y-%m-%d %H:%M:%S} UTC"
    owner = f"process {record.owner.pid} on {_host(record)}"
    facts = [("run", record.run_id), ("pipeline", record.pipeline), ("state", state_of(record)), ("began", began)]
    if record.ended_at is not None:
        facts.append(("ended", f"{record.ended_at:%Y-%m-%d %H:%M:%S} UTC"))
    else:
        silent = (datetime.now(timezone.utc) - record.updated_at).total_seconds() * 1000
        facts.append(("last sign", f"{format_duration(max(silent, 1))} ago"))
    facts.append(("attempts", f"{record.epoch:,}, the last by {owner}"))
    facts.append(("committed", f"{record.committed:,} batches, {_records_read(record):,} records read"))
    if record.guarantee is not None:
        facts.append(("guarantee", record.guarantee))
    if record.rejects:
        facts.append(("rejects", ", ".join(f"{count:,} {state.value}" for state, count in record.rejects.items())))
    if record.error is not None:
        facts.append(("error", record.error))
    if record.target is not None:
        facts.append(("target", record.target))
    if record.status is not RunStatus.COMPLETED and not record.is_live:
        facts.append(("to go on", f"mainstem runs resume {shlex.quote(record.run_id)}"))
    return facts
