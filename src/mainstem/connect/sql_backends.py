"""The kinds of databases that ``SqlSource`` reads: how each is read, and what its SQL is written like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from mainstem.connect.query_source import Parameters, QuerySource
from mainstem.connect.sql_marks import Marks
from mainstem.connect.sqlite_source import SqliteSource
from mainstem.connect.table_columns import quoted


@dataclass(frozen=True, slots=True)
class SqlBackend:
    """A kind of database.

    Attributes:
        make: Makes what reads from it, of URL, query and options.
        make_marks: Makes what adds values to a query's parameters.
        quote: Makes an identifier of a name.
        is_binary: Whether texts are compared by their bytes by saying so, and values are plain: SQLite's ways.
    """

    make: Callable[..., QuerySource[Any]]
    make_marks: Callable[[Parameters, Any], Marks]
    quote: Callable[[str], str] = quoted
    is_binary: bool = False

    def source(self, url: str, query: str, parameters: Parameters, options: Mapping[str, Any]) -> QuerySource[Any]:
        """Return what reads a query.

        Raises:
            ConnectError: If the URL is none.
        """
        return self.make(url, query, parameters=parameters, **options)

    def marks(self, parameters: Parameters, rows: QuerySource[Any]) -> Marks:
        """Return what adds values to a query's parameters."""
        return self.make_marks(parameters, rows)

    def bound(self, value: Any) -> Any:
        """Return a value that a column is compared with.

        Raises:
            ValueError: If the database has no such values: its texts may be written in another way.
        """
        if self.is_binary and isinstance(value, (date, datetime, time)):
            raise ValueError(
                "SQLite keeps times as texts or numbers: give initial= and since= as the column has them, not as "
                f"{value!r}"
            )
        return value


def backend_of(url: str) -> SqlBackend:
    """Return the kind of database that a URL names; modules that need an extra are imported late.

    Raises:
        ConnectError: If none is known.
        MissingExtraError: If it needs an extra that is not installed.
    """
    scheme = url.partition("://")[0]
    if scheme in ("postgresql", "postgres"):
        from mainstem.connect.postgres_source import PostgresSource

        return SqlBackend(PostgresSource, lambda given, _: Marks(given, "%s", "%({})s", percent=True))
    if scheme == "duckdb":
        from mainstem.connect.duckdb_source import DuckdbSource

        return SqlBackend(DuckdbSource, lambda _, rows: rows.new_marks())
    if scheme == "sqlite" or "://" not in url:
        return SqlBackend(SqliteSource, lambda given, _: Marks(given, "?", ":{}"), is_binary=True)
    from mainstem.connect.sqlalchemy_engine import quoting_of
    from mainstem.connect.sqlalchemy_source import SqlalchemySource

    return SqlBackend(SqlalchemySource, lambda _, rows: rows.new_marks(), quoting_of(url))
