"""``ExcelSource``: the rows of a sheet of a workbook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast, overload

from typing_extensions import TypeVar

from mainstem.connect.compression import check_compression
from mainstem.connect.excel_reader import ExcelReader, load_calamine
from mainstem.connect.file_source import FileSource
from mainstem.connect.locations import FilePaths
from mainstem.connect.record_type import model_of
from mainstem.connect.row_position import RowPosition
from mainstem.connect.stored_file import StoredFile
from mainstem.endpoints import Position
from mainstem.errors import ConnectError
from mainstem.options import check_count
from mainstem.records import record_parser
from mainstem.type_hints import list_of

T = TypeVar("T")
R = TypeVar("R")


class ExcelSource(FileSource[T]):
    """Read the rows of a sheet of an Excel workbook (``.xlsx``, ``.xlsm``), in order.

    Numbers are floats, as Excel has them; dates, times of day and durations are ``date``, ``datetime``, ``time`` and
    ``timedelta``; of a formula the value is read that it had when the workbook was saved. An empty cell, and one with
    an empty text, is ``None``. Blank rows are passed over. A workbook is in memory as a whole while it is read; one
    that unpacks to too much, or has cells that are too far apart, is an error.

    Any path may be a URL (``file``, ``s3``, ``gs``, ``az``, ``http``, ``https``, ``memory``, and what fsspec knows), a
    pattern, or a list of those; credentials are found in the environment, or given. Patterns (``*``, ``?``, ``[``, and
    ``**`` for any folders) give files in the order of their names, and a list in its own. All files must have the same
    columns, in the same order. Of several files a position says in which it is, and a run is resumed only if none was
    added, changed or removed. A position is a number of rows below the header.

    A row that cannot be read (a cell that holds an error such as ``#DIV/0!``, a value beside the columns, one that its
    field's type refuses) fails the run. With ``continue_on_error`` it is recorded in ``context.errors`` with its
    number, and the rest is read; ``read_again`` takes such a row, mended, as a dict.

    Args:
        path: The file or files.
        sheet: The sheet's name, or its number, from 0.
        header: The row with the names of the columns, from 1; ``None`` if there is none, and they are called ``A``,
            ``B`` and so on.
        record_type: What the records are: ``dict``, or a dataclass, ``TypedDict``, msgspec ``Struct`` or pydantic
            model, into which the rows are parsed.
        continue_on_error: Whether to record rows that cannot be read and go on.
        storage_options: How URLs are opened, such as ``{"region": "eu-west-1"}``: what obstore takes for the kind of
            store, with its ``client_options`` and ``retry_config``; for other URLs what fsspec's class takes. Values
            are never shown, but those of endpoints and the like.
        partitions: Whether folders such as ``year=2024/month=01`` stand for fields, which every record then has, as
            texts. The path may then be a folder; what begins with a dot or ``_`` in it is passed over.
        max_decompressed_bytes: What the workbook may unpack to, at most; by default 250 times its size, and always
            256 MiB.
        name: The stage's name in reports.

    Raises:
        ConnectError: If ``path`` is a URL of a kind that is not supported.
        MissingExtraError: If ``mainstem[excel]`` is not installed, or the URL needs ``mainstem[files]``, or the record
            type ``mainstem[models]``, and that is not.
        TypeError: If ``record_type`` is none, or ``sheet`` neither a name nor a number.
        ValueError: If ``header`` or ``sheet`` is a number that cannot be.

    Example:
        >>> from mainstem import Pipeline
        >>> people = ExcelSource("people.xlsx", sheet="2024")
        >>> Pipeline[None, list[dict[str, object]]]("people").add_stage(people).run().data  # doctest: +SKIP
        [{'name': 'Ada', 'age': 36.0}]
    """

    _in_threads = True

    @overload
    def __init__(
        self: ExcelSource[dict[str, Any]],
        path: FilePaths,
        *,
        sheet: str | int = 0,
        header: int | None = 1,
        record_type: type[dict[Any, Any]] = ...,
        continue_on_error: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        partitions: bool = False,
        max_decompressed_bytes: int | None = None,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: ExcelSource[R],
        path: FilePaths,
        *,
        sheet: str | int = 0,
        header: int | None = 1,
        record_type: type[R],
        continue_on_error: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        partitions: bool = False,
        max_decompressed_bytes: int | None = None,
        name: str | None = None,
    ) -> None: ...
    def __init__(
        self,
        path: FilePaths,
        *,
        sheet: str | int = 0,
        header: int | None = 1,
        record_type: type[Any] = dict,
        continue_on_error: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        partitions: bool = False,
        max_decompressed_bytes: int | None = None,
        name: str | None = None,
    ) -> None:
        load_calamine()
        check_compression(None, max_decompressed_bytes)
        if isinstance(sheet, int):
            check_count("sheet", sheet, least=0)
        elif not isinstance(sheet, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"sheet must be a name or a number, not {sheet!r}")
        if header is not None:
            check_count("header", header)
        super().__init__(path, storage_options, partitions=partitions, continue_on_error=continue_on_error, name=name)
        self._sheet = sheet
        self._header = header
        self._limit = max_decompressed_bytes
        self._model = model_of(record_type, "ExcelSource")
        self._parse = None if self._model is None else record_parser(self._model)

    def _hints(self) -> tuple[Any, Any]:
        return None, list_of(dict[str, Any] if self._model is None else self._model)

    def read_again(self, record: Any) -> T:
        if not isinstance(record, Mapping):
            raise ConnectError(f"a row is a mapping of its columns, not {type(record).__name__}")
        fields = cast("Any", record)
        return cast("T", fields if self._parse is None else self._parse(fields))

    def _open(self, file: StoredFile, first: StoredFile, start: Position | None, record: int) -> ExcelReader:
        at = RowPosition(record=record) if start is None else RowPosition.parse(start)
        reader = ExcelReader(file, self._sheet, self._header, self._parse, at, self._limit)
        if first.columns is None:
            beginning = reader if file is first else self._open(first, first, None, 0)
            first.columns = beginning.columns
        if self._header is not None and reader.columns and first.columns and reader.columns != first.columns:
            raise ConnectError(
                f"{file.name} has the columns {', '.join(reader.columns):.200} and {first.name} has "
                f"{', '.join(first.columns):.200}: read files of different columns with sources of their own"
            )
        return reader
