"""``CsvSource``: the records of a CSV file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, cast, overload

from typing_extensions import TypeVar

from mainstem.connect.block_file import BlockFile
from mainstem.connect.compression import Compression, check_compression
from mainstem.connect.csv_frames import CsvFrameReader
from mainstem.connect.csv_reader import CsvReader
from mainstem.connect.csv_rows import CarefulReader, CsvFormat
from mainstem.connect.file_source import FileReader, FileSource
from mainstem.connect.frame_fields import fields_of
from mainstem.connect.line_file import LineFile, LinePosition
from mainstem.connect.locations import FilePaths
from mainstem.connect.record_type import model_of
from mainstem.connect.stored_file import StoredFile
from mainstem.endpoints import Output_co, Position
from mainstem.errors import ConnectError
from mainstem.frame_data import import_polars
from mainstem.records import text_record_parser
from mainstem.type_hints import list_of

if TYPE_CHECKING:
    import polars

T = TypeVar("T")
R = TypeVar("R")


class CsvSource(FileSource[T, Output_co], Generic[T, Output_co]):
    r"""Read the records of a CSV file with a header row, in order, as RFC 4180 has it.

    Quoted cells may hold line breaks; blank lines are passed over; a byte order mark is left out; gzip and zstd files
    are unpacked on the way. A position is a byte offset (of the unpacked content) with the numbers of records and lines
    before it, and reading starts there at once; in a compressed file, or from a web server that knows no ranges, it
    takes reading all that comes before.

    Any path may be a URL (``file``, ``s3``, ``gs``, ``az``, ``http``, ``https``, ``memory``, and what fsspec knows), a
    pattern, or a list of those; credentials are found in the environment, or given. Patterns (``*``, ``?``, ``[``, and
    ``**`` for any folders) give files in the order of their names, and a list in its own. Of several files a position
    says in which it is, and a run is resumed only if none was added, changed or removed. A remote file that changes
    while it is read is an error; of a local one see below. All files must have the same
    columns, in the same order.

    What somebody appends while the file is read is read as well. It is an error if the file becomes shorter, begins
    with something else at the end than at the beginning, or grows where a line was not complete. A durable run is
    resumed with the file that it began with: path, size, time of change and both ends must be the same.

    A row that cannot be read (too many or too few cells, bytes that are not in the encoding, NUL, quotes that do not
    match, a cell over ``csv.field_size_limit()``, a cell that its field's type refuses) fails the run. With
    ``continue_on_error`` it is recorded in ``context.errors`` with its text and number, and the rest is read;
    ``read_again`` takes such a text, mended, or the cells as a dict.

    Args:
        path: The file or files.
        record_type: What the records are: ``dict`` (of texts), or a dataclass, ``TypedDict``, msgspec ``Struct`` or
            pydantic model, into which the cells are parsed. Columns that the type does not name are left to it: most
            types pass over them.
        as_frames: Whether to give frames of Polars, of some megabytes each, and not records: with a column for each
            field of the record type, or for each column of the file, as texts. It takes ``mainstem[frames]``.
        continue_on_error: Whether to record rows that cannot be read and go on.
        null_values: Texts that stand for ``None`` in a field of a record type that may be ``None`` and is no text, such
            as ``("", "NA")``.
        delimiter: What separates the cells.
        encoding: The file's encoding, one in which line breaks are the same bytes as in ASCII.
        storage_options: How URLs are opened, such as ``{"region": "eu-west-1"}``: what obstore takes for the kind of
            store, with its ``client_options`` and ``retry_config``; for other URLs what fsspec's class takes. Values
            are never shown, but those of endpoints and the like.
        partitions: Whether folders such as ``year=2024/month=01`` stand for fields, which every record then has, as
            texts. The path may then be a folder; what begins with a dot or ``_`` in it is passed over.
        compression: ``"gzip"``, ``"zstd"``, ``None``, or ``"infer"``, which sees it from the first bytes.
        max_decompressed_bytes: What a compressed file may unpack to, at most; by default 250 times what was read of it,
            and always 256 MiB.
        name: The stage's name in reports.

    Raises:
        ConnectError: If ``path`` is a URL of a kind that is not supported.
        LookupError: If there is no such encoding.
        MissingExtraError: If the record type needs ``mainstem[models]``, or the URL ``mainstem[files]``, and that is
            not installed.
        TypeError: If ``record_type`` is none, ``delimiter`` no single character, or ``null_values`` one text.
        ValueError: If the encoding has line breaks of its own (UTF-16, UTF-32), ``delimiter`` is a quote, or
            there is no such compression.

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
        path: FilePaths,
        *,
        record_type: type[dict[Any, Any]] = ...,
        as_frames: Literal[False] = ...,
        continue_on_error: bool = False,
        null_values: Collection[str] = ("",),
        delimiter: str = ",",
        encoding: str = "utf-8",
        storage_options: Mapping[str, Any] | None = None,
        partitions: bool = False,
        compression: Compression = "infer",
        max_decompressed_bytes: int | None = None,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: CsvSource[R],
        path: FilePaths,
        *,
        record_type: type[R],
        as_frames: Literal[False] = ...,
        continue_on_error: bool = False,
        null_values: Collection[str] = ("",),
        delimiter: str = ",",
        encoding: str = "utf-8",
        storage_options: Mapping[str, Any] | None = None,
        partitions: bool = False,
        compression: Compression = "infer",
        max_decompressed_bytes: int | None = None,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: CsvSource[Any, polars.DataFrame],
        path: FilePaths,
        *,
        record_type: type[Any] = ...,
        as_frames: Literal[True],
        continue_on_error: bool = False,
        null_values: Collection[str] = ("",),
        delimiter: str = ",",
        encoding: str = "utf-8",
        storage_options: Mapping[str, Any] | None = None,
        partitions: bool = False,
        compression: Compression = "infer",
        max_decompressed_bytes: int | None = None,
        name: str | None = None,
    ) -> None: ...
    def __init__(
        self,
        path: FilePaths,
        *,
        record_type: type[Any] = dict,
        as_frames: bool = False,
        continue_on_error: bool = False,
        null_values: Collection[str] = ("",),
        delimiter: str = ",",
        encoding: str = "utf-8",
        storage_options: Mapping[str, Any] | None = None,
        partitions: bool = False,
        compression: Compression = "infer",
        max_decompressed_bytes: int | None = None,
        name: str | None = None,
    ) -> None:
        check_compression(compression, max_decompressed_bytes)
        if as_frames:
            import_polars("CsvSource(as_frames=True)")
        self._in_threads = as_frames
        super().__init__(path, storage_options, partitions=partitions, continue_on_error=continue_on_error, name=name)
        self._compression: Compression = compression
        self._limit = max_decompressed_bytes
        self._model = model_of(record_type, "CsvSource")
        if isinstance(null_values, str):
            raise TypeError(f"null_values must be a collection of texts, such as ({null_values!r},), not one text")
        self._null_values = frozenset(null_values)
        self._as_frames = as_frames
        self._fields = None if self._model is None or not as_frames else fields_of(self._model, self._null_values)
        self._parse = None if self._model is None else text_record_parser(self._model, self._null_values)
        self._format = CsvFormat(delimiter, encoding)
        self._format_of_text = CsvFormat(delimiter, "utf-8")

    def _hints(self) -> tuple[Any, Any]:
        if self._as_frames:
            return None, import_polars("CsvSource(as_frames=True)").DataFrame
        return None, list_of(dict[str, str] if self._model is None else self._model)

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
        if self._has_partitions:
            raise ConnectError("a row does not say in which folder it was: give its cells as a dict, with those fields")
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
            raise ConnectError(f"a row has a text for each column of {self._locations.name}: {', '.join(names):.200}")

    def _column_names(self) -> Sequence[str]:
        first = self._locations.find()[0][0]
        return (*self._names_in(first), *first.partitions)

    def _names_in(self, file: StoredFile) -> Sequence[str]:
        with LineFile(file, self._compression, self._limit) as lines:
            reader = CsvReader(lines, self._format, None)
            reader.read_header()
            return reader.names

    def _open(self, file: StoredFile, first: StoredFile, start: Position | None, record: int) -> FileReader:
        position = None if start is None else LinePosition.parse(start)
        lines = (BlockFile if self._as_frames else LineFile)(file, self._compression, self._limit, record)
        try:
            reader = self._reader_of(lines)
            reader.read_header()
            if file is not first:
                self._check_header(file, reader.names, first)
            first.columns = reader.names if file is first else first.columns
            if position is not None:
                lines.seek(position)
        except BaseException:
            lines.close()
            raise
        return reader

    def _reader_of(self, lines: LineFile) -> CsvReader | CsvFrameReader:
        if isinstance(lines, BlockFile):
            return CsvFrameReader(lines, self._format, self._fields)
        return CsvReader(lines, self._format, self._parse)

    def _check_header(self, file: StoredFile, names: Sequence[str], first: StoredFile) -> None:
        if first.columns is None:
            first.columns = self._names_in(first)
        if names and first.columns and names != first.columns:
            raise ConnectError(
                f"{file.name} has the columns {', '.join(names):.200} and {first.name} has "
                f"{', '.join(first.columns):.200}: read files of different columns with sources of their own"
            )
