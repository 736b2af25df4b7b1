"""Reading the lines of a JSON Lines file as frames: a block at a time, and line by line where something is off.

pyarrow reads a block, strictly but for a few things that are looked for before. What is read is the same either way.
"""

from __future__ import annotations

from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, Any

from mainstem.connect.block_file import BlockFile
from mainstem.connect.json_fields import JsonFields
from mainstem.connect.json_lines_reader import JsonLinesReader
from mainstem.connect.rejects import Reject
from mainstem.endpoints import Position
from mainstem.errors import ConnectError
from mainstem.frame_data import import_polars

if TYPE_CHECKING:
    import polars

_PURPOSE = "JsonLinesSource(as_frames=True)"
BLOCK_BYTES = 4 << 20
"""Bytes that are read at a time: large enough for a frame to be worth its while, small enough for any memory."""
_ARROW = {"Int64": "int64", "Float64": "float64", "Boolean": "bool_"}
"""The types that pyarrow reads; all others are texts at first."""


class JsonLinesFrameReader:
    """Reads blocks of lines as frames.

    Args:
        lines: The file.
        fields: The columns.

    Raises:
        ConnectError: If a column and a folder have the same name and the column is no text.
    """

    def __init__(self, lines: BlockFile, fields: JsonFields) -> None:
        self._lines, self._fields = lines, fields
        self._partitions = {name: value for name, value in lines.file.partitions.items() if name in fields.schema}
        polars = import_polars(_PURPOSE)
        wrong = [name for name in self._partitions if fields.schema[name] != polars.String]
        if wrong:
            raise ConnectError(f"{lines.name}: field {wrong[0]!r} is named by a folder, which is a text: make it a str")
        partitions = lines.file.partitions
        self._careful = JsonLinesReader(lines, lambda line: fields.row_of(line, partitions))
        self._in_lines = [name for name in fields.schema if name not in self._partitions]
        self._parse = _block_parser({name: fields.schema[name] for name in self._in_lines})

    @property
    def position(self) -> Position:
        """Where the next line begins."""
        return self._lines.position.to_json()

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def read_chunk(self, limit: int) -> tuple[Any, list[Reject]] | None:
        """Read a block of lines, however many it holds.

        Returns:
            A frame, and the lines that cannot be read, counted from the beginning; ``None`` at the end.
        """
        with self._lines.file.errors("read"):
            block = self._lines.take_block(BLOCK_BYTES, quotes=False)
            if not block:
                return None
            frame = self._read_fast(block)
            if frame is not None:
                self._lines.settle_block(block, frame.height)
                return frame, []
            self._lines.put_back(block)
        found = self._careful.read_chunk(block.count(b"\n") + (not block.endswith(b"\n")))
        assert found is not None
        rows, rejects = found
        return import_polars(_PURPOSE).DataFrame(rows, schema=self._fields.schema, orient="row"), rejects

    def _read_fast(self, block: bytes) -> polars.DataFrame | None:
        """Read a block without looking at each line; ``None`` if something may be off."""
        lines = _lines_of_objects(block)
        if not lines or any(key in block for key in self._keys_of_folders()):
            return None
        frame = self._parse(block)
        if frame is None or frame.height != lines:
            return None
        polars = import_polars(_PURPOSE)
        for name in self._in_lines:
            kind = self._fields.schema[name]
            if name in self._fields.required and frame[name].null_count():
                return None
            if frame.schema[name] != kind:
                typed = _temporal(frame[name], kind)
                if typed is None:
                    return None
                frame = frame.with_columns(typed)
        folders = [polars.lit(value, dtype=polars.String).alias(name) for name, value in self._partitions.items()]
        if any(value is None and name in self._fields.required for name, value in self._partitions.items()):
            return None
        return frame.with_columns(folders).select(list(self._fields.schema))  # type: ignore[no-any-return]

    def _keys_of_folders(self) -> list[bytes]:
        return [f'"{name}"'.encode() for name in self._lines.file.partitions]


def _lines_of_objects(block: bytes) -> int:
    """Return how many lines a block has if each begins and ends as an object does; 0 if something may be off.

    Within an object no ``{`` follows a ``}``, so an end of a line between them is one between objects.
    """
    if b"\0" in block or b"NaN" in block or b"Inf" in block or b"[[[[[[[[" in block:
        return 0
    text = block.removesuffix(b"\n").removesuffix(b"\r")
    if not (text.startswith(b"{") and text.endswith(b"}")):
        return 0
    between = text.count(b"\n")
    ends = text.count(b"}\n{") if b"\r" not in text else text.count(b"}\r\n{")
    if ends != between:
        return 0
    if not text.isascii():
        try:
            text.decode("utf-8")
        except UnicodeDecodeError:
            return 0
    return between + 1


def _block_parser(schema: dict[str, Any]) -> Any:
    """Return a function that reads a block into a frame with such columns; ``None`` where a line is not right."""
    arrow: Any = import_module("pyarrow")
    arrow_json: Any = import_module("pyarrow.json")
    columns = [(name, getattr(arrow, _ARROW.get(str(kind), "string"))()) for name, kind in schema.items()]
    options = arrow_json.ParseOptions(
        explicit_schema=arrow.schema(columns), newlines_in_values=False, unexpected_field_behavior="ignore"
    )

    def parse(block: bytes) -> polars.DataFrame | None:
        size = arrow_json.ReadOptions(block_size=len(block) + 1)
        try:
            table = arrow_json.read_json(BytesIO(block), read_options=size, parse_options=options)
        except (arrow.ArrowException, UnicodeDecodeError):  # of which line, is found out with care
            return None
        return import_polars(_PURPOSE).from_arrow(table)  # type: ignore[no-any-return]

    return parse


_SHAPES = {
    "Date": r"^\d{4}-\d\d-\d\d$",
    "Time": r"^\d\d:\d\d:\d\d(\.\d{1,6})?$",
    "Datetime": r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?Z$",
}


def _temporal(texts: polars.Series, kind: Any) -> polars.Series | None:
    """Return the days or times that texts of the usual shape stand for; ``None`` if one is of another or none."""
    polars = import_polars(_PURPOSE)
    shape = _SHAPES["Datetime" if kind.is_temporal() and kind not in (polars.Date, polars.Time) else str(kind)]
    if not texts.drop_nulls().str.contains(shape).all():
        return None
    if kind == polars.Date:
        made = texts.str.to_date("%Y-%m-%d", strict=False)
    elif kind == polars.Time:
        made = texts.str.to_time("%H:%M:%S%.f", strict=False)
    else:
        made = texts.str.replace(" ", "T", literal=True).str.to_datetime(
            "%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", time_zone="UTC", strict=False
        )
    return made if made.null_count() == texts.null_count() else None
