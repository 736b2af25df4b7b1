"""The commands and options of ``mainstem``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter
from rich.text import Text

from mainstem import __version__
from mainstem.cli.doctor import doctor
from mainstem.cli.durability import DurableOptions
from mainstem.cli.escape import plain_console
from mainstem.cli.exit_code import ExitCode
from mainstem.cli.graph import GRAPH_EPILOGUE, GRAPH_HELP, graph
from mainstem.cli.new import new_project
from mainstem.cli.parameters import (
    CommitEvery,
    Force,
    Guarantee,
    Json,
    JsonResult,
    MaxRejectRate,
    MaxRejects,
    PipelineName,
    Quiet,
    SettingsAnew,
    Store,
    Traceback,
    Workers,
)
from mainstem.cli.pipelines import UserCodeError
from mainstem.cli.plan import PLAN_EPILOGUE, PLAN_HELP, plan
from mainstem.cli.preview import PREVIEW_EPILOGUE, PREVIEW_HELP, preview
from mainstem.cli.rejects_app import make_rejects_app
from mainstem.cli.report import print_message
from mainstem.cli.run import CommandOptions, run_target
from mainstem.cli.runs_app import make_runs_app
from mainstem.cli.ui_app import add_ui
from mainstem.cli.usage import UsageError
from mainstem.cli.why import WhyCommand, why
from mainstem.errors import GuaranteeError, MainstemError, PipelineChangedError, RunActiveError

_RUN_HELP = """\
Run a pipeline, and report what each stage did.

TARGET is module:attribute or path/to/file.py:attribute. The attribute is a Pipeline, or a function (async or not) \
that returns one; --set gives the function its arguments. The current directory and the file's own folder are \
importable.
"""
_RUN_EPILOGUE = """\
Examples:
  mainstem run flows.py:daily
  mainstem run shop.flows:imports --set day=2026-03-01 --set limit=500
  mainstem run flows.py:daily --workers 4
  mainstem run flows.py:daily --quiet --json > result.json
  mainstem run flows.py:daily --run-id 2026-03-01

With --run-id a run is durable: killed, failed or cancelled, the same command goes on where it was, and loads no record
twice. The same command after it has completed does nothing.

Exit codes:
  0    the run completed, perhaps with rejected records, or had completed before
  1    it failed, or the code of TARGET raised an error
  2    wrong usage
  3    the run cannot go on: the pipeline or its input changed (see --force), or its store is not that of the target
  4    somebody else works on the run
  130  ended by Ctrl-C
  143  ended by SIGTERM
"""


def make_app() -> App:
    """Make the command line."""
    app = App(
        name="mainstem",
        version=f"mainstem {__version__}",
        help="Composable, type-safe data pipelines.",
        help_format="plaintext",
    )
    app.command(run, help=_RUN_HELP, help_epilogue=_RUN_EPILOGUE)
    app.command(plan, help=PLAN_HELP, help_epilogue=PLAN_EPILOGUE)
    app.command(preview, help=PREVIEW_HELP, help_epilogue=PREVIEW_EPILOGUE)
    app.command(graph, help=GRAPH_HELP, help_epilogue=GRAPH_EPILOGUE)
    app.command(make_runs_app())
    app.command(make_rejects_app())
    app.command(_why, name="why", help=_WHY_HELP, help_epilogue=_WHY_EPILOGUE)
    add_ui(app)
    app.command(_doctor, name="doctor", help=_DOCTOR_HELP)
    app.command(_new, name="new", help=_NEW_HELP)
    return app


def run(
    target: Annotated[str, Parameter(help="What to run: module:attribute or path/to/file.py:attribute.")],
    /,
    *,
    settings: Annotated[
        tuple[str, ...],
        Parameter(
            name="--set",
            negative="",
            show_default=False,
            help="name=value: an argument of the function, converted to its annotated type. Repeat it for more, and "
            "for each item of a list.",
        ),
    ] = (),
    workers: Workers = None,
    run_id: Annotated[
        str | None,
        Parameter(show_default=False, help="The name of a durable run, which can be killed and started again."),
    ] = None,
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
    durability = DurableOptions(run_id, store, guarantee, commit_every, max_rejects, max_reject_rate, force)
    return run_target(CommandOptions(target, settings, workers, durability, quiet, json, traceback))


_WHY_HELP = """\
Say what became of one record of a run, stage by stage.

The source is read again. If the ledger does not tell, the record, and before stages that remember the ones before it, \
go through the stages once more, in memory and without the sink: the pipeline's functions are called again, with all \
that they do. TARGET and its settings are those that the store has of the run, unless they are given.
"""
_WHY_EPILOGUE = """\
Examples:
  mainstem why --run 2026-03-01 --position 1041
  mainstem why --run 2026-03-01 --key id=4711
"""


def _why(
    target: Annotated[
        str | None, Parameter(show_default=False, help="The pipeline; by default that of the run.")
    ] = None,
    /,
    *,
    run: Annotated[str, Parameter(allow_leading_hyphen=True, help="The name of the run.")],
    position: Annotated[
        int | None, Parameter(show_default=False, help="The record's index in the source, from 0.")
    ] = None,
    key: Annotated[
        str | None,
        Parameter(
            allow_leading_hyphen=True, show_default=False, help="FIELD=VALUE: the first record whose field reads so."
        ),
    ] = None,
    settings: SettingsAnew = (),
    pipeline: PipelineName = None,
    store: Store = None,
    json: Json = False,
    traceback: Traceback = False,
) -> int:
    return why(WhyCommand(target, settings, run, pipeline, position, key, store, json, traceback))


_DOCTOR_HELP = """\
Look at what durable runs stand on: Python, SQLite, optional packages, and the store. Nothing is changed.

The exit code is 1 if something is broken.
"""


def _doctor(*, store: Store = None, json: Json = False) -> int:
    return doctor(store, as_json=json)


_NEW_HELP = """\
Write a small project into a new folder: a pipeline, its tests, a README and a pyproject.toml.

It runs and passes its tests as it is. Nothing that is there is overwritten.
"""


def _new(name: Annotated[str, Parameter(help="The project's name, which the folder gets, too.")], /) -> int:
    return new_project(name)


def run_app(arguments: Sequence[str]) -> int:
    """Run the command line.

    Returns:
        The exit code.

    Raises:
        SystemExit: What the user's code raised.
        KeyboardInterrupt: If Ctrl-C was pressed outside a run.
    """
    app = make_app()
    try:
        code = app(list(arguments), exit_on_error=False, print_error=False, result_action="return_value")
    except (CycloptsError, UsageError) as error:
        print_message(plain_console(stderr=True), str(error), style="bold red")
        return ExitCode.WRONG_USAGE
    except UserCodeError as error:
        for line in str(error).splitlines():
            plain_console(stderr=True).print(Text(line), soft_wrap=True)
        return ExitCode.FAILED
    except MainstemError as error:
        print_message(plain_console(stderr=True), str(error), style="bold red")
        if isinstance(error, RunActiveError):
            return ExitCode.RUN_ACTIVE
        return ExitCode.REFUSED if isinstance(error, (PipelineChangedError, GuaranteeError)) else ExitCode.FAILED
    return code if isinstance(code, int) else 0
