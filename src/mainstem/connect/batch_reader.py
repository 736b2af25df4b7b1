"""Reading the rows of a file that holds Arrow record batches, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from mainstem.connect.arrow_values import RowMaker, load_arrow
from mainstem.connect.partitions import check_no_column
from mainstem.connect.rejects import Reject
from mainstem.connect.row_position import RowPosition
from mainstem.connect.stored_file import StoredFile
from mainstem.errors import ConnectError, ValidationError
from mainstem.records import parse_each

BATCH_ROWS = 8192
"""Rows that are unpacked at a time."""


class BatchReader:
    """Reads chunks of records from record batches.

    Args:
        file: What they are from.
        opened: That file, open; it is closed with the reader.
        schema: What they are of.
        batches: They, from the position on.
        position: Where they begin.
        parse: Makes a record from a dict; ``None`` if that is the record.
    """

    def __init__(
        self,
        file: StoredFile,
        opened: BinaryIO,
        schema: Any,
        batches: Iterator[Any],
        position: RowPosition,
        parse: Callable[[Any], Any] | None,
    ) -> None:
        self._file = file
        self._opened = opened
        self._rows = RowMaker(schema, file.name)
        check_no_column(file.name, self._rows.columns, file.partitions)
        self._batches = batches
        self._at = position
        self._parse = parse
        self._batch: Any = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self._rows.columns)

    @property
    def position(self) -> Mapping[str, Any]:
        """Where the next record is."""
        return self._at.to_json()

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def read_batch(self, limit: int) -> Any:
        """Read up to ``limit`` rows, as a record batch; ``None`` at the end."""
        while self._batch is None or self._batch.num_rows == 0:
            with arrow_errors(self._file, f"after row {self._at.row}"):
                self._batch = next(self._batches, None)
            if self._batch is None:
                return None
        batch, self._batch = self._batch.slice(0, limit), self._batch.slice(limit)
        return batch

    def read_chunk(self, limit: int) -> tuple[list[Any], list[Reject]] | None:
        """Read up to ``limit`` records.

        Returns:
            The records, and the rows that cannot be read, counted from the beginning; ``None`` at the end.
        """
        records: list[Any] = []
        rejects: list[Reject] = []
        taken = 0
        while taken < limit and (batch := self.read_batch(limit - taken)) is not None:
            made, failed = self._records_of(batch)
            records += made
            rejects += failed
            taken += batch.num_rows
        return (records, rejects) if taken else None

    def _records_of(self, batch: Any) -> tuple[list[Any], list[Reject]]:
        at = self._at
        rows, refused = self._rows.rows(batch)
        rejects = [
            Reject(at.record + number, {**row, **self._file.partitions}, ConnectError(self._locate(number, why)))
            for number, row, why in refused
        ]
        if self._file.partitions:
            for row in rows:
                row.update(self._file.partitions)
        records: list[Any] = rows
        if self._parse is not None:
            records, failures = parse_each(self._parse, rows)
            gone = {number for number, _, _ in refused}
            numbers = [number for number in range(batch.num_rows) if number not in gone]
            for index, error in failures:
                located = ValidationError(self._locate(numbers[index], str(error)))
                located.__cause__ = error
                rejects.append(Reject(at.record + numbers[index], rows[index], located))
        self._at = RowPosition(at.row + batch.num_rows, at.record + batch.num_rows)
        return records, rejects

    def _locate(self, number: int, problem: str) -> str:
        return f"{self._file.name}, row {self._at.row + number + 1}: {problem}"


@contextmanager
def arrow_errors(file: StoredFile, where: str = "") -> Generator[None]:
    """Turn the errors of pyarrow into a ``ConnectError`` that says what to do.

    Raises:
        ConnectError: In place of them.
    """
    arrow = load_arrow(f"Reading {file.name}")
    with file.errors("read"):
        try:
            yield
        except (arrow.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # an error of the operating system
            text = str(error).split("\n")[0].rstrip(". ")
            place = f" {where}" if where else ""
            raise ConnectError(
                f"cannot read {file.name}{place}: {text}; is it complete, and of that format? Fetch it again"
            ) from error


def skip(batches: Iterator[Any], rows: int) -> Iterator[Any]:
    """Leave out the first rows of some batches."""
    for batch in batches:
        if rows >= batch.num_rows:
            rows -= batch.num_rows
            continue
        yield batch.slice(rows)
        rows = 0


def shorter(file: StoredFile, row: int, rows: int) -> ConnectError:
    """Make the error for a position behind the end."""
    return ConnectError(
        f"cannot go on reading {file.name} at row {row}: the file is shorter, it has {rows}; was it replaced?"
    )
