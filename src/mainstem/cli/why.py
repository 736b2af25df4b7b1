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
from mainstem.cli.pipelines import Made, as_started, made_pipeline
from mainstem.cli.runs import find_run
from mainstem.cli.stores import existing_store
from mainstem.cli.tracebacks import format_error
from mainstem.cli.usage import UsageError
from mainstem.errors import MainstemError
from mainstem.store.codec import encode_record
from mainstem.store.model import RunRecord, RunStatus
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
    where = None if command.key is None else _has_value(command.key)
    own_code = ""
    with existing_store(command.store) as store:
        record = find_run(store, command.run, command.pipeline)
        target, assignments = command.target, list(command.assignments)
        if target is None:
            otherwise = f"mainstem why TARGET --run {shlex.quote(command.run)}"
            target, assignments = as_started(record, assignments, otherwise=otherwise)
        notice = f"reads the source of {describe_target(target, assignments)} again, and may call its functions"
        plain_console(stderr=True).print(Text(printable(notice), style="dim"), soft_wrap=True)
        try:
            with made_pipeline(target, assignments) as made:
                own_code = made.own_code
                trace = anyio.run(_explain, made, command, where, store)
        except (MainstemError, UsageError):
            raise
        except Exception as error:
            for line in format_error(error, own=own_code, everything=command.traceback):
                plain_console(stderr=True).print(Text(line), soft_wrap=True)
            return ExitCode.FAILED
    if command.as_json:
        sys.stdout.write(json.dumps(_document(trace), indent=2) + "\n")
        sys.stdout.flush()
    else:
        _print(plain_console(), trace, record)
    return ExitCode.COMPLETED


async def _explain(made: Made, command: WhyCommand, where: Callable[[Any], bool] | None, store: Store) -> RecordTrace:
    from mainstem.durable.why import explain_record

    return await explain_record(
        await made.pipeline(), position=command.position, where=where, store=store, run_id=command.run
    )


def _has_value(key: str) -> Callable[[Any], bool]:
    field, equals, value = key.partition("=")
    if not equals or not field:
        raise UsageError(f"--key takes FIELD=VALUE, and was given {key!r}")

    def has_value(record: Any) -> bool:
        if isinstance(record, dict):
            return field in record and str(record[field]) == value  # pyright: ignore[reportUnknownArgumentType]
        return hasattr(record, field) and str(getattr(record, field)) == value

    return has_value


def _print(console: Console, trace: RecordTrace, record: RunRecord) -> None:
    console.print(
        Text.assemble((f"record {trace.position:,}", "bold"), f": {represent(trace.record, length=RECORD_LENGTH)}"),
        soft_wrap=True,
    )
    for step in trace.steps:
        console.print(Text(f"  {printable(step.stage)} {_said(step, trace, record)}"), soft_wrap=True)
    for each in trace.rejects:
        line = Text.assemble(f"  {printable(each.stage)} rejected it: ", reason_of(each))
        console.print(line, soft_wrap=True)
        console.print(Text(f"  it is reject {each.id}, {each.state.value}: mainstem rejects show {each.id}"))
    if trace.user_code_ran:
        console.print(Text("  as the pipeline is now: its functions were called again", style="dim"))


def _said(step: RecordStep, trace: RecordTrace, record: RunRecord) -> str:
    shown = ", ".join(represent(each, length=RECORD_LENGTH) for each in step.given[:_SHOWN])
    more = f" and {len(step.given) - _SHOWN:,} more" if len(step.given) > _SHOWN else ""
    lost = "" if step.error is None else f"; some of it was rejected: {printable(step.error)}"
    if step.fate.value == "rejected":
        return f"rejects it: {printable(step.error or '')}"
    if step.fate.value == "sent":
        return f"is given {shown}{more}; {_in_target(trace, record)}"
    return {
        "passed": "passed it on",
        "gave": f"gave {shown}{more}",
        "dropped": "dropped it",
        "kept": "kept it: it is in what came out later",
        "combined": "made one answer of all records, this one among them",
    }[step.fate.value] + lost


def _in_target(trace: RecordTrace, record: RunRecord) -> str:
    if trace.rejects:
        return "the target does not take it"
    if record.status is RunStatus.COMPLETED:
        return "the run has completed, so it is loaded"
    return "the run has not completed: it is loaded if its batch was committed"


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
