"""Sessions of MariaDB and MySQL, in which nothing is stored that was not asked for, and moments are in UTC."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta, timezone
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mainstem.connect.sqlalchemy_engine import open_connection, sqlalchemy_errors

if TYPE_CHECKING:
    import sqlalchemy

_TIMESTAMP, _TIME = 7, 11  # numbers of types in the protocol
_MODE = (
    "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,"
    "NO_AUTO_VALUE_ON_ZERO,ANSI_QUOTES"
)
"""Refuse rather than change; a 0 is a 0 for AUTO_INCREMENT too; and names stand in the quotes of other databases."""
_SETTINGS = (
    f"SET SESSION sql_mode = '{_MODE}', time_zone = '+00:00', innodb_lock_wait_timeout = 30, foreign_key_checks = 1, "
    "unique_checks = 1"
)


class Session:
    """A connection that executes statements as the drivers of SQLite and PostgreSQL do.

    Args:
        connection: The connection.
    """

    def __init__(self, connection: sqlalchemy.Connection) -> None:
        self.connection = connection
        self.is_open = True

    def execute(self, statement: str, values: Any = None) -> Any:
        """Execute a statement, with values for each ``%s`` if there are any; else a ``%`` is a character."""
        if values is None:
            return self.connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        return self.connection.exec_driver_sql(statement, values)

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return all rows of a query."""
        return list(self.execute(statement, tuple(values)).fetchall())

    def commit(self) -> None:
        """Commit."""
        self.connection.commit()

    def close(self) -> None:
        """Close it, which rolls back what was not committed; may be called again."""
        if self.is_open:
            self.is_open = False
            self.connection.close()


def connect_args() -> dict[str, Any]:
    """Return what the driver is given so that moments are aware, and a time of day is a ``time``."""
    converters: Any = import_module("pymysql.converters")  # which has no types
    convert_datetime, convert_timedelta = converters.convert_datetime, converters.convert_timedelta

    def moment(text: str) -> Any:
        value: Any = convert_datetime(text)
        return value.replace(tzinfo=timezone.utc) if isinstance(value, datetime) else value

    def time_of_day(text: str) -> Any:
        value: Any = convert_timedelta(text)
        if isinstance(value, timedelta) and timedelta() <= value < timedelta(days=1):
            return (datetime.min + value).time()
        return value

    known: dict[Any, Any] = {**converters.conversions, _TIMESTAMP: moment, _TIME: time_of_day, time: _escaped_time}
    return {
        "charset": "utf8mb4",
        "connect_timeout": 10,
        "conv": known,
        "init_command": "SET SESSION time_zone = '+00:00'",
    }


def _escaped_time(value: time, mapping: Any = None) -> str:
    return f"'{value.isoformat()}'"


def open_session(url: str) -> Session:
    """Open a session outside a transaction.

    Raises:
        ConnectionLostError: If the server is not there, or takes no connections now.
        ConnectError: If it refuses.
    """
    connection = open_connection(url, connect_args())
    try:
        with sqlalchemy_errors(url):
            connection.exec_driver_sql(_SETTINGS)
            connection.commit()
    except BaseException:
        connection.close()
        raise
    return Session(connection)
