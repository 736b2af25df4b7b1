"""The commands and options of ``mainstem runs``."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

from mainstem.cli.durability import DurableOptions
from mainstem.cli.rejects_app import Json, Store
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

RunId = Annotated[str, Parameter(allow_leading_hyphen=True, help="The name of the run.")]
PipelineName = Annotated[
    str | None,
    Parameter(name="--pipeline", allow_leading_hyphen=True, show_default=False, help="The name of its pipeline."),
]


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
    limit: Annotated[int, Parameter(help="How many to show at most.")] = 50,
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
    settings: Annotated[
        tuple[str, ...],
        Parameter(
            name="--set",
            negative="",
            show_default=False,
            help="name=value: a setting, in the place of the one that is kept. Repeat it for more.",
        ),
    ] = (),
    pipeline: PipelineName = None,
    store: Store = None,
    workers: Annotated[
        int | None, Parameter(show_default=False, help="How many worker processes may share the work.")
    ] = None,
    guarantee: Annotated[
        Literal["exactly-once", "at-least-once"] | None,
        Parameter(show_default=False, help="What the sink must promise."),
    ] = None,
    commit_every: Annotated[
        str | None, Parameter(show_default=False, help="When a batch is committed: so many records, or so long.")
    ] = None,
    max_rejects: Annotated[
        int | None, Parameter(show_default=False, help="Stop at the first rejected record beyond so many.")
    ] = None,
    max_reject_rate: Annotated[
        float | None, Parameter(show_default=False, help="Stop when more than this share of the records is rejected.")
    ] = None,
    force: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Go on though the pipeline or its input changed."),
    ] = False,
    quiet: Annotated[
        bool, Parameter(negative="", show_default=False, help="Show only what was rejected and what failed.")
    ] = False,
    json: Annotated[
        bool, Parameter(negative="", show_default=False, help="Write the result to stdout as one JSON document.")
    ] = False,
    traceback: Annotated[bool, Parameter(negative="", show_default=False, help="Show tracebacks in full.")] = False,
) -> int:
    durability = DurableOptions(None, store, guarantee, commit_every, max_rejects, max_reject_rate, force)
    options = CommandOptions("", settings, workers, durability, quiet, json, traceback)
    return resume_run(run, options, pipeline=pipeline)
