"""Reading the rows of a CSV file with care: one by one, and of each that cannot be read, why."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO


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
class Row:
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


class CarefulReader:
    """Reads rows one by one.

    Args:
        file_format: How they are written.

    Attributes:
        names: The names of the columns, once they are known.
    """

    def __init__(self, file_format: CsvFormat) -> None:
        self._format = file_format
        self.names: Sequence[str] = ()

    def read(
        self, lines: Sequence[bytes], more: Iterator[bytes], line: int, pass_over: Callable[[], None]
    ) -> Iterator[Row]:
        """Read the rows in these lines, with as many of those after them as the last row needs.

        Args:
            lines: The lines.
            more: Those after them.
            line: The number of the first.
            pass_over: Called for each line that is too much to be kept.
        """
        pending = deque(lines)
        while pending:
            feed = _Feed(pending, more, self._format.encoding)
            skipped = 0
            try:
                cells = next(self._format.reader(feed))
                problem = self._problem_with(cells, feed.row) if cells else ""
            except csv.Error as error:
                cells = []
                skipped = _skip_overlong(feed, pass_over)
                problem = _explain_csv_error(error, feed, len(feed.row) + skipped)
            if cells or problem:
                yield Row(line, b"".join(feed.row), cells, problem)
            line += len(feed.row) + skipped

    def read_one(self, content: bytes) -> tuple[Sequence[str], str]:
        """Read what should be one row; its cells, or what is wrong with it."""
        rows = list(self.read(BytesIO(content).readlines(), iter(()), 1, lambda: None))
        if len(rows) != 1:
            return (), f"there are {len(rows)} rows in it, and one is expected" if rows else "the row is blank"
        return rows[0].cells, rows[0].problem

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
        if self.names and len(cells) != len(self.names):
            return (
                f"the row has {len(cells)} cells and the header {len(self.names)} ({', '.join(self.names):.200}): "
                f"a cell with {self._format.delimiter!r} in it must be quoted"
            )
        return ""


def _skip_overlong(feed: _Feed, pass_over: Callable[[], None]) -> int:
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
        pass_over()
        if line.count(b'"') % 2:
            break
    return skipped


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
