"""``CsvSource``: the records of a CSV file."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from typing import Any, cast, overload

from anyio.to_thread import run_sync
from typing_extensions import TypeVar

from mainstem.connect.csv_reader import CsvReader
from mainstem.connect.csv_rows import CarefulReader, CsvFormat
from mainstem.connect.files import FilePath, LineFile, LinePosition, file_errors, local_path
from mainstem.connect.fingerprints import file_fingerprint
from mainstem.connect.record_type import model_of
from mainstem.connect.rejects import settle_rejects
from mainstem.context import PipelineContext
from mainstem.endpoints import CHUNK_SIZE, Position, SourceChunk, SourceStage
from mainstem.errors import ConnectError
from mainstem.options import check_count
from mainstem.records import text_record_parser
from mainstem.type_hints import list_of

T = TypeVar("T")
R = TypeVar("R")


class CsvSource(SourceStage[T]):
    r"""Read the records of a CSV file with a header row, in order, as RFC 4180 has it.

    Quoted cells may hold line breaks; blank lines are passed over; a byte order mark is left out; a gzip file is
    unpacked on the way. A position is a byte offset (of the unpacked content) with the numbers of records and lines
    before it, and reading starts there at once; in a gzip file it takes unpacking all that comes before.

    What somebody appends while the file is read is read as well. It is an error if the file becomes shorter, begins
    with something else at the end than at the beginning, or grows where a line was not complete. A durable run is
    resumed with the file that it began with: path, size, time of change and both ends must be the same.

    A row that cannot be read (too many or too few cells, bytes that are not in the encoding, NUL, quotes that do not
    match, a cell over ``csv.field_size_limit()``, a cell that its field's type refuses) fails the run. With
    ``continue_on_error`` it is recorded in ``context.errors`` with its text and number, and the rest is read;
    ``read_again`` takes such a text, mended, or the cells as a dict.

    Args:
        path: The file.
        record_type: What the records are: ``dict`` (of texts), or a dataclass, ``TypedDict``, msgspec ``Struct`` or
            pydantic model, into which the cells are parsed. Columns that the type does not name are left to it: most
            types pass over them.
        continue_on_error: Whether to record rows that cannot be read and go on.
        null_values: Texts that stand for ``None`` in a field of a record type that may be ``None`` and is no text, such
            as ``("", "NA")``.
        delimiter: What separates the cells.
        encoding: The file's encoding, one in which line breaks are the same bytes as in ASCII.
        name: The stage's name in reports.

    Raises:
        ConnectError: If ``path`` is a URL.
        LookupError: If there is no such encoding.
        MissingExtraError: If the record type needs ``mainstem[models]``, which is not installed.
        TypeError: If ``record_type`` is none, ``delimiter`` no single character, or ``null_values`` one text.
        ValueError: If the encoding has line breaks of its own (UTF-16, UTF-32), or ``delimiter`` is a quote.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from mainstem import Pipeline
        >>> with TemporaryDirectory() as folder:
        ...     people = Path(folder, "people.csv")
        ...     _ = people.write_text("name,age\nAda,36\n")
        ...     Pipeline[None, list[dict[str, str]]]("people").add_stage(CsvSource(people)).run().data
        [{'name': 'Ada', 'age': '36'}]
    """

    @overload
    def __init__(
        self: CsvSource[dict[str, str]],
        path: FilePath,
        *,
        record_type: type[dict[Any, Any]] = ...,
        continue_on_error: bool = False,
        null_values: Collection[str] = ("",),
        delimiter: str = ",",
        encoding: str = "utf-8",
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: CsvSource[R],
        path: FilePath,
        *,
        record_type: type[R],
        continue_on_error: bool = False,
        null_values: Collection[str] = ("",),
        delimiter: str = ",",
        encoding: str = "utf-8",
        name: str | None = None,
    ) -> None: ...
    def __init__(
        self,
        path: FilePath,
        *,
        record_type: type[Any] = dict,
        continue_on_error: bool = False,
        null_values: Collection[str] = ("",),
        delimiter: str = ",",
        encoding: str = "utf-8",
        name: str | None = None,
    ) -> None:
        self._path = local_path(path)
        self._model = model_of(record_type, "CsvSource")
        if isinstance(null_values, str):
            raise TypeError(f"null_values must be a collection of texts, such as ({null_values!r},), not one text")
        self._null_values = frozenset(null_values)
        self._parse = None if self._model is None else text_record_parser(self._model, self._null_values)
        self._continue_on_error = continue_on_error
        self._format = CsvFormat(delimiter, encoding)
        self._format_of_text = CsvFormat(delimiter, "utf-8")
        if name is not None:
            self.name = name

    def _hints(self) -> tuple[Any, Any]:
        return None, list_of(dict[str, str] if self._model is None else self._model)

    async def fingerprint(self) -> Mapping[str, Any] | None:
        return await run_sync(file_fingerprint, self._path)

    def read_again(self, record: Any) -> T:
        if isinstance(record, Mapping):
            cells = cast("dict[str, Any]", record)
            if self._parse is None:
                self._check_cells(cells)
        else:
            cells = self._cells_of(record)
        return cast("T", cells if self._parse is None else self._parse(cells))

    def _cells_of(self, row: Any) -> dict[str, Any]:
        if not isinstance(row, (str, bytes)):
            raise ConnectError(f"a row is a text, bytes or a mapping of texts, not {type(row).__name__}")
        try:
            content = row if isinstance(row, bytes) else row.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ConnectError("the row has half a surrogate pair in it: remove it") from error
        reader = CarefulReader(self._format if isinstance(row, bytes) else self._format_of_text)
        reader.names = self._column_names()
        cells, problem = reader.read_one(content)
        if problem:
            raise ConnectError(problem)
        return dict(zip(reader.names, cells, strict=True))

    def _check_cells(self, cells: Mapping[str, Any]) -> None:
        names = self._column_names()
        if set(cells) != set(names) or not all(isinstance(cell, str) for cell in cells.values()):
            raise ConnectError(f"a row has a text for each column of {self._path}: {', '.join(names):.200}")

    def _column_names(self) -> Sequence[str]:
        with LineFile(self._path) as lines:
            reader = CsvReader(lines, self._format, None)
            reader.read_header()
            return reader.names

    async def read(
        self, context: PipelineContext, *, start: Position | None = None, chunk_size: int = CHUNK_SIZE
    ) -> AsyncGenerator[SourceChunk[T], None]:
        check_count("chunk_size", chunk_size)
        with LineFile(self._path) as lines:
            reader = CsvReader(lines, self._format, self._parse)
            reader.read_header()
            if start is not None:
                lines.seek(LinePosition.parse(start))
            while True:
                with file_errors(self._path, "read"):
                    chunk = reader.read_chunk(chunk_size)
                if chunk is None:
                    return
                records, rejects = chunk
                failed = settle_rejects(
                    rejects, context, self.name, go_on=self._continue_on_error, first=context.chunk_start
                )
                if records or failed:
                    yield SourceChunk(records, lines.position.to_json(), failed)
