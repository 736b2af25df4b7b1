"""Connections by way of SQLAlchemy, and what their errors mean: of the data, the connection, or the request."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mainstem.errors import ConnectError, ConnectionLostError, missing_extra
from mainstem.postgres import Fault
from mainstem.secrets import redact_url

if TYPE_CHECKING:
    import sqlalchemy
    from sqlalchemy.exc import DBAPIError

KNOWN = "sqlite:///file.db, postgresql://, mysql+pymysql://, mariadb+pymysql:// and duckdb:///file.duckdb"
"""The URLs that are tested, for error messages."""

_LOST = frozenset(
    (
        1040,  # too many connections
        1053,  # the server shuts down
        1152,  # the connection was aborted
        1158,  # a packet could not be read
        1159,
        1160,
        1161,
        1205,  # a lock was not to be had in time
        1213,  # a deadlock, for which this transaction was rolled back
        1290,  # read-only: a standby took over, or will
        1317,  # cancelled, by an operator
        1836,  # read-only
        1927,  # killed, by an operator
        2002,
        2003,  # the server is not there
        2006,
        2013,  # the server went away
        3024,  # took too long
        3168,
        4031,  # idle for too long
    )
)
_OF_A_RECORD = frozenset((1292, 1366, 1367, 1411, 1416, 1690, 3140, 3819, 4025))
"""Values that a column cannot hold, and CHECK constraints, where the driver's class of the error does not say so."""
_ADVICE = {
    1044: "permission denied: grant the right to the user, or take another user",
    1045: "check the user and the password",
    1049: "there is no such database: create it, or check the name",
    1142: "permission denied: grant the right to the user, or take another user",
    1021: "the server's disk is full: make room; nothing of this batch was stored",
    1114: "the server's disk is full: make room; nothing of this batch was stored",
    1698: "check the user and the password",
}


def import_sqlalchemy(purpose: str) -> Any:
    """Import SQLAlchemy.

    Raises:
        MissingExtraError: If ``mainstem[sql]`` is not installed.
    """
    try:
        import sqlalchemy
    except ImportError:
        raise missing_extra(purpose, "sql") from None
    return sqlalchemy


def check_url(url: str, purpose: str) -> str:
    """Check that SQLAlchemy knows a URL's database and that its driver is installed, and return the database's name.

    Raises:
        ConnectError: If it is no URL, or of another database; it is not quoted then, for it may hold a password.
        MissingExtraError: If ``mainstem[sql]`` is not installed.
    """
    sqlalchemy = import_sqlalchemy(purpose)
    scheme = url.partition("://")[0]
    try:
        made = sqlalchemy.make_url(url)
        dialect = made.get_dialect()
    except sqlalchemy.exc.NoSuchModuleError:
        raise ConnectError(f"databases of the scheme {scheme!r:.60} are not supported: supported are {KNOWN}") from None
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise ConnectError(
            f"a database is named by a URL, and this is none that can be read: supported are {KNOWN}"
        ) from None
    try:
        dialect.import_dbapi()
    except ImportError as error:
        raise ConnectError(
            f"{scheme}: its driver is not installed ({error.name or error}): install it, or name another in the URL; "
            f"supported are {KNOWN}"
        ) from None
    name: str = dialect.name
    return name


def quoting_of(url: str) -> Callable[[str], str]:
    """Return what makes an identifier of a name, in the database of a URL.

    Raises:
        ConnectError: If it is no URL, or of another database.
        MissingExtraError: If ``mainstem[sql]`` is not installed.
    """
    check_url(url, "Reading from databases")
    import sqlalchemy

    dialect: Any = sqlalchemy.make_url(url).get_dialect()
    quote: Callable[[str], str] = dialect().identifier_preparer.quote_identifier
    return quote


def open_connection(url: str, connect_args: Mapping[str, Any]) -> sqlalchemy.Connection:
    """Connect to a database; its connection is closed for good when the caller closes it.

    Args:
        url: The database.
        connect_args: What the driver is given besides.

    Raises:
        ConnectionLostError: If the server is not there, or takes no connections now.
        ConnectError: If it refuses.
    """
    import sqlalchemy
    from sqlalchemy.pool import NullPool

    with sqlalchemy_errors(url):
        engine = sqlalchemy.create_engine(url, poolclass=NullPool, connect_args=dict(connect_args))
        return engine.connect()


def fault_of(error: DBAPIError) -> Fault:
    """Say whose fault an error is, by the driver's number for it and its class."""
    from sqlalchemy import exc

    number = number_of(error)
    if error.connection_invalidated or number in _LOST:
        return Fault.CONNECTION
    if isinstance(error, (exc.DataError, exc.IntegrityError)) or number in _OF_A_RECORD:
        return Fault.DATA
    if _is_signal(number):
        return Fault.DATA
    return Fault.REQUEST


def _is_signal(number: int | None) -> bool:
    """Say whether a trigger of the user's refused a row with SIGNAL."""
    return number == 1644


def number_of(error: DBAPIError) -> int | None:
    """Return the number of the driver's error, where it has one."""
    arguments = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


@contextmanager
def sqlalchemy_errors(url: str, *, data: bool = False) -> Generator[None]:
    """Turn errors into mainstem's, which say what to do.

    Args:
        url: The database.
        data: Whether errors of the data pass through, as they are.

    Raises:
        ConnectionLostError: If the same may succeed later.
        ConnectError: If what was asked for cannot be done.
    """
    from sqlalchemy import exc

    try:
        yield
    except exc.DBAPIError as error:
        fault = fault_of(error)
        if data and fault is Fault.DATA:
            raise
        kind = ConnectionLostError if fault is Fault.CONNECTION else ConnectError
        advice = _ADVICE.get(number_of(error) or 0, "")
        raise kind(f"{redact_url(url)}: {reason_of(error)}{f': {advice}' if advice else ''}") from error
    except exc.SQLAlchemyError as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConnectError(f"{redact_url(url)}: {first}") from error


def reason_of(error: DBAPIError) -> str:
    """Return what the driver says, without the statement, which SQLAlchemy adds together with its values."""
    arguments: tuple[Any, ...] = getattr(error.orig, "args", ())
    text = str(arguments[1]) if len(arguments) > 1 else str(error.orig)
    return (text.strip().splitlines() or [type(error.orig).__name__])[0]
