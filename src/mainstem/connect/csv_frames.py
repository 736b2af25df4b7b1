"""Reading the rows of a CSV file as frames: a block of bytes at a time, and row by row where something is off.

Polars reads a block; it also takes what ``csv`` refuses (rows that are too short, quotes that do not match), so a block
is looked at before, as a whole, and read with care if any of it may be wrong. What is read is the same either way.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mainstem.connect.block_file import BlockFile
from mainstem.connect.csv_reader import CsvReader
from mainstem.connect.csv_rows import CsvFormat
from mainstem.connect.frame_fields import FieldColumn
from mainstem.connect.rejects import Reject
from mainstem.endpoints import Position
from mainstem.errors import ConnectError, ValidationError
from mainstem.frame_data import import_polars

if TYPE_CHECKING:
    import polars

_PURPOSE = "CsvSource(as_frames=True)"
BLOCK_BYTES = 4 << 20
"""Bytes that are read at a time: large enough for all processors to have their part, small enough for any memory."""


class CsvFrameReader:
    """Reads chunks of rows as frames.

    Args:
        lines: The file.
        file_format: How it is written.
        fields: The columns to read, by name, and what they hold; all as texts if there are none.
    """

    def __init__(self, lines: BlockFile, file_format: CsvFormat, fields: Mapping[str, FieldColumn] | None) -> None:
        self._lines = lines
        self._format = file_format
        self._fields = fields
        self._careful = CsvReader(lines, file_format, None)
        self._partitions = {key: value or "" for key, value in lines.file.partitions.items()}
        delimiter = re.escape(file_format.delimiter.encode())
        self._is_utf8 = file_format.encoding.lower() in ("utf-8", "utf8")
        in_cells = {name: field for name, field in (fields or {}).items() if name not in self._partitions}
        self._parsed_types, self._null_texts, self._never_null = _parsed_by_polars(in_cells)
        self._quoted = re.compile(rb'(?:^|(?<=[%b\n]))"(?:[^"]|"")*"(?=[%b\r\n]|\Z)' % (delimiter, delimiter))

    def read_header(self) -> None:
        """Read the names of the columns from the first row.

        Raises:
            ConnectError: If they cannot be read, or a field is not among them.
        """
        self._careful.read_header()
        missing = [name for name in self._fields or () if name not in (*self.names, *self._partitions)]
        if missing and self.names:
            raise ConnectError(f"{self._lines.name} has no column {missing[0]!r}; it has {', '.join(self.names):.200}")

    @property
    def names(self) -> Sequence[str]:
        """The names of the columns."""
        return self._careful.names

    @property
    def position(self) -> Position:
        """Where the next row begins."""
        return self._lines.position.to_json()

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def read_chunk(self, limit: int) -> tuple[Any, list[Reject]] | None:
        """Read a block of rows, however many it holds.

        Returns:
            A frame, and the rows that cannot be read, counted from the beginning of the file; ``None`` at its end.
        """
        with self._lines.file.errors("read"):
            block = self._lines.take_block(BLOCK_BYTES)
            if not block:
                return None
            first = self._lines.position.record
            read = self._read_fast(block, first)
            if read is not None:
                self._lines.settle_block(block, read[0].height + len(read[1]))
                return read
            self._lines.put_back(block)
            found = self._careful.read_chunk(block.count(b"\n") + 1)
            assert found is not None
            records, rejects = found
            refused = {reject.index for reject in rejects}
            numbers = [at for at in range(first, first + len(records) + len(rejects)) if at not in refused]
            polars = import_polars("CsvSource(as_frames=True)")
            return self._typed(
                polars.DataFrame(records, schema=dict.fromkeys(self.names, polars.String)), numbers, rejects
            )

    def _read_fast(self, block: bytes, first: int) -> tuple[polars.DataFrame, list[Reject]] | None:
        """Read a block without looking at each row; ``None`` if something may be off."""
        if not _is_plain(block, blank_lines_are_short=len(self.names) > 1):
            return None
        bare = self._quoted.sub(b"", block) if b'"' in block else block
        if b'"' in bare:
            return None
        rows = bare.count(b"\n") + (not bare.endswith(b"\n"))
        if bare.count(self._format.delimiter.encode()) != rows * (len(self.names) - 1):
            return None
        try:
            text = block if self._is_utf8 else block.decode(self._format.encoding).encode()
            if not text.isascii():
                text.decode("utf-8")
        except UnicodeError:
            return None
        may_be_long = bare is not block
        if self._parsed_types and not self._has_spaced_cell(block):
            typed = self._parse(text, rows, self._parsed_types, may_be_long=may_be_long)
            if typed is not None and not any(typed[name].null_count() for name in self._never_null):
                read = self._typed(typed, range(first, first + rows), [])
                if not read[1]:  # else the rejects are to have their texts
                    return read
        texts = self._parse(text, rows, {}, may_be_long=may_be_long)
        return None if texts is None else self._typed(texts, range(first, first + rows), [])

    def _has_spaced_cell(self, block: bytes) -> bool:
        """Say whether a number may begin with white space, which Polars passes over where it reads numbers itself."""
        before = [self._format.delimiter.encode()]
        before += [b"\n"] if self.names[0] in self._parsed_types else []
        before += [b'"'] if b'"' in block else []
        spaces = [space for space in (b" ", b"\t") if space in block]
        return block.startswith((b" ", b"\t")) or any(start + space in block for start in before for space in spaces)

    def _parse(self, text: bytes, rows: int, types: Mapping[str, Any], *, may_be_long: bool) -> polars.DataFrame | None:
        """Read a block that has so many rows; ``None`` if it is found to be otherwise, or a value is not of its type.

        Args:
            text: The block, in UTF-8.
            rows: How many rows it has.
            types: By name the columns that are no texts.
            may_be_long: Whether a cell may be longer than a line.
        """
        polars = import_polars(_PURPOSE)
        try:
            frame = polars.read_csv(
                text,
                has_header=False,
                schema={name: types.get(name, polars.String) for name in self.names},
                null_values={name: self._null_texts[name] for name in types if name in self._null_texts} or None,
                separator=self._format.delimiter,
                empty_string_is_null=False,
                raise_if_empty=False,
            )
        except Exception:  # of which row, is found out with care
            return None
        if frame.height != rows or (may_be_long and _longest(frame) > csv.field_size_limit()):
            return None
        return frame  # type: ignore[no-any-return]

    def _typed(
        self, texts: polars.DataFrame, numbers: Sequence[int], rejects: list[Reject]
    ) -> tuple[polars.DataFrame, list[Reject]]:
        """Turn the texts of the fields into what they hold; rows of which one does not are rejected.

        A field may be what it holds already: none of those is wrong.
        """
        polars = import_polars(_PURPOSE)
        if self._partitions:
            texts = texts.with_columns(polars.lit(value).alias(key) for key, value in self._partitions.items())
        if self._fields is None:
            return texts, rejects
        read = {name: field for name, field in self._fields.items() if texts.schema[name] == polars.String}
        typed = texts.select(read[name].expression(name) if name in read else name for name in self._fields)
        if not read:
            return typed, rejects
        failed = texts.select(field.failures(texts[name], typed[name]).alias(name) for name, field in read.items())
        bad = failed.select(polars.any_horizontal(failed.columns).alias("bad"))["bad"]
        positions: list[int] = bad.arg_true().to_list()
        for at in positions:
            row = texts.row(at, named=True)
            wrong = next(name for name in read if failed[name][at])
            reason = f"{row[wrong]!r:.200} is no {self._fields[wrong].described}"
            rejects.append(Reject(numbers[at], row, ValidationError(f"{self._lines.name}, field {wrong!r}: {reason}")))
        return (typed.filter(~bad) if bad.any() else typed), rejects


def _parsed_by_polars(fields: Mapping[str, FieldColumn]) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """Return which columns Polars itself may read: their types, the texts for null, and those that have no null."""
    types: dict[str, Any] = {}
    nulls: dict[str, str] = {}
    never_null: list[str] = []
    for name, field in fields.items():
        kind = field.parsed_type()
        if kind is not None:
            types[name] = kind
            if field.null_values:
                nulls[name] = next(filter(None, field.null_values), "")
            else:
                never_null.append(name)
    return types, nulls, never_null


def _longest(frame: polars.DataFrame) -> int:
    """Return the bytes in the longest text."""
    polars = import_polars(_PURPOSE)
    lengths: Any = frame.select(polars.col(polars.String).str.len_bytes().max())
    return max((length or 0 for length in (lengths.row(0) if lengths.width else ())), default=0)


def _is_plain(block: bytes, *, blank_lines_are_short: bool) -> bool:
    """Say whether a block has nothing in it that ``csv`` refuses or passes over, quotes aside.

    Args:
        block: The block.
        blank_lines_are_short: Whether a blank line, which has no delimiter, is found by counting those.
    """
    if b"\0" in block or block.startswith((b"\n", b"\r")) or (not blank_lines_are_short and b"\n\n" in block):
        return False
    breaks = block.count(b"\r") if b"\r" in block else 0
    if breaks and (breaks != block.count(b"\r\n") or b"\n\r\n" in block):
        return False
    return not _has_line_over(csv.field_size_limit(), block)


def _has_line_over(limit: int, block: bytes) -> bool:
    """Say whether a line of a block has more bytes."""
    start = 0
    while len(block) - start > limit:
        end = block.rfind(b"\n", start, start + limit + 1)
        if end < 0:
            return True
        start = end + 1
    return False
