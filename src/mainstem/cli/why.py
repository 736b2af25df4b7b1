"""``mainstem why``: what became of one record of a run."""

from __future__ import annotations

import json
import logging
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
from rich.console import Console
from rich.text import Text

from mainstem.cli.durability import describe_target
from mainstem.cli.durable_report import reason_of
from mainstem.cli.escape import plain_console, printable, represent
from mainstem.cli.exit_code import ExitCode
from mainstem.cli.pipelines import Made, guarded_target, target_of
from mainstem.cli.runs import find_run
from mainstem.cli.stores import existing_store
from mainstem.cli.usage import UsageError
from mainstem.durable.run_states import records_read
from mainstem.store.codec import encode_record
from mainstem.store.model import RunRecord
from mainstem.store.store import Store

if TYPE_CHECKING:
    from mainstem.durable.why import RecordStep, RecordTrace

RECORD_LENGTH = 500
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class WhyCommand:
    """What ``mainstem why`` was told."""

    target: str | None
    assignments: Sequence[str]
    run: str
    pipeline: str | None
    position: int | None
    key: str | None
    store: str | None
    as_json: bool
    traceback: bool


def why(command: WhyCommand) -> int:
    """Say what became of a record."""
    logging.getLogger("mainstem").addHandler(logging.NullHandler())
    if (command.position is None) == (command.key is None):
        raise UsageError("say which record is meant: --position N, or --key FIELD=VALUE")
    where = None if command.key is None else _where(command.key)
    with existing_store(command.store) as store:
        record = find_run(store, command.run, command.pipeline)
        otherwise = f"mainstem why TARGET --run {shlex.quote(command.run)}"
        target, assignments = target_of(record, command.target, command.assignments, otherwise=otherwise)
        notice = f"reads the source of {describe_target(target, assignments)} again, and may call its functions"
        plain_console(stderr=True).print(Text(printable(notice), style="dim"), soft_wrap=True)
        with guarded_target(target, traceback=command.traceback) as loaded:
            trace = anyio.run(_explain, loaded.make(assignments), record, command, where, store)
        committed = store.last_checkpoint(record.run)
        read = 0 if committed is None else records_read(record, committed.counts)
    from mainstem.durable.trace_words import in_target

    if command.as_json:
        sys.stdout.write(json.dumps(_document(trace), indent=2) + "\n")
        sys.stdout.flush()
    else:
        _print(plain_console(), trace, in_target(trace, record, read))
    return ExitCode.COMPLETED


async def _explain(
    made: Made, record: RunRecord, command: WhyCommand, where: Callable[[Any], bool] | None, store: Store
) -> RecordTrace:
    from mainstem.durable.why import explain_record

    return await explain_record(
        await made.pipeline_of(record), position=command.position, where=where, store=store, run_id=command.run
    )


def _where(key: str) -> Callable[[Any], bool]:
    from mainstem.durable.trace_words import has_value

    try:
        return has_value(key)
    except ValueError:
        raise UsageError(f"--key takes FIELD=VALUE, and was given {key!r}") from None


def _print(console: Console, trace: RecordTrace, in_target: str) -> None:
    console.print(
        Text.assemble((f"record {trace.position:,}", "bold"), f": {represent(trace.record, length=RECORD_LENGTH)}"),
        soft_wrap=True,
    )
    for step in trace.steps:
        console.print(Text(f"  {printable(step.stage)} {_said(step, in_target)}"), soft_wrap=True)
    for each in trace.rejects:
        line = Text.assemble(f"  {printable(each.stage)} rejected it: ", reason_of(each))
        console.print(line, soft_wrap=True)
        console.print(Text(f"  it is reject {each.id}, {each.state.value}: mainstem rejects show {each.id}"))
    if trace.user_code_ran:
        console.print(Text("  as the pipeline is now: its functions were called again", style="dim"))


def _said(step: RecordStep, in_target: str) -> str:
    shown = ", ".join(represent(each, length=RECORD_LENGTH) for each in step.given[:_SHOWN])
    more = f" and {len(step.given) - _SHOWN:,} more" if len(step.given) > _SHOWN else ""
    lost = "" if step.error is None else f"; some of it was rejected: {printable(step.error)}"
    if step.fate.value == "rejected":
        return f"rejects it: {printable(step.error or '')}"
    if step.fate.value == "sent":
        return f"is given {shown}{more}; {in_target}"
    return {
        "passed": "passed it on",
        "gave": f"gave {shown}{more}",
        "dropped": "dropped it",
        "kept": "kept it: it is in what came out later",
        "combined": "made one answer of all records, this one among them",
    }[step.fate.value] + lost


def _document(trace: RecordTrace) -> dict[str, Any]:
    return {
        "position": trace.position,
        "record": json.loads(encode_record(trace.record).text),
        "steps": [
            {
                "stage": step.stage,
                "fate": step.fate.value,
                "given": [json.loads(encode_record(each).text) for each in step.given],
                "error": step.error,
            }
            for step in trace.steps
        ],
        "rejects": [each.id for each in trace.rejects],
        "functions_called_again": trace.user_code_ran,
    }
