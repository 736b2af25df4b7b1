"""``mainstem rejects replay``: let mended rejects go through the rest of their pipeline."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
from rich.text import Text

from mainstem.cli.durability import describe_target
from mainstem.cli.escape import plain_console, printable
from mainstem.cli.exit_code import ExitCode
from mainstem.cli.pipelines import Made, guarded_target, target_of
from mainstem.cli.progress import Progress
from mainstem.cli.reject_filter import Which
from mainstem.cli.report import describe_load
from mainstem.cli.runs import find_run
from mainstem.cli.signals import RunSignals
from mainstem.cli.stores import existing_store
from mainstem.cli.usage import UsageError
from mainstem.context import PipelineContext
from mainstem.store.model import RejectQuery, RejectState, RunRecord
from mainstem.store.store import Store

if TYPE_CHECKING:
    from mainstem.durable.replay_options import ReplayReport


@dataclass(frozen=True, slots=True)
class ReplayCommand:
    """What ``mainstem rejects replay`` was told."""

    target: str | None
    assignments: Sequence[str]
    which: Which
    store: str | None
    force: bool
    traceback: bool


def replay(command: ReplayCommand) -> int:
    """Replay rejects.

    Returns:
        The exit code: 1 if any failed again or could not be replayed.
    """
    logging.getLogger("mainstem").addHandler(logging.NullHandler())
    which, run_id = command.which, command.which.run
    if run_id is None:
        raise UsageError("say whose rejects are replayed: --run")
    if which.ids is not None:
        raise UsageError("rejects are replayed by --run, --stage, --code and --state: approve those of these numbers")
    chosen = which.to_filter()
    with existing_store(command.store) as store:
        record = find_run(store, run_id, which.pipeline)
        otherwise = f"mainstem rejects replay TARGET --run {shlex.quote(run_id)}"
        target, assignments = target_of(record, command.target, command.assignments, otherwise=otherwise)
        states = chosen.get("states") or [RejectState.APPROVED]
        if not store.count_rejects(_meant(which, record.pipeline, [*map(RejectState, states)])):
            plain_console().print(Text("there is nothing to replay: mainstem rejects approve lets rejects be replayed"))
            return ExitCode.COMPLETED
        plain_console(stderr=True).print(
            Text(f"with {printable(describe_target(target, assignments))}", style="dim"), soft_wrap=True
        )
        return _replay(command, store, record, target, assignments, [*states])


def _meant(which: Which, pipeline: str, states: Sequence[RejectState]) -> RejectQuery:
    return RejectQuery(pipeline=pipeline, run_id=which.run, stage=which.stage, code=which.code, states=states)


def _replay(
    command: ReplayCommand,
    store: Store,
    record: RunRecord,
    target: str,
    assignments: Sequence[str],
    states: Sequence[Any],
) -> int:
    signals = RunSignals()
    try:
        with guarded_target(target, traceback=command.traceback) as loaded:
            report = anyio.run(_execute, command, store, record, loaded.make(assignments), states, signals)
    except KeyboardInterrupt:  # the second signal
        report = None
    if report is None:
        plain_console(stderr=True).print(Text("stopped: what was committed is loaded; the same command goes on"))
        return signals.exit_code
    _print(report)
    return ExitCode.FAILED if report.failed_again or report.skipped else ExitCode.COMPLETED


async def _execute(
    command: ReplayCommand, store: Store, record: RunRecord, made: Made, states: Sequence[Any], signals: RunSignals
) -> ReplayReport | None:
    from mainstem.durable.replay import replay_rejects

    pipeline = await made.pipeline_of(record)
    which = command.which
    context = PipelineContext()
    progress = Progress(pipeline.name, pipeline.stages, context)
    with signals.cancelling(progress):
        return await replay_rejects(
            store,
            pipeline,
            record.run_id,
            states=states,
            stage=which.stage,
            code=which.code,
            force=command.force,
            context=context,
        )
    return None  # it was cancelled


def _print(report: ReplayReport) -> None:
    console = plain_console()
    dropped = f", {report.dropped:,} of them dropped on the way" if report.dropped else ""
    console.print(Text(f"{report.replayed:,} replayed{dropped}"))
    console.print(Text(describe_load(report.load)), soft_wrap=True)
    if report.failed_again:
        console.print(Text(f"{report.failed_again:,} failed again, and are open", style="bold red"))
    for reason, count in report.skipped.items():
        console.print(Text(f"{count:,} left as they are: {printable(reason)}"), soft_wrap=True)
