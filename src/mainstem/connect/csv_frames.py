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
        delimiter = re.escape(file_format.delimiter.encode())
        self._quoted = re.compile(rb'(?:^|(?<=[%b\n]))"(?:[^"]|"")*"(?=[%b\r\n]|\Z)' % (delimiter, delimiter))

    def read_header(self) -> None:
        """Read the names of the columns from the first row.

        Raises:
            ConnectError: If they cannot be read, or a field is not among them.
        """
        self._careful.read_header()
        missing = [name for name in self._fields or () if name not in self.names]
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
            texts = self._read_fast(block)
            if texts is not None:
                self._lines.settle_block(block, texts.height)
                return self._typed(texts, range(first, first + texts.height), [])
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

    def _read_fast(self, block: bytes) -> polars.DataFrame | None:
        """Read a block without looking at each row; ``None`` if something may be off."""
        names, delimiter = self.names, self._format.delimiter
        if not _is_plain(block):
            return None
        bare = self._quoted.sub(b"", block) if b'"' in block else block
        if b'"' in bare:
            return None
        try:
            text = (
                block
                if self._format.encoding.lower() in ("utf-8", "utf8")
                else block.decode(self._format.encoding).encode()
            )
            text.decode("utf-8")
            frame = import_polars("CsvSource(as_frames=True)").read_csv(
                text,
                has_header=False,
                new_columns=list(names),
                separator=delimiter,
                infer_schema=False,
                empty_string_is_null=False,
                raise_if_empty=False,
            )
        except Exception:  # of which row, is found out with care
            return None
        if bare is not block and _longest(frame) > csv.field_size_limit():
            return None
        rows = bare.count(b"\n") + (not bare.endswith(b"\n"))
        is_whole = frame.width == len(names) and frame.height == rows
        return frame if is_whole and bare.count(delimiter.encode()) == rows * (len(names) - 1) else None

    def _typed(
        self, texts: polars.DataFrame, numbers: Sequence[int], rejects: list[Reject]
    ) -> tuple[polars.DataFrame, list[Reject]]:
        """Turn the texts of the fields into what they hold; rows of which one does not are rejected."""
        if self._fields is None:
            return texts, rejects
        typed = texts.select(field.expression(name) for name, field in self._fields.items())
        failed = texts.select(
            field.failures(texts[name], typed[name]).alias(name) for name, field in self._fields.items()
        )
        bad = failed.select(import_polars(_PURPOSE).any_horizontal(failed.columns).alias("bad"))["bad"]
        positions: list[int] = bad.arg_true().to_list()
        for at in positions:
            row = texts.row(at, named=True)
            wrong = next(name for name in self._fields if failed[name][at])
            reason = f"{row[wrong]!r:.200} is no {self._fields[wrong].described}"
            rejects.append(Reject(numbers[at], row, ValidationError(f"{self._lines.name}, field {wrong!r}: {reason}")))
        return (typed.filter(~bad) if bad.any() else typed), rejects


def _longest(frame: polars.DataFrame) -> int:
    """Return the bytes in the longest cell."""
    lengths: Any = frame.select(import_polars(_PURPOSE).all().str.len_bytes().max()).row(0)
    return max((length or 0 for length in lengths), default=0)


def _is_plain(block: bytes) -> bool:
    """Say whether a block has nothing in it that ``csv`` refuses or passes over, quotes aside."""
    if b"\0" in block or b"\n\n" in block or block.startswith((b"\n", b"\r")):
        return False
    breaks = block.count(b"\r")
    if breaks and (breaks != block.count(b"\r\n") or b"\n\r\n" in block):
        return False
    return max(map(len, block.split(b"\n"))) <= csv.field_size_limit()
