"""Reading the rows of a CSV file: chunk by chunk at the speed of ``csv``, and with care where something is off."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, repeat
from operator import methodcaller
from typing import Any

from mainstem.connect.csv_rows import CarefulReader, CsvFormat, Row
from mainstem.connect.line_file import LineFile
from mainstem.connect.partitions import check_no_column
from mainstem.connect.rejects import Reject
from mainstem.endpoints import Position
from mainstem.errors import ConnectError, ValidationError
from mainstem.records import parse_each

_AT_ONCE = 128
"""Rows that are held at a time: few enough to stay in the processor's cache until they are records."""


class CsvReader:
    """Reads chunks of records from the lines of a CSV file.

    A chunk is first read as a whole. Only if something is off are its lines, which are kept until then, read once
    more, row by row, which finds what and where.

    Args:
        lines: The file.
        file_format: How it is written.
        parse: Makes a record from a dict of texts; ``None`` if that is the record.
    """

    def __init__(self, lines: LineFile, file_format: CsvFormat, parse: Callable[[dict[str, Any]], Any] | None) -> None:
        self._lines = lines
        self._format = file_format
        self._parse = parse
        self._decode = methodcaller("decode", file_format.encoding)
        self._careful = CarefulReader(file_format)
        self._partitions = {key: value or "" for key, value in lines.file.partitions.items()}

    @property
    def position(self) -> Position:
        """Where the next record begins."""
        return self._lines.position.to_json()

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    @property
    def names(self) -> Sequence[str]:
        """The names of the columns."""
        return self._careful.names

    def read_header(self) -> None:
        """Read the names of the columns from the first row; an empty file has none, and no records.

        Raises:
            ConnectError: If they cannot be read, one is empty, or two are the same.
        """
        with self._lines.file.errors("read"):
            for line in self._lines:
                for header in self._read_carefully([line]):
                    self._careful.names = self._names_in(header)
                if self.names:
                    break
        check_no_column(self._lines.name, self.names, self._partitions)
        self._lines.settle(0)

    def _names_in(self, header: Row) -> tuple[str, ...]:
        names, problem = header.cells, header.problem
        repeated = [name for at, name in enumerate(names) if name in names[:at]]
        if not problem and "" in names:
            problem = f"column {names.index('') + 1} of the header has no name: give it one"
        elif not problem and repeated:
            problem = f"the header names column {repeated[0]!r} more than once: rename one"
        if problem:
            raise ConnectError(f"{self._lines.name}, line {header.line}: {problem}")
        return tuple(names)

    def read_chunk(self, limit: int) -> tuple[list[Any], list[Reject]] | None:
        """Read up to ``limit`` records.

        Returns:
            The records, and the rows that cannot be read, counted from the beginning of the file; ``None`` at its end.
        """
        with self._lines.file.errors("read"):
            return self._read_chunk(limit)

    def _read_chunk(self, limit: int) -> tuple[list[Any], list[Reject]] | None:
        first = self._lines.position.record
        records: list[Any] | None = self._read_fast(limit)
        if not self._lines.taken:
            return None
        rejects: list[Reject] = []
        numbers: list[tuple[int, int]] | None = None  # position and line of each record, where they are known
        if records is None:
            # What was tried is forgotten; the same lines again, and those that the last row still needs.
            records, numbers = [], []
            for index, row in enumerate(self._read_carefully(list(self._lines.taken)), first):
                if row.problem:
                    rejects.append(Reject(index, self._text_of(row), ConnectError(self._locate(row.line, row.problem))))
                else:
                    records.append(dict(zip(self.names, row.cells, strict=True)))
                    numbers.append((index, row.line))
        if self._partitions:
            for record in records:
                record.update(self._partitions)
        if self._parse is not None:
            cells, (records, failures) = records, parse_each(self._parse, records)
            if failures and numbers is None:
                taken = self._read_carefully(list(self._lines.taken))
                numbers = [(index, row.line) for index, row in enumerate(taken, first)]
            for at, error in failures:
                index, line = (numbers or [])[at]
                located = ValidationError(self._locate(line, str(error)))
                located.__cause__ = error
                rejects.append(Reject(index, cells[at], located))
        self._lines.settle(len(records) + len(rejects))
        return records, rejects

    def _read_fast(self, limit: int) -> list[dict[str, str]] | None:
        """Read records without looking at each; ``None`` if something is off."""
        records: list[dict[str, str]] = []
        reader = self._format.reader(map(self._decode, self._lines))
        width = len(self.names)
        try:
            while rows := list(islice(reader, min(_AT_ONCE, limit - len(records)))):
                widths = set(map(len, rows))
                if 0 in widths:  # blank lines
                    widths.discard(0)
                    rows = list(filter(None, rows))
                if not widths <= {width}:
                    return None
                records.extend(map(dict, map(zip, repeat(self.names), rows)))
        except (csv.Error, UnicodeDecodeError):
            return None
        return None if b"\0" in b"".join(self._lines.taken) else records

    def _read_carefully(self, taken: Sequence[bytes]) -> Iterator[Row]:
        """Read the rows in these lines, the last that were taken, with as many further lines as the last row needs."""
        line = self._lines.position.line + len(self._lines.taken) - len(taken) + 1
        return self._careful.read(taken, iter(self._lines), line, lambda: self._lines.settle(0))

    def _text_of(self, row: Row) -> str | bytes:
        content = row.content.rstrip(b"\r\n")
        try:
            return content.decode(self._format.encoding)
        except UnicodeDecodeError:
            return content

    def _locate(self, line: int, problem: str) -> str:
        return f"{self._lines.name}, line {line}: {problem}"
