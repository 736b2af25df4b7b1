"""``mainstem ui``: the page of runs and rejects."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from mainstem.cli.escape import plain_console, printable
from mainstem.cli.exit_code import ExitCode
from mainstem.cli.page_code import TargetCode
from mainstem.cli.pipelines import guarded_target
from mainstem.cli.stores import existing_store, open_store_of
from mainstem.cli.usage import UsageError
from mainstem.errors import missing_extra

if TYPE_CHECKING:
    from mainstem.store.sql_store import SqlStore
    from mainstem.web.access import Access
    from mainstem.web.addresses import Addresses
    from mainstem.web.app import PageOptions

TOKEN, READ_TOKEN = "MAINSTEM_UI_TOKEN", "MAINSTEM_UI_READ_TOKEN"


@dataclass(frozen=True, slots=True)
class UiCommand:
    """What ``mainstem ui`` was told."""

    targets: Sequence[str]
    store: str | None
    host: str
    port: int
    url: str | None
    token_file: Path | None
    read_token_file: Path | None
    secret_fields: Sequence[str]
    traceback: bool


def ui(command: UiCommand) -> int:
    """Serve the page until the process is told to end."""
    logging.getLogger("mainstem").addHandler(logging.NullHandler())
    if not 0 <= command.port <= 65535:
        raise UsageError(f"--port is a number up to 65535, or 0 for any that is free, not {command.port}")
    try:
        import jinja2
        import starlette
        import uvicorn
    except ImportError:
        raise UsageError(str(missing_extra("The page", "web"))) from None
    del jinja2, starlette, uvicorn
    with existing_store(command.store):
        pass  # a page of a store that is not there would make one
    with ExitStack() as stack:
        codes = [
            TargetCode(stack.enter_context(guarded_target(text, traceback=command.traceback)), text)
            for text in command.targets
        ]
        return _serve(command, codes)


def _serve(command: UiCommand, codes: Sequence[TargetCode]) -> int:
    from mainstem.web.app import Page, PageOptions
    from mainstem.web.serve import server_of

    listening = _listen(command.host, command.port)
    try:
        port: int = listening[0].getsockname()[1]
        access, is_new = _access(command, port)
        options = PageOptions(access, _addresses(command), codes, command.secret_fields)
        page = Page(lambda: _open(command.store), options)
        _announce(command, port, options, is_new=is_new)
        server_of(page, command.host, port).run(sockets=listening)
    finally:
        for each in listening:
            each.close()
    return ExitCode.COMPLETED


def _open(place: str | None) -> SqlStore:
    from mainstem.store.sql_store import SqlStore

    store = open_store_of(place)
    assert isinstance(store, SqlStore)  # there are no others that a path or URL leads to
    return store


def _listen(host: str, port: int) -> list[socket.socket]:
    """Listen at all addresses of a host.

    Raises:
        UsageError: If there is no such host, or somebody else listens there.
    """
    listening: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(found):
            each = socket.socket(family, kind, protocol)
            listening.append(each)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # Where any port will do, all have the one that the first was given.
            chosen = listening[0].getsockname()[1] if len(listening) > 1 else address[1]
            each.bind((address[0], chosen, *address[2:]))
            each.listen()  # from now on whoever opens the address that is printed waits, and is not refused
    except OSError as error:
        for each in listening:
            each.close()
        raise UsageError(f"cannot listen at {host}, port {port}: {error.strerror or error}") from None
    return listening


def _access(command: UiCommand, port: int) -> tuple[Access, bool]:
    """Return the tokens, and whether the first was made here.

    Raises:
        UsageError: If there is none, and the page could be reached from elsewhere; or one could be guessed.
    """
    from mainstem.web.access import Access, new_token
    from mainstem.web.addresses import is_loopback

    full = _token(command.token_file, TOKEN)
    if full is None and not (is_loopback(command.host) and command.url is None):
        raise UsageError(
            f"a page that can be reached from elsewhere needs a token of yours: --token-file, or {TOKEN} in the "
            "environment"
        )
    read = _token(command.read_token_file, READ_TOKEN)
    if read is not None and read == full:
        raise UsageError("the token for looking is the same as the other: give another one")
    return Access(full or new_token(), read, cookie=f"mainstem-{port}"), full is None


def _token(file: Path | None, variable: str) -> str | None:
    """Return a token from a file, or else from the environment: the arguments of a process are seen by all."""
    from mainstem.web.access import checked_token

    try:
        if file is not None:
            return checked_token(file.read_text(encoding="utf-8").strip(), f"in {file}")
        given = os.environ.get(variable)
        return None if given is None else checked_token(given.strip(), f"in {variable}")
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from None


def _addresses(command: UiCommand) -> Addresses:
    from mainstem.web.addresses import Addresses

    try:
        return Addresses.of(command.host, command.url)
    except ValueError as error:
        raise UsageError(f"--url: {error}") from None


def _announce(command: UiCommand, port: int, options: PageOptions, *, is_new: bool) -> None:
    host = f"[{command.host.strip('[]')}]" if ":" in command.host else command.host
    address = command.url or f"http://{host}:{port}"
    console = plain_console()
    token = f"/?token={options.access.full}" if is_new else "/"
    console.print(Text(f"the page is at {printable(address.rstrip('/'))}{token}"), soft_wrap=True)
    if not is_new:
        console.print(Text("it asks for the token that was given"))
    if not command.targets:
        console.print(Text("without a TARGET, rejects can be edited, and not replayed", style="dim"))
    console.file.flush()
