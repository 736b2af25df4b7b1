"""``CsvSink``: records into a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from anyio.to_thread import run_sync

from mainstem.connect.csv_rows import CsvFormat
from mainstem.connect.file_sink import FileSink
from mainstem.connect.file_target import Batch, FileTarget, Pending
from mainstem.connect.files import FilePath
from mainstem.connect.rejects import Reject, settle_rejects
from mainstem.connect.rows import Row, RowReader, keys_of, shown
from mainstem.context import PipelineContext
from mainstem.endpoints import Claim, Position, SinkTransaction
from mainstem.errors import ConnectError, ValidationError, describe_error


class CsvSink(FileSink):
    r"""Write records to a CSV file, which appears, or replaces the one there was, when all are written.

    Records are mappings or of a record type, and all have the same keys, those of the first, which become the header
    row. A value is written so that reading it as the type it had gives it back: numbers in full, ``bool`` as ``true``
    and ``false``, ``datetime``, ``date`` and ``time`` in ISO form, ``Decimal`` and ``UUID`` as text, an ``Enum`` as
    its value, ``None`` as an empty cell (as is an empty text: CSV cannot tell them apart). A record with other keys,
    or with a value that has no such form (a list, bytes, NUL, a lone surrogate, any other object), fails the load, and
    nothing is stored; with ``continue_on_error`` it is recorded in ``context.errors`` and left out.

    The file is UTF-8 with CRLF line ends, as RFC 4180 has it.

    In a durable run each record is written exactly once. The batches are gathered in a hidden folder beside the file,
    which appears when the run completes; until then, whatever becomes of the run, what was there stays as it was. In a
    packed file each batch is packed by itself, which every reader takes. On this machine that needs a POSIX system.

    A file of an object store (``s3://``, ``gs://``, ``az://``, ``memory://`` and what fsspec knows) is made on this
    machine's disk and uploaded when the run has succeeded. A durable run keeps its batches as objects in a hidden
    folder there, which takes conditional writes: S3, Google Cloud Storage and Azure have them, what fsspec opens is
    refused.

    Args:
        path: The file, or its URL; packed with gzip where it ends in ``.gz``, with zstd where in ``.zst``.
        columns: The keys, in the order of the columns; those of the first record by default. Without them, a load of no
            records writes an empty file.
        continue_on_error: Whether to record what cannot be written and go on.
        delimiter: What separates the cells.
        storage_options: How URLs are opened, as for ``CsvSource``.
        name: The stage's name in reports.

    Raises:
        ConnectError: If the URL is of nothing that can be written.
        MissingExtraError: If it is a URL, and ``mainstem[files]`` is not installed; when it writes, for zstd.
        TypeError: If ``delimiter`` is no single character.
        ValueError: If ``columns`` is empty, or has an empty name or the same name twice; if ``delimiter`` is a quote.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from mainstem import Pipeline
        >>> with TemporaryDirectory() as folder:
        ...     sink = CsvSink(Path(folder, "people.csv"))
        ...     report = Pipeline("people").add_stage(sink).run([{"name": "Ada", "born": date(1815, 12, 10)}]).unwrap()
        ...     print(report.records_loaded, Path(folder, "people.csv").read_text())
        1 name,born
        Ada,1815-12-10
        <BLANKLINE>
    """

    def __init__(
        self,
        path: FilePath,
        *,
        columns: Sequence[str] | None = None,
        continue_on_error: bool = False,
        delimiter: str = ",",
        storage_options: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        self._file = FileTarget(path, storage_options)
        self._columns = None if columns is None else tuple(columns)
        if self._columns is not None:
            _check_columns(self._columns)
        self._continue_on_error = continue_on_error
        self._delimiter = CsvFormat(delimiter, "utf-8").delimiter
        if name is not None:
            self.name = name

    async def begin(self, context: PipelineContext) -> SinkTransaction[Any]:
        pending = self._file.pending()
        transaction = _CsvTransaction(pending, context, self.name, self._delimiter, self._continue_on_error)
        if self._columns is not None:
            transaction.write_header(self._columns)
        return transaction

    async def begin_batch(self, context: PipelineContext, claim: Claim, sequence: int) -> SinkTransaction[Any]:
        part = await self._begin_part(claim, sequence)
        transaction = _CsvBatch(part, context, self.name, self._delimiter, self._continue_on_error)
        try:
            transaction.go_on_with(self._columns, self.target)
        except BaseException:
            part.discard()
            raise
        return transaction

    def _content_of_none(self) -> bytes:
        return b"" if self._columns is None else _encoded([self._columns], self._delimiter)


def _check_columns(columns: Sequence[str]) -> None:
    """Check that reading the header gives these names back.

    Raises:
        ValueError: If it does not.
    """
    if not columns or "" in columns or len(set(columns)) != len(columns):
        raise ValueError(
            f"the columns of a CSV file need names, each one its own, and these are {list(columns)!r:.200}"
        )
    if columns[0].startswith("\ufeff"):
        raise ValueError(f"the first column's name, {columns[0]!r}, begins with a byte order mark: remove it")
    for name in columns:
        _text_form(name)


class _CsvTransaction(SinkTransaction[Any]):
    def __init__(
        self,
        file: Pending | Batch,
        context: PipelineContext,
        stage: str,
        delimiter: str,
        go_on: bool,
    ) -> None:
        self._file = file
        self._context = context
        self._stage = stage
        self._delimiter = delimiter
        self._go_on = go_on
        self.reader: RowReader | None = None

    def write_header(self, columns: Sequence[str]) -> None:
        self.reader = RowReader(columns, "the file")
        self._file.write(self._encode([columns]))

    async def write(self, records: Sequence[Any]) -> int:
        failures: list[tuple[int, Exception]] = []
        start = 0
        while self.reader is None and start < len(records):
            try:
                columns = keys_of(records[start])
                _check_columns(columns)
            except ValueError as error:
                failures.append((start, error))
                start += 1
            else:
                self.write_header(columns)
        content = b""
        if self.reader is not None:
            rows, mismatched = self.reader.read(records[start:])
            failures += [(start + at, error) for at, error in mismatched]
            failed = {at for at, _ in failures}
            positions = [at for at in range(len(records)) if at not in failed]
            content, unwritable = self._write_rows(rows, self.reader.columns)
            failures += [(positions[at], error) for at, error in unwritable]
        rejects = [Reject(at, records[at], error) for at, error in failures]
        rejected = settle_rejects(rejects, self._context, self._stage, go_on=self._go_on)
        self._file.write(content)
        return rejected

    def _write_rows(self, rows: list[Row], columns: Sequence[str]) -> tuple[bytes, list[tuple[int, Exception]]]:
        """Return the rows as CSV: column by column where all is well, else row by row, with those that have no form."""
        try:
            return self._encode(list(zip(*map(_column_form, zip(*rows, strict=True)), strict=True))), []
        except Exception:  # a value's own methods may raise anything
            pass  # found again below, with the record it is in
        texts: list[Row] = []
        failures: list[tuple[int, Exception]] = []
        for at, row in enumerate(rows):
            try:
                texts.append(tuple(map(_named_form, columns, row)))
            except ValueError as error:
                failures.append((at, error))
        return self._encode(texts), failures

    def _encode(self, rows: Sequence[Sequence[Any]]) -> bytes:
        return _encoded(rows, self._delimiter)

    async def commit(self, position: Position | None = None) -> None:
        await run_sync(self._file.commit)

    async def abort(self) -> None:
        await run_sync(self._file.discard)


class _CsvBatch(_CsvTransaction):
    """A batch, whose columns are those of the batch that wrote the header."""

    def __init__(self, part: Batch, context: PipelineContext, stage: str, delimiter: str, go_on: bool) -> None:
        super().__init__(part, context, stage, delimiter, go_on)
        self._part = part

    def go_on_with(self, columns: Sequence[str] | None, target: str) -> None:
        """Take the columns from the batches before, or else from what the sink was told.

        Raises:
            ConnectError: If the sink was told others.
        """
        layout = self._part.layout
        if layout is None:
            if columns is not None:
                self.write_header(columns)
            return
        told = {"columns": layout["columns"] if columns is None else list(columns), "delimiter": self._delimiter}
        if told != layout:
            raise ConnectError(
                f"cannot go on writing {target}: the run began it with {layout}, and now it is {told}; begin a new run"
            )
        self.reader = RowReader(layout["columns"], "the file")

    async def commit(self, position: Position | None = None) -> None:
        if self.reader is not None:
            self._part.layout = {"columns": list(self.reader.columns), "delimiter": self._delimiter}
        await super().commit(position)


def _encoded(rows: Sequence[Sequence[Any]], delimiter: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue().encode("utf-8")


_NUMBERS = frozenset((int, float))


def _column_form(values: Row) -> Sequence[Any]:
    kinds = set(map(type, values))
    if kinds <= _NUMBERS:
        return values  # the csv module writes them in full
    if kinds == {str}:
        joined = "".join(values)
        if "\0" not in joined:
            return values  # half a surrogate pair shows when they are encoded
    return list(map(_text_form, values))


def _named_form(name: str, value: Any) -> Any:
    try:
        return _text_form(value)
    except ValueError as error:
        raise ValidationError(f"column {name!r}: {error}") from error
    except Exception as error:
        raise ValidationError(f"column {name!r}: {describe_error(error)}") from error


def _text_form(value: Any) -> Any:
    """Return a value as the text of a cell, or as a number that the csv module writes in full.

    Raises:
        ValueError: If it has no form that reads back.
    """
    if value is None:
        return ""
    if isinstance(value, Enum):
        return _text_form(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = str.__str__(value)
        if "\0" in text:
            raise ValueError(f"a text with a NUL character has no form in CSV: {shown(text)}")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError(f"a text with half a surrogate pair has no form in UTF-8: {shown(text)}") from None
        return text
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return float.__repr__(value)
    if type(value) in (datetime, date, time):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    raise ValueError(f"{type(value).__name__} has no form in CSV: {shown(value)}")
