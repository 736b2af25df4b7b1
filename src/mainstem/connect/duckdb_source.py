"""``SqlSource`` on DuckDB: the rows of a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import TypeVar

from mainstem.connect.cursor_source import CursorSource, QueryCursor
from mainstem.connect.duckdb_session import database_file, duckdb_errors, import_duckdb, open_database
from mainstem.connect.query_source import Parameters
from mainstem.connect.sql_marks import Marks
from mainstem.connect.table_columns import check_identifier

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")


class DuckdbSource(CursorSource[T]):
    """Reads the rows of a query from DuckDB, in one read-only transaction.

    Args:
        url: The database.
        query: The query.
        parameters: Values for its placeholders.
        key: The column or columns whose values no two rows share.
        record_type: What the records are.
        continue_on_error: Whether to record rows that cannot be read and go on.
        name: The stage's name in reports.

    Raises:
        ConnectError: If the URL is no file's.
        MissingExtraError: If ``mainstem[duckdb]`` is not installed.
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
        self._path = database_file(url)
        import_duckdb()
        super().__init__(url, query, parameters, key, record_type, continue_on_error, name, check_identifier)
        self._url = url

    @property
    def _database(self) -> str:
        return str(self._path.absolute())

    def new_marks(self) -> Marks:
        return Marks(self._parameters, "?", "${}")

    def _connect(self) -> QueryCursor:
        return _Cursor(self._url, open_database(self._url, create=False))


class _Cursor(QueryCursor):
    def __init__(self, url: str, connection: duckdb.DuckDBPyConnection) -> None:
        self._url, self._connection = url, connection
        self._has_begun = False

    def execute(self, query: str, parameters: Parameters) -> list[str]:
        with duckdb_errors(self._url):
            if not self._has_begun:
                self._connection.execute("BEGIN TRANSACTION READ ONLY")
                self._has_begun = True
            values: Any = dict(parameters) if isinstance(parameters, Mapping) else list(parameters)
            self._connection.execute(query, values or None)
            return [each[0] for each in self._connection.description or ()]

    def fetch(self, limit: int) -> Sequence[Any]:
        with duckdb_errors(self._url):
            return self._connection.fetchmany(limit)

    def close(self) -> None:
        self._connection.close()
