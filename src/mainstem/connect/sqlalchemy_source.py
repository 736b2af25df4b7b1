"""``SqlSource`` on any database that SQLAlchemy knows: the rows of a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from typing_extensions import TypeVar

from mainstem.connect.cursor_source import CursorSource, QueryCursor
from mainstem.connect.query_source import Parameters
from mainstem.connect.sql_marks import Marks
from mainstem.connect.sqlalchemy_engine import check_url, open_connection, quoting_of, sqlalchemy_errors
from mainstem.connect.table_columns import check_identifier
from mainstem.errors import ConnectError
from mainstem.secrets import redact_url

if TYPE_CHECKING:
    import sqlalchemy

T = TypeVar("T")

_MYSQL = ("mysql", "mariadb")
_SLOW_READER = (
    "SET SESSION net_write_timeout = 86400, time_zone = '+00:00'",
    "SET SESSION TRANSACTION READ ONLY",
)
"""The server would else hang up on one who does not take rows for a minute; and it changes nothing."""
_STYLES: Mapping[str, Mapping[str, Any]] = {
    "format": {"positional": "%s", "named": "%({})s", "percent": True},
    "pyformat": {"positional": "%s", "named": "%({})s", "percent": True},
    "qmark": {"positional": "?", "named": ":{}"},
    "named": {"positional": None, "named": ":{}"},
}


class SqlalchemySource(CursorSource[T]):
    """Reads the rows of a query from a database by way of SQLAlchemy.

    Args:
        url: The database.
        query: The query, with placeholders as the driver has them.
        parameters: Values for its placeholders.
        key: The column or columns whose values no two rows share.
        record_type: What the records are.
        continue_on_error: Whether to record rows that cannot be read and go on.
        name: The stage's name in reports.

    Raises:
        ConnectError: If the database is not known, or its driver is not installed.
    """

    def __init__(
        self,
        url: str,
        query: str,
        *,
        parameters: Parameters = (),
        key: str | Sequence[str] | None = None,
        record_type: type[Any] = dict,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None:
        self._kind = check_url(url, "Reading from databases")
        super().__init__(
            redact_url(url), query, parameters, key, record_type, continue_on_error, name, check_identifier
        )
        self._url = url

    @property
    def _database(self) -> str:
        return self._where

    def new_marks(self) -> Marks:
        import sqlalchemy

        dialect: Any = sqlalchemy.make_url(self._url).get_dialect()
        style = _STYLES.get(dialect.default_paramstyle)
        if style is None:
            raise ConnectError(
                f"{self._where}: reading after a key needs placeholders of the driver that are not numbered: "
                "read without key="
            )
        return Marks(self._parameters, quote=quoting_of(self._url), **style)

    def _connect(self) -> QueryCursor:
        options: dict[str, Any] = {}
        if self._kind in _MYSQL and "+pymysql" in self._url.partition("://")[0]:
            from mainstem.connect.mysql_session import connect_args

            options = connect_args()
        connection = open_connection(self._url, options)
        try:
            with sqlalchemy_errors(self._url):
                for statement in _SLOW_READER if self._kind in _MYSQL else ():
                    connection.exec_driver_sql(statement)
                connection.rollback()
        except BaseException:
            connection.close()
            raise
        return _Cursor(self._url, connection)


class _Cursor(QueryCursor):
    def __init__(self, url: str, connection: sqlalchemy.Connection) -> None:
        self._url, self._connection = url, connection
        self._result: Any = None

    def execute(self, query: str, parameters: Parameters) -> list[str]:
        options: dict[str, Any] = {"stream_results": True, "no_parameters": not parameters}
        values: Any = dict(parameters) if isinstance(parameters, Mapping) else tuple(parameters)
        with sqlalchemy_errors(self._url):
            if self._result is not None:
                self._result.close()
            self._result = self._connection.exec_driver_sql(query, values or None, execution_options=options)
            return list(self._result.keys()) if self._result.returns_rows else []

    def fetch(self, limit: int) -> Sequence[Any]:
        with sqlalchemy_errors(self._url):
            rows: Sequence[Any] = self._result.fetchmany(limit)
            return rows

    def close(self) -> None:
        # Not by way of the result: a driver that streams would read all that is left.
        cursor = getattr(self._result, "cursor", None)
        streamed: Any = getattr(cursor, "_result", None)
        if getattr(streamed, "unbuffered_active", False):  # PyMySQL, which has no other way to be told so
            streamed.unbuffered_active = False
        with suppress(Exception):  # a connection that is lost need not be closed
            self._connection.invalidate()
        self._connection.close()
