"""What the sources of Parquet and Arrow files share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Generic, cast

from typing_extensions import TypeVar

from mainstem.connect.arrow_values import load_arrow
from mainstem.connect.batch_frames import BatchFrameReader
from mainstem.connect.batch_reader import BatchReader, arrow_errors
from mainstem.connect.file_source import FileReader, FileSource
from mainstem.connect.locations import FilePaths
from mainstem.connect.record_type import model_of
from mainstem.connect.row_position import RowPosition
from mainstem.connect.stored_file import StoredFile
from mainstem.endpoints import Output_co, Position
from mainstem.errors import ConnectError
from mainstem.frame_data import import_polars
from mainstem.records import record_parser
from mainstem.type_hints import list_of

T = TypeVar("T")


class BatchSource(FileSource[T, Output_co], Generic[T, Output_co]):
    """Base of the sources of record batches: override ``_read_batches``."""

    _in_threads = True

    def __init__(
        self,
        path: FilePaths,
        columns: Sequence[str] | None,
        record_type: type[Any],
        storage_options: Mapping[str, Any] | None,
        *,
        as_frames: bool,
        partitions: bool,
        continue_on_error: bool,
        name: str | None,
    ) -> None:
        kind = type(self).__name__
        load_arrow(f"{kind} is a source that")
        super().__init__(path, storage_options, partitions=partitions, continue_on_error=continue_on_error, name=name)
        if isinstance(columns, str):
            raise TypeError(f"columns must be a list of names, and not one text, {columns!r}")
        self._columns = None if columns is None else tuple(columns)
        self._model = model_of(record_type, kind)
        self._as_frames = as_frames
        if as_frames and self._model is not None:
            raise TypeError(
                f"{kind}(as_frames=True) gives the columns as they are in the file: choose some with columns=, and "
                "leave record_type out"
            )
        self._parse = None if self._model is None else record_parser(self._model)

    def _hints(self) -> tuple[Any, Any]:
        if self._as_frames:
            return None, import_polars("Reading frames").DataFrame
        return None, list_of(dict[str, Any] if self._model is None else self._model)

    def read_again(self, record: Any) -> T:
        if not isinstance(record, Mapping):
            raise ConnectError(f"a row is a mapping of its columns, not {type(record).__name__}")
        fields = cast("Any", record)
        return cast("T", fields if self._parse is None else self._parse(fields))

    def _open(self, file: StoredFile, first: StoredFile, start: Position | None, record: int) -> FileReader:
        at = RowPosition(record=record) if start is None else RowPosition.parse(start)
        opened = file.open_anywhere()
        try:
            with arrow_errors(file):
                schema, batches = self._read_batches(file, opened, at.row)
            reader: BatchReader | BatchFrameReader
            if self._as_frames:
                reader = BatchFrameReader(file, opened, schema, batches, at)
            else:
                reader = BatchReader(file, opened, schema, batches, at, self._parse)
            if first.columns is None:
                first.columns = reader.columns if file is first else self._columns_of(first)
        except BaseException:
            opened.close()
            raise
        if reader.columns != first.columns:
            reader.close()
            raise ConnectError(
                f"{file.name} has the columns {', '.join(reader.columns):.200} and {first.name} has "
                f"{', '.join(first.columns or ()):.200}: read files of different columns with sources of their own"
            )
        return reader

    def _columns_of(self, file: StoredFile) -> Sequence[str]:
        with file.open_anywhere() as opened, arrow_errors(file):
            schema, _ = self._read_batches(file, opened, 0)
            return tuple(schema.names)

    @abstractmethod
    def _read_batches(self, file: StoredFile, opened: BinaryIO, row: int) -> tuple[Any, Iterator[Any]]:
        """Return the schema of a file and its record batches, from a row on.

        Raises:
            ConnectError: If it ends before that row, or lacks a column.
        """

    def _selected(self, file: StoredFile, names: Sequence[str]) -> list[str] | None:
        """Return the columns that are read; ``None`` for all."""
        if self._columns is None:
            return None
        missing = [name for name in self._columns if name not in names]
        if missing:
            raise ConnectError(f"{file.name} has no column {missing[0]!r}: it has {', '.join(names):.200}")
        return list(self._columns)
