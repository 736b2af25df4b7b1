"""Connections to PostgreSQL, and what its errors mean: of the data, of the connection, or of what was asked."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any

from mainstem.errors import ConnectError, ConnectionLostError, missing_extra
from mainstem.secrets import redact_url

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = 10
_KEEPALIVES = {"keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}


class Fault(Enum):
    """Whose fault an error of the database is."""

    DATA = "data"
    """A record's: the same record will fail again, and others may not."""
    CONNECTION = "connection"
    """Nobody's: the same may succeed later."""
    REQUEST = "request"
    """What was asked for cannot be done."""


_DATA_CLASSES = ("22", "23", "44")
_LOST_CLASSES = ("08", "40", "53", "58", "XX")
_LOST = frozenset(
    (
        "25006",  # read-only: a standby took over, or will
        "25P03",  # idle in a transaction for too long
        "55P03",  # a lock was not to be had in time
        "57014",  # cancelled, by an operator or a time limit
        "57P01",  # ended by an operator
        "57P02",  # a crash of another session
        "57P03",  # starting up, or shutting down
        "57P05",
    )
)
_FOR_GOOD = frozenset(("53100", "53400"))  # the disk is full; a limit of its configuration
_OF_A_RECORD = frozenset(("42804", "54000", "P0001"))  # a wrong type; too large; raised by a trigger
_ADVICE = {
    "28": "check the user and the password",
    "3D": "there is no such database: create it, or check the name",
    "42501": "permission denied: grant the right to the user, or take another user",
    "3F": "there is no such schema: create it",
    "53100": "the server's disk is full: make room; nothing of this batch was stored",
}


def fault_of(error: psycopg.Error) -> Fault:
    """Say whose fault an error is, by its SQLSTATE; one that has none is of the connection."""
    import psycopg

    state = error.sqlstate
    if state is None:
        return Fault.CONNECTION if isinstance(error, psycopg.OperationalError) else Fault.REQUEST
    if state in _OF_A_RECORD or state[:2] in _DATA_CLASSES:
        return Fault.DATA
    if state in _FOR_GOOD:
        return Fault.REQUEST
    if state in _LOST or state[:2] in _LOST_CLASSES:
        return Fault.CONNECTION
    return Fault.REQUEST


def open_connection(url: str, **options: Any) -> psycopg.Connection[Any]:
    """Connect to a database; a server that is not there is noticed within seconds, as is one that goes away.

    Args:
        url: ``postgresql://user:password@host:port/database``.
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
    settings = {"connect_timeout": CONNECT_SECONDS, "application_name": "mainstem", **_KEEPALIVES, **options}
    with postgres_errors(url):
        try:
            return psycopg.connect(url, **settings)
        except psycopg.OperationalError as error:
            refused = _refusal(error)
            if refused is not None:
                raise ConnectError(f"{redact_url(url)}: {refused}") from error
            raise


def _refusal(error: psycopg.OperationalError) -> str | None:
    """Say why a server refused a connection; ``None`` if it did not: libpq tells it in words only, not by SQLSTATE."""
    text = str(error)
    for words, advice in (
        ("authentication failed", _ADVICE["28"]),
        ("no password supplied", _ADVICE["28"]),
        ("no pg_hba.conf entry", _ADVICE["28"]),
        ("role ", _ADVICE["28"]),
        ("database ", _ADVICE["3D"]),
        ("could not translate host name", "check the name of the host"),
        ("invalid ", "check the URL"),
    ):
        if words in text and (words not in ("role ", "database ") or "does not exist" in text):
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
