"""Sources that read the rows of a query: what is the same in every database."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import Any, ClassVar, Generic, TypeAlias, cast

from typing_extensions import TypeVar

from mainstem.connect.fingerprints import json_value
from mainstem.connect.record_type import model_of
from mainstem.connect.rejects import Reject
from mainstem.connect.table_columns import key_of
from mainstem.endpoints import Output_co, SourceStage
from mainstem.errors import ConnectError
from mainstem.records import parse_each, record_parser
from mainstem.type_hints import list_of

T = TypeVar("T")

Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any]


class QuerySource(SourceStage[T, Output_co], Generic[T, Output_co]):
    """Reads the rows of a query.

    Args:
        where: The database, for error messages.
        query: The query.
        parameters: Values for its placeholders.
        key: The column or columns whose values no two rows share.
        record_type: What the records are.
        continue_on_error: Whether to record rows that cannot be read and go on.
        name: The stage's name in reports.
        check_identifier: Checks that something can be the name of a column.
    """

    called: ClassVar[str] = "SqlSource"
    """The name under which it is known to those who made it."""

    def __init__(
        self,
        where: str,
        query: str,
        parameters: Parameters,
        key: str | Sequence[str] | None,
        record_type: type[Any],
        continue_on_error: bool,
        name: str | None,
        check_identifier: Callable[[str, object], None],
    ) -> None:
        self._key = key_of(key)
        for each in self._key:
            check_identifier("the name of a key column", each)
        self._where = where
        self._query = query
        self._parameters = parameters
        self._model = model_of(record_type, self.called)
        self._parse = None if self._model is None else record_parser(self._model)
        self._continue_on_error = continue_on_error
        self._see: Callable[[Sequence[str], Sequence[Any]], None] = _look_away
        self._counted = 0
        if name is not None:
            self.name = name

    @property
    @abstractmethod
    def _database(self) -> str:
        """What the database is called in fingerprints."""

    @property
    def model(self) -> type[Any] | None:
        """What rows are parsed into, if they are."""
        return self._model

    @property
    def place(self) -> str:
        """The database, without secrets."""
        return self._database

    def watched(self, see: Callable[[Sequence[str], Sequence[Any]], None], counted: int) -> None:
        """Have the rows of the one read of this source shown to somebody, chunk by chunk, before they are handed on.

        Args:
            see: Is called with the names of the columns, and the rows.
            counted: How many rows were read before, from which the numbers of rows count.
        """
        self._see, self._counted = see, counted

    def _hints(self) -> tuple[Any, Any]:
        return None, list_of(dict[str, Any] if self._model is None else self._model)

    async def fingerprint(self) -> Mapping[str, Any]:
        given = self._parameters
        return {
            "database": self._database,
            "query": self._query,
            "parameters": {name: json_value(value) for name, value in given.items()}
            if isinstance(given, Mapping)
            else list(map(json_value, given)),
            "key": list(self._key),
        }

    def read_again(self, record: Any) -> T:
        if self._parse is None and not isinstance(record, Mapping):
            raise ConnectError(f"a row is a mapping with a value for each column, not {type(record).__name__}")
        return cast("T", record if self._parse is None else self._parse(record))

    def _records_of(
        self, names: Sequence[str], rows: Sequence[Any], numbers: Sequence[int]
    ) -> tuple[list[Any], list[Reject]]:
        """Make records of the rows, each of which has a number."""
        records: list[Any] = list(map(dict, map(zip, repeat(names), rows)))
        if self._parse is None:
            return records, []
        parsed, failures = parse_each(self._parse, records)
        rejects: list[Reject] = []
        for at, error in failures:
            problem = type(error)(f"{self._where}, row {numbers[at]}: {error}")
            problem.__cause__ = error
            rejects.append(Reject(numbers[at], records[at], problem))
        return parsed, rejects


def _look_away(names: Sequence[str], rows: Sequence[Any]) -> None:
    """See nothing, where nobody watches."""


def check_names(names: Sequence[str], where: str) -> None:
    """Check that no two columns share a name.

    Raises:
        ConnectError: If two do.
    """
    repeated = [name for at, name in enumerate(names) if name in names[:at]]
    if repeated:
        raise ConnectError(f"{where}: the query names column {repeated[0]!r} more than once: rename one with AS")
