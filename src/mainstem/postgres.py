"""Connections to PostgreSQL, and what its errors mean: of the data, of the connection, or of what was asked."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any

from mainstem.errors import ConnectError, ConnectionLostError, missing_extra
from mainstem.secrets import redact_url

if TYPE_CHECKING:
    import psycopg

_DEFAULTS = {
    "fallback_application_name": "mainstem",
    "connect_timeout": 10,
    # A server that goes away without a word is noticed within 25 seconds: by probes while we wait for an answer, and by
    # the missing receipt of what we sent.
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}


class Fault(Enum):
    """Whose fault an error of the database is."""

    DATA = "data"
    """A record's: the same record will fail again, and others may not."""
    CONNECTION = "connection"
    """Nobody's: the same may succeed later."""
    REQUEST = "request"
    """What was asked for cannot be done."""


_DATA_CLASSES = frozenset(("09", "22", "23", "27", "38", "44", "P0"))  # of values, constraints, triggers, PL/pgSQL
_LOST_CLASSES = frozenset(("08", "40", "53", "58", "XX"))
_REQUEST_CLASSES = re.compile(r"0[0123ABFLPZ]|10|2[014568BDF]|3[49BDF]|42|5[457]|72|F0|HV")
_LOST = frozenset(
    (
        "25006",  # read-only: a standby took over, or will
        "25P03",  # idle in a transaction for too long
        "25P04",  # a transaction that took too long
        "55P03",  # a lock was not to be had in time
        "57014",  # cancelled, by an operator or a time limit
        "57P01",  # ended by an operator
        "57P02",  # a crash of another session
        "57P03",  # starting up, or shutting down
        "57P05",  # idle for too long
    )
)
_FOR_GOOD = frozenset(("53100", "53400"))  # the disk is full; a limit of its configuration
_OF_A_RECORD = frozenset(("42804", "54000", "54001"))  # a wrong type; too large; nested too deep
_CREDENTIALS = "check the user and the password"
_RIGHTS = "permission denied: grant the right to the user, or take another user"
_DATABASE = "there is no such database: create it, or check the name"
_ENCRYPTION = "check sslmode and the certificates"
_ADVICE = {
    "28": _CREDENTIALS,
    "3D": _DATABASE,
    "42501": _RIGHTS,
    "3F": "there is no such schema: create it",
    "53100": "the server's disk is full: make room; nothing of this batch was stored",
}
_REFUSALS = (
    (r"authentication failed|no password supplied|no pg_hba\.conf entry", _CREDENTIALS),
    (r"role .* does not exist|is not permitted to log in", _CREDENTIALS),
    (r"database .* does not exist", _DATABASE),
    (r"permission denied for database", _RIGHTS),
    (r"(?:failed to resolve|could not translate) host .*not known", "check the name of the host"),
    (r"does not support SSL|certificate", _ENCRYPTION),
    (r"unrecognized configuration parameter|invalid ", "check the URL"),
)
"""What servers and libpq say when to ask again is of no use."""
_HOW_TO_WRITE = (
    "it is postgresql://user:password@host:port/database; in a user and a password, the characters @ : / ? # % and "
    "spaces are written %40 %3A %2F %3F %23 %25 and %20"
)


def fault_of(error: psycopg.Error) -> Fault:
    """Say whose fault an error is, by its SQLSTATE; one that has none is of the connection."""
    import psycopg

    state = error.sqlstate
    if state is None:
        return Fault.CONNECTION if isinstance(error, psycopg.OperationalError) else Fault.REQUEST
    kind = state[:2]
    if state in _OF_A_RECORD or kind in _DATA_CLASSES:
        return Fault.DATA
    if state in _FOR_GOOD:
        return Fault.REQUEST
    if state in _LOST or kind in _LOST_CLASSES:
        return Fault.CONNECTION
    # PostgreSQL has no other classes: a trigger of the user's raised it, with a code of its own.
    return Fault.REQUEST if _REQUEST_CLASSES.fullmatch(kind) else Fault.DATA


