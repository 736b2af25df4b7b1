"""Reading the rows of a query in PostgreSQL as frames: by ADBC, which reads binary COPY into Arrow.

Which columns frames hold unchanged is decided here, from the types that the server names: what it would hold otherwise
(numbers of any precision, UUIDs, JSON) the server is asked for as texts, and what is neither is refused.

Source: the PostgreSQL driver of Apache Arrow ADBC.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mainstem.connect.query_source import check_names
from mainstem.connect.table_columns import quoted
from mainstem.errors import ConnectError, ConnectionLostError, missing_extra
from mainstem.frame_data import import_polars
from mainstem.postgres import open_connection, postgres_errors, with_defaults
from mainstem.secrets import redact_url

if TYPE_CHECKING:
    import polars
    import psycopg

_PURPOSE = "PostgresSource(as_frames=True)"
_BATCH_BYTES = 8 << 20
_NUMBERS = ("int2", "int4", "int8", "float4", "float8")
_TIMES = ("date", "time", "timestamp", "timestamptz")
_AS_THEY_ARE = frozenset((*_NUMBERS, *_TIMES, "bool", "bytea", "text", "varchar", "bpchar", "name"))
_AS_TEXTS = frozenset(("numeric", "uuid", "json", "jsonb", "citext"))
_LOST_STATES = ("08", "57", "40", "53")
_LOST_WORDS = ("connection to server", "closed the connection", "FATAL:")  # while rows come, ADBC knows no states
_FEW_DIGITS = 38
"""The digits that a decimal of Arrow holds."""


def require_adbc() -> None:
    """Check that what frames need is there.

    Raises:
        MissingExtraError: If it is not.
    """
    try:
        for package in ("adbc_driver_postgresql.dbapi", "polars", "psycopg"):
            import_module(package)
    except ImportError:
        raise missing_extra(_PURPOSE, "postgres-frames") from None


class PostgresFrameReader:
    """The frames of one query. Its methods block.

    Args:
        url: The database.
        query: The query, with placeholders for the parameters.
        parameters: Their values.
        row: How many of its rows are passed over.

    Attributes:
        names: The names of the columns.
    """

    def __init__(self, url: str, query: str, parameters: Any, row: int) -> None:
        self._url, self._query, self._parameters = url, query, parameters
        self._where = redact_url(url)
        self._left_out = self._row = row
        self.names: list[str] = []
        self._decimals: dict[str, Any] = {}
        self._connection: Any = None
        self._cursor: Any = None
        self._batches: Iterator[Any] = iter(())

    def open(self) -> None:
        """Run the query.

        Raises:
            ConnectionLostError: If that may succeed later.
            ConnectError: If it cannot be run, or a column cannot be held by frames.
        """
        text = self._prepared()
        driver: Any = import_module("adbc_driver_postgresql.dbapi")
        try:
            with self._errors():
                self._connection = driver.connect(with_defaults(self._url))
                self._cursor = self._connection.cursor()
                self._cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                self._cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)})
                self._cursor.execute(text)
                self._batches = iter(self._cursor.fetch_record_batch())
        except BaseException:
            self.close()
            raise

    def _prepared(self) -> str:
        """Return the query with its values in it, and with texts where frames cannot hold what the server has."""
        import psycopg

        with open_connection(self._url) as connection:
            try:
                with postgres_errors(self._url):
                    mogrifier: Any = psycopg.ClientCursor(connection)
                    query: str = self._query
                    if self._parameters:
                        query = mogrifier.mogrify(query, self._parameters)
                    query = query.rstrip().rstrip(";")
                    described: Any = connection.cursor()
                    described.execute(f"SELECT * FROM (\n{query}\n) AS query LIMIT 0")
                    columns = self._columns_of(connection, described.description)
            except psycopg.Error as error:
                raise ConnectError(f"{self._where}: {str(error).strip()}") from error
        if all(column == quoted(name) for name, column in zip(self.names, columns, strict=True)):
            return query
        return f"SELECT {', '.join(columns)} FROM (\n{query}\n) AS query"

    def _columns_of(self, connection: psycopg.Connection[Any], description: Sequence[Any]) -> list[str]:
        self.names = [column.name for column in description]
        check_names(self.names, self._where)
        polars = import_polars(_PURPOSE)
        wanted: list[str] = []
        for column in description:
            name, kind, is_enum = column.name, *self._type_of(connection, column.type_code)
            if kind in _AS_THEY_ARE:
                wanted.append(quoted(name))
                continue
            if kind not in _AS_TEXTS and not is_enum:
                raise ConnectError(
                    f"{self._where}: column {name!r} is {column.type_display}, which frames do not hold: write "
                    f"CAST({quoted(name)} AS text) AS {quoted(name)} in the query, leave it out, or read records"
                )
            wanted.append(f"CAST({quoted(name)} AS text) AS {quoted(name)}")
            if kind == "numeric" and column.precision and column.precision <= _FEW_DIGITS and column.scale >= 0:
                self._decimals[name] = polars.Decimal(column.precision, column.scale)
        return wanted

    def _type_of(self, connection: psycopg.Connection[Any], code: int) -> tuple[str, bool]:
        """Return the name of a type, of a domain that of what it is made of, and whether it is an enumeration."""
        find = "SELECT typname, typtype, typbasetype FROM pg_catalog.pg_type WHERE oid = %s"
        while True:
            found: Any = connection.execute(find, [code]).fetchone()
            name, kind, base = found
            if kind != "d":
                return str(name), kind == "e"
            code = base

    def fetch(self) -> polars.DataFrame | None:
        """Return the next rows; ``None`` at the end.

        Raises:
            ConnectionLostError: If the connection is lost.
            ConnectError: If they cannot be read, or a value is one that frames do not hold.
        """
        polars = import_polars(_PURPOSE)
        while True:
            with self._errors():
                batch = next(self._batches, None)
            if batch is None:
                if self._left_out:
                    raise ConnectError(
                        f"{self._where}: cannot go on at row {self._row}: the query now gives fewer rows; was the data "
                        "replaced?"
                    )
                return None
            passed = min(self._left_out, batch.num_rows)
            self._left_out -= passed
            if passed < batch.num_rows:
                return self._checked(polars.from_arrow(batch.slice(passed)))

    def _checked(self, frame: Any) -> polars.DataFrame:
        """Return a frame in which every value is the server's: it has days and numbers that others have not."""
        polars = import_polars(_PURPOSE)
        for name, kind in self._decimals.items():
            if frame[name].str.to_lowercase().is_in(["nan", "infinity", "-infinity"]).any():
                raise self._unheld(name, "NaN or infinite")
            frame = frame.with_columns(polars.col(name).cast(kind))
        for name, dtype in frame.schema.items():
            if dtype == polars.Date or isinstance(dtype, polars.Datetime):
                years = frame[name].drop_nulls()
                low, high = _bounds(dtype)
                if not years.to_physical().is_between(low, high).all():
                    raise self._unheld(name, "infinite, or not of the years 1 to 9999")
        return frame  # type: ignore[no-any-return]

    def _unheld(self, name: str, what: str) -> ConnectError:
        return ConnectError(
            f"{self._where}: column {name!r} has a value that is {what}, which frames do not hold: leave such rows out "
            "in the query, or make NULL of it"
        )

    def _errors(self) -> _AdbcErrors:
        return _AdbcErrors(self._where)

    def close(self) -> None:
        """Close the connection, whatever has not been read."""
        for each in (self._cursor, self._connection):
            if each is not None:
                with suppress(Exception):  # one that is lost cannot be closed, and need not
                    each.close()
        self._cursor = self._connection = None


class _AdbcErrors:
    """Turns the errors of ADBC into mainstem's."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, ConnectError):
            return
        state = str(getattr(error, "sqlstate", None) or "")
        text = str(error).strip().replace("\n", " ")
        lost = state.startswith(_LOST_STATES) or any(words in text for words in _LOST_WORDS)
        raise (ConnectionLostError if lost else ConnectError)(f"{self._where}: {text}") from error


def _bounds(dtype: Any) -> tuple[int, int]:
    """Return the first and the last value of a column of days or times that Python has."""
    days = (-719_162, 2_932_896)
    if dtype == import_polars(_PURPOSE).Date:
        return days
    return days[0] * 86_400_000_000, (days[1] + 1) * 86_400_000_000 - 1
