"""The commands and options of ``mainstem runs``."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from cyclopts import App, Parameter

from mainstem.cli.durability import DurableOptions
from mainstem.cli.parameters import (
    CommitEvery,
    Force,
    Guarantee,
    Json,
    JsonResult,
    Limit,
    MaxRejectRate,
    MaxRejects,
    PipelineName,
    Quiet,
    SettingsAnew,
    Store,
    Traceback,
    Workers,
)
from mainstem.cli.run import CommandOptions
from mainstem.cli.runs import list_runs, resume_run, show_run

_EPILOGUE = """\
Examples:
  mainstem runs list --status failed --status interrupted
  mainstem runs show 2026-03-01
  mainstem runs resume 2026-03-01
"""
_RESUME_HELP = """\
Go on with a run that was killed, failed or cancelled, as it was started.

TARGET and its settings are those that the store has of it: code is imported and run from there. The command that this \
comes to is shown first. Settings that were secret are not kept, and are to be given again with --set; other options \
are not kept either. Exit codes are those of mainstem run.
"""

RunId: TypeAlias = Annotated[str, Parameter(allow_leading_hyphen=True, help="The name of the run.")]


def make_runs_app() -> App:
    """Make the commands for runs."""
    app = App(
        name="runs",
        help="See which durable runs there are and where each stands, and go on with one.",
        help_format="plaintext",
        help_epilogue=_EPILOGUE,
    )
    app.command(_list, name="list", help="List runs, the latest first.")
    app.command(_show, name="show", help="Show all that is known of one run.")
    app.command(_resume, name="resume", help=_RESUME_HELP)
    return app


def _list(
    *,
    status: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            help="Those that are running, completed, failed, cancelled or interrupted (their process was killed). "
            "Repeat it for more.",
        ),
    ] = (),
    pipeline: PipelineName = None,
    limit: Limit = 50,
    store: Store = None,
    json: Json = False,
) -> int:
    return list_runs(store, pipeline=pipeline, states=status, limit=limit, as_json=json)


def _show(run: RunId, /, *, pipeline: PipelineName = None, store: Store = None, json: Json = False) -> int:
    return show_run(run, store, pipeline=pipeline, as_json=json)


def _resume(
    run: RunId,
    /,
    *,
    settings: SettingsAnew = (),
    pipeline: PipelineName = None,
    workers: Workers = None,
    store: Store = None,
    guarantee: Guarantee = None,
    commit_every: CommitEvery = None,
    max_rejects: MaxRejects = None,
    max_reject_rate: MaxRejectRate = None,
    force: Force = False,
    quiet: Quiet = False,
    json: JsonResult = False,
    traceback: Traceback = False,
) -> int:
    durability = DurableOptions(None, store, guarantee, commit_every, max_rejects, max_reject_rate, force)
    options = CommandOptions("", settings, workers, durability, quiet, json, traceback)
    return resume_run(run, options, pipeline=pipeline)
