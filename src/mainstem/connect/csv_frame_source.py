"""``CsvSource(as_frames=True)``: a CSV file as frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mainstem.connect.block_file import BlockFile
from mainstem.connect.csv import CsvSource
from mainstem.connect.csv_frames import CsvFrameReader
from mainstem.connect.frame_fields import FieldColumn, fields_of
from mainstem.connect.line_file import LinePosition
from mainstem.connect.locations import FilePaths
from mainstem.connect.stored_file import StoredFile
from mainstem.endpoints import Position
from mainstem.errors import ConnectError
from mainstem.frame_data import import_polars


class CsvFrameSource(CsvSource[Any, Any]):
    """Read a CSV file as frames; made by ``CsvSource(..., as_frames=True)``."""

    name = "CsvSource"
    _in_threads = True

    def __init__(self, path: FilePaths, **options: Any) -> None:
        import_polars("CsvSource(as_frames=True)")
        super().__init__(path, **options)
        self._fields: Mapping[str, FieldColumn] | None = None
        if self._model is not None:
            self._fields = fields_of(self._model, self._null_values)

    def _hints(self) -> tuple[Any, Any]:
        return None, import_polars("CsvSource(as_frames=True)").DataFrame

    def _open(self, file: StoredFile, first: StoredFile, start: Position | None, record: int) -> Any:
        lines = BlockFile(file, self._compression, self._limit, record)
        try:
            reader = CsvFrameReader(lines, self._format, self._fields)
            reader.read_header()
            if file is not first:
                self._check_header(file, reader.names, first)
            first.columns = reader.names if file is first else first.columns
            missing = [name for name in self._fields or () if name not in reader.names]
            if missing and reader.names:
                raise ConnectError(f"{file.name} has no column {missing[0]!r}; it has {', '.join(reader.names):.200}")
            if start is not None:
                lines.seek(LinePosition.parse(start))
        except BaseException:
            lines.close()
            raise
        return reader
