"""``mainstem preview``: what the first records would do, without writing any."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import Annotated, Any

import anyio
from cyclopts import Parameter

from mainstem.cli.escape import plain_console
from mainstem.cli.exit_code import ExitCode
from mainstem.cli.outcome import Outcome
from mainstem.cli.parameters import Json, Settings, TargetName, Traceback
from mainstem.cli.pipelines import Made, guarded_target
from mainstem.cli.preview_report import print_preview, write_json
from mainstem.cli.report import print_error
from mainstem.cli.stores import existing_store
from mainstem.cli.target import require_no_input
from mainstem.cli.usage import UsageError
from mainstem.endpoints import Position
from mainstem.plan.preview import PREVIEWED, Preview
from mainstem.plan.preview import preview as preview_pipeline
from mainstem.store.model import RunStatus

PREVIEW_HELP = """\
Run the pipeline's own code on the first records of its real input, and compare what comes out with the targets in the \
place of loading it. Nothing is written, no state advances, and no message of a broker is acknowledged. What the \
pipeline's functions do themselves, they do.

Tables of SQLite and PostgreSQL are compared by their keys; of other targets the records are counted. The exit code \
is 1 if the run would fail.
"""
PREVIEW_EPILOGUE = """\
Examples:
  mainstem preview flows.py:daily
  mainstem preview flows.py:daily -n 1000 --json
"""


def preview(
    target: TargetName,
    /,
    *,
    number: Annotated[int, Parameter(name=["-n", "--number"], help="How many records to read.")] = PREVIEWED,
    settings: Settings = (),
    store: Annotated[
        str | None,
        Parameter(
            show_default=False,
            help="Where durable runs are kept: a source that reads only what is new then begins where the last "
            "completed run of the pipeline ended.",
        ),
    ] = None,
    as_json: Annotated[Json, Parameter(name="--json")] = False,
    traceback: Traceback = False,
) -> int:
    if number < 1:
        raise UsageError(f"-n is how many records to read, at least 1, not {number}")
    outcome = Outcome()
    # What the pipeline's code prints is no part of the preview.
    with redirect_stdout(sys.stderr), guarded_target(target, traceback=traceback) as loaded:
        outcome.own_code = loaded.own_code
        found: Preview = anyio.run(_preview, loaded.make(settings), outcome, number, store)
    result: Any = found.result
    outcome.result, outcome.error = result, result.error
    outcome.status = "completed" if result.success else "failed"
    if as_json:
        write_json(found, outcome)
    else:
        print_preview(plain_console(), found, outcome)
        print_error(plain_console(stderr=True), outcome, everything=traceback)
    return ExitCode.COMPLETED if result.success else ExitCode.FAILED


async def _preview(made: Made, outcome: Outcome, number: int, store: str | None) -> Preview:
    outcome.pipeline = pipeline = await made.pipeline()
    require_no_input(pipeline)
    previous = None if store is None else _last_position(store, pipeline.name)
    return await preview_pipeline(pipeline, count=number, previous=previous, context=outcome.context)


def _last_position(place: str, pipeline: str) -> Position | None:
    """Return where the last completed run of a pipeline ended.

    Raises:
        StoreError: If there is no such store.
    """
    with existing_store(place) as store:
        completed = store.runs(pipeline=pipeline, status=RunStatus.COMPLETED, limit=1)
        checkpoint = store.last_checkpoint(completed[0].run) if completed else None
    return None if checkpoint is None else checkpoint.position