def open_connection(url: str, **options: Any) -> psycopg.Connection[Any]:
    """Connect to a database; a server that is not there is noticed within seconds, as is one that goes away.

    Args:
        url: ``postgresql://user:password@host:port/database``; what else libpq knows may follow as ``?name=value``, and
            counts more than what is set here.
        options: Further ones of ``psycopg.connect``.

    Raises:
        ConnectionLostError: If the server is not there, or takes no connections now.
        ConnectError: If it refuses, or the URL is none.
        MissingExtraError: If ``mainstem[postgres]`` is not installed.
    """
    try:
        import psycopg
    except ImportError:
        raise missing_extra("PostgreSQL", "postgres") from None
    given = url_settings(url)
    settings: dict[str, Any] = {name: value for name, value in _DEFAULTS.items() if name not in given}
    with postgres_errors(url):
        try:
            return psycopg.connect(url, **(settings | options))
        except psycopg.OperationalError as error:
            refused = _refusal(error)
            if refused is not None:
                raise ConnectError(f"{redact_url(url)}: {refused}") from error
            raise


def with_defaults(url: str) -> str:
    """Return what libpq is to be given for a URL by others than psycopg: the URL's settings, and ours.

    Raises:
        ConnectError: If it is none.
    """
    from psycopg.conninfo import make_conninfo

    given = url_settings(url)
    return make_conninfo("", **{**_DEFAULTS, **given})


def url_settings(url: str) -> dict[str, Any]:
    """Return what a URL says, as libpq reads it.

    Raises:
        ConnectError: If it is none. It is not quoted then: nobody knows which part of it is the password.
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    scheme, _, rest = url.partition("://")
    if scheme not in ("postgresql", "postgres"):
        raise ConnectError(f"that is no URL of a PostgreSQL database: {_HOW_TO_WRITE}")
    authority, _, after = rest.partition("/")
    credentials = authority.rpartition("@")[0]
    if "@" in after.partition("?")[0] or re.search(r"[@#?\s]", credentials):  # of which libpq takes some
        raise ConnectError(f"the URL of the database cannot be read: {_HOW_TO_WRITE}")
    try:
        settings: dict[str, Any] = conninfo_to_dict(url)
    except ProgrammingError as error:
        raise ConnectError(f"the URL of the database cannot be read{_quote(error, url)}: {_HOW_TO_WRITE}") from None
    if not re.fullmatch(r"[\d,]*", str(settings.get("port", ""))):
        raise ConnectError(f"the URL of the database cannot be read, the port is no number: {_HOW_TO_WRITE}")
    return settings


def _quote(error: BaseException, url: str) -> str:
    """Return what libpq says of a URL, if it quotes no part of a password: that stands before the last ``@``."""
    text = _first_line(error)
    quoted = re.findall(r'"([^"]*)"', text)
    after = url.rpartition("@")[2]
    return f", {text}" if quoted and all(each in after for each in quoted) else ""


def _refusal(error: psycopg.OperationalError) -> str | None:
    """Say why a server refused a connection; ``None`` if it did not: libpq tells it in words only, not by SQLSTATE."""
    text = str(error)
    for words, advice in _REFUSALS:
        if re.search(words, text):
            return f"{_first_line(error)}: {advice}"
    return None


@contextmanager
def postgres_errors(url: str) -> Generator[None]:
    """Turn the errors of the database that are no record's into mainstem's, which say what to do.

    Raises:
        ConnectionLostError: If the same may succeed later.
        ConnectError: If what was asked for cannot be done.
        psycopg.Error: One of the data, as it is.
    """
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        fault = fault_of(error)
        if fault is Fault.DATA:
            raise
        raise connect_error(url, error, fault) from error
    except psycopg.Warning as warning:
        raise ConnectError(f"{redact_url(url)}: {_first_line(warning)}") from warning


def connect_error(url: str, error: psycopg.Error, fault: Fault) -> ConnectError:
    """Return the error that says what happened, and what to do."""
    state = error.sqlstate or ""
    kind = ConnectionLostError if fault is Fault.CONNECTION else ConnectError
    advice = _ADVICE.get(state) or _ADVICE.get(state[:2], "")
    return kind(f"{redact_url(url)}: {_first_line(error)}{f': {advice}' if advice else ''}")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
