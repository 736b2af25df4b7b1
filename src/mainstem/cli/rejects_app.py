"""The commands and options of ``mainstem rejects``."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from cyclopts import App, Parameter

from mainstem.cli.parameters import By, Json, Limit, SettingsAnew, Store, Traceback
from mainstem.cli.reject_edit import edit_reject
from mainstem.cli.reject_filter import Which
from mainstem.cli.reject_replay import ReplayCommand, replay
from mainstem.cli.rejects import change_rejects, export, list_rejects, show_reject

_EPILOGUE = """\
Examples:
  mainstem rejects list --run 2026-03-01 --state open
  mainstem rejects show 17
  mainstem rejects edit 17 --set amount=12.50
  mainstem rejects approve 17
  mainstem rejects discard --run 2026-03-01 --code validation
  mainstem rejects export --run 2026-03-01 --format csv --output rejects.csv
  mainstem rejects replay --run 2026-03-01
"""

Number: TypeAlias = Annotated[str, Parameter(help="The number of the reject.")]
Numbers: TypeAlias = Annotated[str, Parameter(help="The numbers of the rejects, such as 3 5 or 10-20.")]


def make_rejects_app() -> App:
    """Make the commands for rejects."""
    app = App(
        name="rejects",
        help="Look at the records that durable runs rejected, mend them, and decide on them.",
        help_format="plaintext",
        help_epilogue=_EPILOGUE,
    )
    app.command(_list, name="list", help="List rejects.")
    app.command(_show, name="show", help="Show all that is known of one reject.")
    app.command(_edit, name="edit", help=_EDIT_HELP)
    app.command(_approve, name="approve", help="Say of rejects that they may be replayed.")
    app.command(_discard, name="discard", help="Say of rejects that they are not wanted; they stay in the ledger.")
    app.command(_reopen, name="reopen", help="Take back that rejects are approved or discarded.")
    app.command(_export, name="export", help="Write rejects into a file, or to stdout.")
    app.command(_replay, name="replay", help=_REPLAY_HELP)
    return app


def _list(
    *,
    which: Which | None = None,
    store: Store = None,
    limit: Limit = 50,
    json: Json = False,
) -> int:
    return list_rejects(which or Which(), store, limit=limit, as_json=json)


def _show(number: Number, /, *, store: Store = None, json: Json = False) -> int:
    return show_reject(number, store, as_json=json)


_EDIT_HELP = """\
Mend the record of a reject.

With neither --set nor --record, it is opened as JSON in the editor that VISUAL or EDITOR names. It has to be approved \
then before it is replayed.
"""


def _edit(
    number: Number,
    /,
    *,
    settings: Annotated[
        tuple[str, ...],
        Parameter(
            name="--set",
            negative="",
            allow_leading_hyphen=True,
            show_default=False,
            help="field=value: read as the type that the field has; where it had none, as JSON or else as text. "
            "Repeat it for more.",
        ),
    ] = (),
    record: Annotated[
        str | None,
        Parameter(
            allow_leading_hyphen=True,
            show_default=False,
            help="The whole record as JSON; of one with named fields, an object of those that change.",
        ),
    ] = None,
    target: Annotated[
        str | None,
        Parameter(
            show_default=False,
            help="module:attribute or path/to/file.py:attribute: a pipeline whose module is loaded, if the record is "
            "of a class of its own.",
        ),
    ] = None,
    store: Store = None,
    by: By = None,
    traceback: Traceback = False,
) -> int:
    return edit_reject(number, settings, record, target=target, store=store, by=by, traceback=traceback)


def _approve(*numbers: Numbers, which: Which | None = None, store: Store = None, by: By = None) -> int:
    return change_rejects("approve", numbers, which or Which(), store, by)


def _discard(*numbers: Numbers, which: Which | None = None, store: Store = None, by: By = None) -> int:
    return change_rejects("discard", numbers, which or Which(), store, by)


def _reopen(*numbers: Numbers, which: Which | None = None, store: Store = None, by: By = None) -> int:
    return change_rejects("reopen", numbers, which or Which(), store, by)


def _export(
    *,
    which: Which | None = None,
    form: Annotated[
        Literal["jsonl", "json", "csv"],
        Parameter(name="--format", help="An object on each line, an array of them, or a table."),
    ] = "jsonl",
    output: Annotated[
        str | None, Parameter(allow_leading_hyphen=True, show_default=False, help="The file; stdout by default.")
    ] = None,
    raw_cells: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Leave cells of CSV as they are, which a spreadsheet would take for formulas.",
        ),
    ] = False,
    store: Store = None,
) -> int:
    return export(which or Which(), store, form=form, output=output, escape_formulas=not raw_cells)


_REPLAY_HELP = """\
Let the approved rejects of a run go through the rest of its pipeline, and load what comes out.

Each is loaded once, however often this is done, if the sink keeps batch numbers. TARGET and its settings are those \
that the store has of the run, unless they are given: code is imported and run from there. --state open replays \
those that nobody has approved, with the pipeline as it is now.

The exit code is 1 if some failed again or could not be replayed, and else as of mainstem run.
"""


def _replay(
    target: Annotated[
        str | None, Parameter(show_default=False, help="The pipeline, mended perhaps; by default that of the run.")
    ] = None,
    /,
    *,
    which: Which | None = None,
    settings: SettingsAnew = (),
    force: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Replay though the pipeline is not as the run began with it."),
    ] = False,
    store: Store = None,
    traceback: Traceback = False,
) -> int:
    return replay(ReplayCommand(target, settings, which or Which(), store, force, traceback))
