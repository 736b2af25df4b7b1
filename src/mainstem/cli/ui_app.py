"""The options of ``mainstem ui``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from mainstem.cli.parameters import Store, Traceback
from mainstem.cli.ui import UiCommand, ui

_HELP = """\
Show runs and rejects in a browser: look, edit, approve, discard and replay.

TARGET is as for mainstem run, and may be given several times: only the code of these is loaded, when the page is \
started, and only their rejects can be replayed there. The page is reached from this machine only, and with a token, \
which is in the address that is printed.
"""
_EPILOGUE = """\
Examples:
  mainstem ui
  mainstem ui flows.py:daily --store postgresql://db/pipelines
  MAINSTEM_UI_TOKEN=... mainstem ui flows.py:daily --host 0.0.0.0 --url https://pipelines.example.org

A token is 22 characters or more, from a file or the environment: MAINSTEM_UI_TOKEN for everything, \
MAINSTEM_UI_READ_TOKEN for looking only. Programs send it as Authorization: Bearer TOKEN.
"""


def add_ui(app: App) -> None:
    """Add the command."""
    app.command(_ui, name="ui", help=_HELP, help_epilogue=_EPILOGUE)


def _ui(
    *targets: Annotated[str, Parameter(help="Pipelines whose rejects can be replayed: module:attribute or file.py:x.")],
    store: Store = None,
    host: Annotated[str, Parameter(help="Where to listen; anything but this machine needs a token of yours.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, Parameter(help="The port; 0 for any that is free.")] = 8642,
    url: Annotated[
        str | None,
        Parameter(show_default=False, help="The address at which people reach it, if it is behind a proxy."),
    ] = None,
    token_file: Annotated[
        Path | None, Parameter(show_default=False, help="A file with the token; else MAINSTEM_UI_TOKEN, or a new one.")
    ] = None,
    read_token_file: Annotated[
        Path | None,
        Parameter(show_default=False, help="A file with the token for looking only; else MAINSTEM_UI_READ_TOKEN."),
    ] = None,
    secret_field: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            help="A field that is not to be shown, beside those that record types mark. Repeat it for more.",
        ),
    ] = (),
    traceback: Traceback = False,
) -> int:
    return ui(UiCommand(targets, store, host, port, url, token_file, read_token_file, secret_field, traceback))
