"""Reading the rows of a CSV file: chunk by chunk at the speed of ``csv``, and with care where something is off."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, repeat
from operator import methodcaller
from typing import Any

from mainstem.connect.files import LineFile, file_errors
from mainstem.connect.rejects import Reject
from mainstem.errors import ConnectError, ValidationError
from mainstem.records import parse_each

_AT_ONCE = 128
"""Rows that are held at a time: few enough to stay in the processor's cache until they are records."""


class CsvFormat:
    """How a CSV file is written.

    Raises:
        LookupError: If there is no such encoding.
        TypeError: If ``delimiter`` is no single character.
        ValueError: If the encoding does not keep line breaks as they are in ASCII.
    """

    def __init__(self, delimiter: str, encoding: str) -> None:
        csv.reader((), delimiter=delimiter, strict=True)
        if delimiter in '"\r\n' or not delimiter.isascii():
            raise ValueError(
                f"delimiter must be an ASCII character that is no quote and no line break, not {delimiter!r}"
            )
        self.delimiter = delimiter
        self.encoding = "utf-8" if encoding.lower().replace("_", "-") == "utf-8-sig" else encoding
        if '"\r\n'.encode(self.encoding) != b'"\r\n':
            raise ValueError(f"encoding {encoding!r} has line breaks of its own: convert the file to UTF-8 first")

    def reader(self, lines: Iterator[str]) -> Iterator[list[str]]:
        """Return a ``csv.reader`` that refuses what it cannot read."""
        return csv.reader(lines, delimiter=self.delimiter, strict=True)


@dataclass(slots=True)
class _Row:
    """A row that was read with care: its cells, or what is wrong with it."""

    line: int
    content: bytes
    cells: list[str]
    problem: str


class _Feed:
    """Hands lines to a ``csv.reader`` one by one and keeps those of the row at hand."""

    def __init__(self, pending: deque[bytes], more: Iterator[bytes], encoding: str) -> None:
        self._pending = pending
        self._more = more
        self._encoding = encoding
        self.row: list[bytes] = []
        self.ended = False

    def take(self) -> bytes | None:
        line = self._pending.popleft() if self._pending else next(self._more, None)
        self.ended = line is None
        return line

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.take()
        if line is None:
            raise StopIteration
        self.row.append(line)
        return line.decode(self._encoding, "surrogateescape")


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
        self._names: tuple[str, ...] = ()

    def read_header(self) -> None:
        """Read the names of the columns from the first row; an empty file has none, and no records.

        Raises:
            ConnectError: If they cannot be read, one is empty, or two are the same.
        """
        with file_errors(self._lines.path, "read"):
            for line in self._lines:
                for header in self._read_carefully([line]):
                    self._names = self._names_in(header)
                if self._names:
                    break
        self._lines.settle(0)

    def _names_in(self, header: _Row) -> tuple[str, ...]:
        names, problem = header.cells, header.problem
        repeated = [name for at, name in enumerate(names) if name in names[:at]]
        if not problem and "" in names:
            problem = f"column {names.index('') + 1} of the header has no name: give it one"
        elif not problem and repeated:
            problem = f"the header names column {repeated[0]!r} more than once: rename one"
        if problem:
            raise ConnectError(f"{self._lines.path}, line {header.line}: {problem}")
        return tuple(names)

    def read_chunk(self, limit: int) -> tuple[list[Any], list[Reject]] | None:
        """Read up to ``limit`` records.

        Returns:
            The records, and the rows that cannot be read, counted from the beginning of the file; ``None`` at its end.
        """
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
                    records.append(dict(zip(self._names, row.cells, strict=True)))
                    numbers.append((index, row.line))
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
        width = len(self._names)
        try:
            while rows := list(islice(reader, min(_AT_ONCE, limit - len(records)))):
                widths = set(map(len, rows))
                if 0 in widths:  # blank lines
                    widths.discard(0)
                    rows = list(filter(None, rows))
                if not widths <= {width}:
                    return None
                records.extend(map(dict, map(zip, repeat(self._names), rows)))
        except (csv.Error, UnicodeDecodeError):
            return None
        return None if b"\0" in b"".join(self._lines.taken) else records

    def _read_carefully(self, taken: list[bytes]) -> Iterator[_Row]:
        """Read the rows in these lines, one by one, with as many further lines as the last of them needs."""
        pending = deque(taken)
        more = iter(self._lines)
        line = self._lines.position.line + len(self._lines.taken) - len(taken) + 1
        while pending:
            feed = _Feed(pending, more, self._format.encoding)
            skipped = 0
            try:
                cells = next(self._format.reader(feed))
                problem = self._problem_with(cells, feed.row) if cells else ""
            except csv.Error as error:
                cells = []
                skipped = self._skip_overlong(feed)
                problem = _explain_csv_error(error, feed, len(feed.row) + skipped)
            if cells or problem:
                yield _Row(line, b"".join(feed.row), cells, problem)
            line += len(feed.row)

    def _problem_with(self, cells: list[str], lines: list[bytes]) -> str:
        for line in lines:
            try:
                line.decode(self._format.encoding)
            except UnicodeDecodeError as error:
                wrong = error.object[error.start]
                return (
                    f"byte 0x{wrong:02x} is not valid {self._format.encoding} ({error.reason}): "
                    "give the file's encoding, or mend the row"
                )
        if any("\0" in cell for cell in cells):
            return "the row has a NUL character in it: remove it"
        if self._names and len(cells) != len(self._names):
            return (
                f"the row has {len(cells)} cells and the header {len(self._names)} ({', '.join(self._names):.200}): "
                f"a cell with {self._format.delimiter!r} in it must be quoted"
            )
        return ""

    def _skip_overlong(self, feed: _Feed) -> int:
        """Where a quoted cell went over the csv module's limit, pass over its rest, keeping none of it in memory.

        Within quotes a doubled quote changes nothing, so the cell ends in the first line with an odd number of them.

        Returns:
            How many lines were passed over.
        """
        content = b"".join(feed.row)
        if feed.ended or len(content) <= csv.field_size_limit() or content.count(b'"') % 2 == 0:
            return 0
        skipped = 0
        while (line := feed.take()) is not None:
            skipped += 1
            self._lines.settle(0)
            if line.count(b'"') % 2:
                break
        return skipped

    def _text_of(self, row: _Row) -> str | bytes:
        content = row.content.rstrip(b"\r\n")
        try:
            return content.decode(self._format.encoding)
        except UnicodeDecodeError:
            return content

    def _locate(self, line: int, problem: str) -> str:
        return f"{self._lines.path}, line {line}: {problem}"


def _explain_csv_error(error: csv.Error, feed: _Feed, lines: int) -> str:
    limit = csv.field_size_limit()
    if sum(map(len, feed.row)) > limit and not (feed.ended and lines == len(feed.row)):
        ending = "; its quote is never closed" if feed.ended else ""
        return (
            f"a cell of this row ({lines} lines) is longer than {limit} characters, the csv module's limit{ending}: "
            "close the quote, or call csv.field_size_limit() with more"
        )
    if feed.ended:
        return f"a quote of this row is never closed, and the rest of the file ({lines} lines) is in it: close it"
    if "new-line" in str(error):
        return "a carriage return stands alone outside quotes: end lines with LF or CRLF"
    return f"its quotes do not match ({error}): a quote inside a quoted cell must be doubled"
