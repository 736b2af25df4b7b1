"""``mainstem runs``: which durable runs there are, where each stands, and going on with one."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timezone
from typing import Any

from rich.table import Column, Table
from rich.text import Text

from mainstem.cli.durability import describe_command, describe_run
from mainstem.cli.escape import plain_console, printable
from mainstem.cli.exit_code import ExitCode
from mainstem.cli.pipelines import target_of
from mainstem.cli.report import print_message
from mainstem.cli.run import CommandOptions, run_target
from mainstem.cli.stages import StageRow, format_duration, stage_table
from mainstem.cli.stores import existing_store
from mainstem.cli.tables import number_column, plain_table, print_table, text_column
from mainstem.cli.usage import UsageError, did_you_mean
from mainstem.context import StageProgress
from mainstem.durable.run_states import INTERRUPTED, STATES, host_of, records_read, replayed_run, state_of
from mainstem.errors import RunError
from mainstem.store.model import RunRecord, RunStatus
from mainstem.store.store import Store


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
        print_table(plain_console(), _table(records))
    return ExitCode.COMPLETED


def show_run(run_id: str, store: str | None, *, pipeline: str | None, as_json: bool) -> int:
    """Show all that is known of one run."""
    with existing_store(store) as opened:
        record = find_run(opened, run_id, pipeline)
    if as_json:
        _write_json(document_of(record))
        return ExitCode.COMPLETED
    console = plain_console()
    for name, value in _facts(record, store):
        console.print(Text(f"{name:<10} {printable(value)}"), soft_wrap=True)
    if record.counts:
        rows = [StageRow(name, "done", StageProgress(**asdict(counts))) for name, counts in record.counts.items()]
        console.print(Text("at the last batch:"))
        print_table(console, stage_table(rows, live=False), indent=2)
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
    if replayed_run(record) is not None:
        raise UsageError(f"run {run_id!r} is a replay, which {way_on(record, options.durability.store)} goes on with")
    otherwise = f"mainstem run TARGET --run-id {shlex.quote(run_id)}"
    target, assignments = target_of(record, None, options.assignments, otherwise=otherwise)
    durability = replace(options.durability, run_id=run_id)
    if not options.quiet:
        command = describe_run(durability, target, assignments, run_id)
        errors.print(Text(printable(command), style="dim"), soft_wrap=True)
    return run_target(replace(options, target=target, assignments=assignments, durability=durability))


def runs_called(store: Store, run_id: str, pipeline: str | None) -> list[RunRecord]:
    """Return the runs of a name, of which each pipeline may have one.

    Raises:
        RunError: If there is none.
    """
    found = store.runs(pipeline=pipeline, run_id=run_id)
    if not found:
        known = [each.run_id for each in store.runs(pipeline=pipeline, limit=1000)]
        of = "" if pipeline is None else f" of pipeline {pipeline!r}"
        raise RunError(f"there is no run {run_id!r}{of} in {store.url}{did_you_mean(run_id, known)}")
    return found


def find_run(store: Store, run_id: str, pipeline: str | None) -> RunRecord:
    """Return the run of a name.

    Raises:
        RunError: If there is none.
        UsageError: If several pipelines have one.
    """
    found = runs_called(store, run_id, pipeline)
    if len(found) > 1:
        names = ", ".join(repr(each.pipeline) for each in found)
        raise UsageError(f"several pipelines have a run {run_id!r}: say which with --pipeline ({names})")
    return found[0]


def way_on(record: RunRecord, store: str | None) -> str:
    """Return the command that goes on with a run."""
    replayed = replayed_run(record)
    if replayed is not None:
        return describe_command("mainstem rejects replay", store, run=replayed)
    return describe_command(f"mainstem runs resume {shlex.quote(record.run_id)}", store)


def document_of(record: RunRecord) -> dict[str, Any]:
    """Return a run in plain JSON values."""
    document = {name: _plain(value) for name, value in asdict(record).items()}
    document["rejects"] = {state.value: count for state, count in record.rejects.items()}
    return {**document, "state": state_of(record), "owner": {**asdict(record.owner), "host": host_of(record)}}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _write_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    sys.stdout.flush()


_STYLES = {"completed": "green", "failed": "red", "cancelled": "yellow", "running": "cyan", INTERRUPTED: "bold yellow"}


def _table(records: Sequence[RunRecord]) -> Table:
    counts = ("batches", "read", "rejects", "attempts")
    fixed = (Column(name, no_wrap=True) for name in ("state", "began (UTC)"))
    table = plain_table(*map(text_column, ("run", "pipeline")), *fixed, *map(number_column, counts))
    for each in records:
        rejects = sum(each.rejects.values())
        table.add_row(
            Text(printable(each.run_id)),
            Text(printable(each.pipeline)),
            Text(state_of(each), style=_STYLES[state_of(each)]),
            f"{each.started_at:%Y-%m-%d %H:%M:%S}",
            f"{each.committed:,}",
            f"{records_read(each, each.counts):,}",
            Text(f"{rejects:,}", style="red" if rejects else ""),
            f"{each.epoch:,}",
        )
    return table


def _facts(record: RunRecord, store: str | None) -> list[tuple[str, str]]:
    began = f"{record.started_at:%Y-%m-%d %H:%M:%S} UTC"
    owner = f"process {record.owner.pid} on {host_of(record)}"
    facts = [("run", record.run_id), ("pipeline", record.pipeline), ("state", state_of(record)), ("began", began)]
    if record.ended_at is not None:
        facts.append(("ended", f"{record.ended_at:%Y-%m-%d %H:%M:%S} UTC"))
    else:
        silent = (datetime.now(timezone.utc) - record.updated_at).total_seconds() * 1000
        facts.append(("last sign", f"{format_duration(max(silent, 1))} ago"))
    facts.append(("attempts", f"{record.epoch:,}, the last by {owner}"))
    batches = "1 batch" if record.committed == 1 else f"{record.committed:,} batches"
    facts.append(("committed", f"{batches}, {records_read(record, record.counts):,} records read"))
    if record.guarantee is not None:
        facts.append(("guarantee", record.guarantee))
    if record.rejects:
        facts.append(("rejects", ", ".join(f"{count:,} {state.value}" for state, count in record.rejects.items())))
    if record.error is not None:
        facts.append(("error", record.error))
    if record.target is not None:
        facts.append(("target", record.target))
    if record.status is not RunStatus.COMPLETED and not record.is_live:
        facts.append(("to go on", way_on(record, store)))
    return facts
