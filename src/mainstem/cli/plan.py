"""``mainstem plan``: what a run would do, without moving a record."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import Annotated

import anyio
from cyclopts import Parameter

from mainstem.cli.doctor_store import store_findings
from mainstem.cli.escape import plain_console
from mainstem.cli.exit_code import ExitCode
from mainstem.cli.finding import Finding
from mainstem.cli.parameters import Json, Settings, Store, TargetName, Traceback
from mainstem.cli.pipelines import Made, guarded_target
from mainstem.cli.plan_report import print_plan
from mainstem.cli.stores import store_file
from mainstem.plan.data import PipelinePlan
from mainstem.plan.planning import plan_pipeline

PLAN_HELP = """\
Say what a run would do: its stages with their kinds and types, what streams and what is held in memory, where records \
come from and go to, whether those places can be reached with the credentials given, what each sink promises, and what \
would change in the tables. No record is moved, and nothing is changed.

The exit code is 1 if something would keep the run from reading or loading its records.
"""
PLAN_EPILOGUE = """\
Examples:
  mainstem plan flows.py:daily
  mainstem plan shop.flows:imports --set day=2026-03-01 --store runs.db
  mainstem plan flows.py:daily --json
"""


def plan(
    target: TargetName,
    /,
    *,
    settings: Settings = (),
    check: Annotated[
        bool, Parameter(negative="--no-check", help="Look at the places that the pipeline reads and writes.")
    ] = True,
    store: Store = None,
    as_json: Annotated[Json, Parameter(name="--json")] = False,
    traceback: Traceback = False,
) -> int:
    with redirect_stdout(sys.stderr):  # what the pipeline's code prints is no part of the plan
        made, findings = _plan(target, settings, store, check=check, traceback=traceback)
    broken = bool(made.problems) or any(each.level == "broken" for each in findings)
    if as_json:
        _write_json(made, findings)
    else:
        print_plan(plain_console(), made, findings)
    return ExitCode.FAILED if broken else ExitCode.COMPLETED


def _plan(
    target: str, settings: Sequence[str], store: str | None, *, check: bool, traceback: bool
) -> tuple[PipelinePlan, list[Finding]]:
    async def make(made: Made) -> PipelinePlan:
        return await plan_pipeline(await made.pipeline(), check=check)

    with guarded_target(target, traceback=traceback) as loaded:
        plan = anyio.run(make, loaded.make(settings))
    return plan, [] if store is None or not check else [*store_findings(store), *_shared(plan, store)]


def _shared(plan: PipelinePlan, store: str) -> Iterator[Finding]:
    """Find the sinks that a durable run could not load into with this store."""
    file = store_file(store)
    for sink in plan.sinks:
        if file is not None and sink.locked_file == str(file.resolve()):
            text = f"it is in the file of {sink.target}, and neither can be written while the other is: name another"
            yield Finding("store", "broken", text)


def _write_json(made: PipelinePlan, findings: Sequence[Finding]) -> None:
    document = {**made.to_dict(), "store": [asdict(each) for each in findings]}
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
