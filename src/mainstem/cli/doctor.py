"""``mainstem doctor``: whether what durable runs stand on is in order."""

from __future__ import annotations

import json
import platform
import re
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec

from rich.text import Text

from mainstem import __version__
from mainstem.cli.doctor_store import store_findings
from mainstem.cli.escape import plain_console, printable
from mainstem.cli.exit_code import ExitCode
from mainstem.cli.finding import Finding, Level
from mainstem.errors import describe_error

_STYLES: dict[Level, str] = {"ok": "green", "note": "dim", "warning": "bold yellow", "broken": "bold red"}

OLDEST_SQLITE = (3, 35, 0)
"""Has RETURNING, which the store uses."""
WAL_RESET_MENDED = (3, 51, 3)
_WAL_RESET_MENDED_IN = {(3, 44): 6, (3, 50): 7}
"""Older lines to which the fix was carried back, and in which release of them."""
_REQUIRED = re.compile(r"""([\w.-]+).*;.*\bextra == ['"]([^'"]+)['"]""")
"""A line of the package's own metadata: what is required, and by which extra."""


def doctor(store: str | None, *, as_json: bool) -> int:
    """Look at everything, and say what was found.

    Returns:
        1 if something is broken, else 0.
    """
    findings: list[Finding] = []
    console = plain_console()
    for each in (*_program_findings(), *store_findings(store)):
        findings.append(each)
        if not as_json:
            line = Text.assemble((f"{each.level:<8}", _STYLES[each.level]), f" {each.name}: {printable(each.text)}")
            console.print(line, soft_wrap=True)
    broken = sum(each.level == "broken" for each in findings)
    if as_json:
        document = {"broken": broken, "findings": [asdict(each) for each in findings]}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    elif broken:
        console.print(Text(f"{broken} broken", style="bold red"))
    return ExitCode.FAILED if broken else ExitCode.COMPLETED


def _program_findings() -> Iterator[Finding]:
    python = f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}"
    yield Finding("Python", "ok", python)  # on one that is too old, this could not be imported
    yield Finding("mainstem", "ok", __version__)
    yield sqlite_finding(sqlite3.sqlite_version_info, sqlite3.sqlite_version)
    for extra, packages in sorted(packages_of_extras(_requirements()).items()):
        yield extra_finding(extra, packages)


def sqlite_finding(number: tuple[int, ...], text: str) -> Finding:
    """Say what is known of a release of SQLite."""
    if number < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        return Finding("SQLite", "broken", f"{text} is too old: stores need {oldest} or later; update Python")
    if has_wal_reset_race(number):
        return Finding(
            "SQLite",
            "warning",
            f"{text} has the WAL-reset race (mended in 3.51.3, 3.50.7 and 3.44.6): a database in WAL mode may be "
            "damaged, rarely, if two connections write or checkpoint in the same instant. A store that one process "
            "uses at a time is safe; for several at once, use a newer SQLite or a store in PostgreSQL",
        )
    return Finding("SQLite", "ok", text)


def has_wal_reset_race(number: tuple[int, ...]) -> bool:
    """Say whether a release of SQLite has the race in which two connections that reset the log damage the database.

    Source: https://www.sqlite.org/wal.html#walresetbug, on 2026-03-13.
    """
    mended = _WAL_RESET_MENDED_IN.get((number[0], number[1]))
    return number < WAL_RESET_MENDED and not (mended is not None and number[2] >= mended)


def _requirements() -> Iterable[str]:
    try:
        return requires("mainstem") or ()
    except PackageNotFoundError:  # it is run from its source, and was never installed
        return ()


def packages_of_extras(requirements: Iterable[str]) -> dict[str, list[str]]:
    """Return the packages of each extra, by the names with which they are imported."""
    extras: dict[str, list[str]] = {}
    for requirement in requirements:
        parts = _REQUIRED.match(requirement)
        if parts is not None and parts[2] != "all":  # that has nothing of its own
            extras.setdefault(parts[2], []).append(parts[1].replace("-", "_"))
    return extras


def extra_finding(extra: str, packages: Sequence[str]) -> Finding:
    """Look at an optional dependency: whether it is there, and can be imported."""
    name = f"mainstem[{extra}]"
    missing = [each for each in packages if find_spec(each) is None]
    if missing:
        return Finding(name, "note", f"not installed ({', '.join(missing)}): pip install 'mainstem[{extra}]'")
    found: list[str] = []
    for package in packages:
        try:
            import_module(package)
        except Exception as error:  # whatever a package raises when it is imported
            again = f"pip install --force-reinstall {package}"
            return Finding(name, "broken", f"{package} cannot be imported: {describe_error(error)}: {again}")
        found.append(f"{package} {_version_of(package)}")
    return Finding(name, "ok", ", ".join(found))


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(of unknown version)"
