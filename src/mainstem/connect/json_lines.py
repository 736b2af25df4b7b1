"""``JsonLinesSource``: the records of a file of JSON objects, one per line."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, Literal, cast, overload

from typing_extensions import TypeVar

from mainstem.connect.block_file import BlockFile
from mainstem.connect.compression import Compression, check_compression
from mainstem.connect.file_source import FileReader, FileSource
from mainstem.connect.json_fields import JsonFields
from mainstem.connect.json_frames import JsonLinesFrameReader
from mainstem.connect.json_lines_reader import JsonLinesReader, error_for, explain, line_parser
from mainstem.connect.line_file import LineFile, LinePosition
from mainstem.connect.locations import FilePaths
from mainstem.connect.record_type import model_of
from mainstem.connect.stored_file import StoredFile
from mainstem.endpoints import Output_co, Position
from mainstem.errors import ConnectError, missing_extra
from mainstem.frame_data import import_polars
from mainstem.records import record_parser
from mainstem.type_hints import list_of

if TYPE_CHECKING:
    import polars

T = TypeVar("T")
R = TypeVar("R")


class JsonLinesSource(FileSource[T, Output_co], Generic[T, Output_co]):
    r"""Read the records of a JSON Lines file, in order: an object on each line, in UTF-8.

    Blank lines are passed over; gzip and zstd files are unpacked on the way. A position is a byte offset (of the
    unpacked content) with the numbers of records and lines before it, and reading starts there at once; in a compressed
    file, or from a web server that knows no ranges, it takes reading all that comes before.

    Any path may be a URL (``file``, ``s3``, ``gs``, ``az``, ``http``, ``https``, ``memory``, and what fsspec knows), a
    pattern, or a list of those; credentials are found in the environment, or given. Patterns (``*``, ``?``, ``[``, and
    ``**`` for any folders) give files in the order of their names, and a list in its own. Of several files a position
    says in which it is, and a run is resumed only if none was added, changed or removed. A remote file that changes
    while it is read is an error; of a local one see below.

    What somebody appends while the file is read is read as well. It is an error if the file becomes shorter, begins
    with something else at the end than at the beginning, or grows where a line was not complete. A durable run is
    resumed with the file that it began with: path, size, time of change and both ends must be the same.

    A line that cannot be read fails the run: one that is not JSON or no object, that has the same key twice, a number
    that JSON does not know (NaN, Infinity) or Python cannot hold, or is nested too deep. With ``continue_on_error`` it
    is recorded in ``context.errors`` with its text and number, and the rest is read; ``read_again`` takes such a text,
    mended, or the object as a dict.

    With ``as_frames`` a block of lines is read at once, into a column for each field of ``record_type``. A line is then
    read as its field says, and not parsed into a record: no validator of a model is called, a key that is missing is
    null, days and times are texts as ISO 8601 has them, and what is in other keys is passed over.

    Args:
        path: The file or files.
        record_type: What the records are: ``dict``, or a dataclass, ``TypedDict``, msgspec ``Struct`` or pydantic
            model, into which the objects are parsed.
        as_frames: Whether to give frames of Polars, and not records.
        continue_on_error: Whether to record lines that cannot be read and go on.
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
        MissingExtraError: If the record type needs ``mainstem[models]``, the URL ``mainstem[files]``, or ``as_frames``
            ``mainstem[frames]``, and that is not installed.
        TypeError: If ``record_type`` is none, or is missing where ``as_frames`` needs it, or has a field that no column
            can hold.
        ValueError: If there is no such compression.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from mainstem import Pipeline
        >>> with TemporaryDirectory() as folder:
        ...     people = Path(folder, "people.jsonl")
        ...     _ = people.write_text('{"name": "Ada", "age": 36}\n')
        ...     Pipeline[None, list[dict[str, object]]]("people").add_stage(JsonLinesSource(people)).run().data
        [{'name': 'Ada', 'age': 36}]
    """

    not_in_shape = FileSource.not_in_shape | {"fields"}  # which are those of the record type

    @overload
    def __init__(
        self: JsonLinesSource[dict[str, Any]],
        path: FilePaths,
        *,
        record_type: type[dict[Any, Any]] = ...,
        as_frames: Literal[False] = ...,
        continue_on_error: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        partitions: bool = False,
        compression: Compression = "infer",
        max_decompressed_bytes: int | None = None,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: JsonLinesSource[R],
        path: FilePaths,
        *,
        record_type: type[R],
        as_frames: Literal[False] = ...,
        continue_on_error: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        partitions: bool = False,
        compression: Compression = "infer",
        max_decompressed_bytes: int | None = None,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: JsonLinesSource[Any, polars.DataFrame],
        path: FilePaths,
        *,
        record_type: type[Any],
        as_frames: Literal[True],
        continue_on_error: bool = False,
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
        storage_options: Mapping[str, Any] | None = None,
        partitions: bool = False,
        compression: Compression = "infer",
        max_decompressed_bytes: int | None = None,
        name: str | None = None,
    ) -> None:
        check_compression(compression, max_decompressed_bytes)
        super().__init__(path, storage_options, partitions=partitions, continue_on_error=continue_on_error, name=name)
        self._compression: Compression = compression
        self._limit = max_decompressed_bytes
        self._model = model_of(record_type, "JsonLinesSource")
        self._fields = _fields_of(self._model) if as_frames else None
        self._parse_object = None if self._model is None else record_parser(self._model)
        self._parse = line_parser(self._parse_object)
        self._in_threads = self._as_frames = as_frames

    def _hints(self) -> tuple[Any, Any]:
        if self._fields is not None:
            return None, import_polars("JsonLinesSource(as_frames=True)").DataFrame
        return None, list_of(dict[str, Any] if self._model is None else self._model)

    def read_again(self, record: Any) -> T:
        if isinstance(record, Mapping):
            fields = cast("Any", record)
            return cast("T", fields if self._parse_object is None else self._parse_object(fields))
        if not isinstance(record, (str, bytes)):
            raise ConnectError(f"a line is a text, bytes or a mapping, not {type(record).__name__}")
        if self._has_partitions:
            raise ConnectError(
                "a line does not say in which folder it was: give the object as a dict, with those fields"
            )
        try:
            line = record if isinstance(record, bytes) else record.encode("utf-8")
            return cast("T", self._parse(line.strip()))
        except Exception as error:
            raise error_for(error, explain(error)) from error

    def _open(self, file: StoredFile, first: StoredFile, start: Position | None, record: int) -> FileReader:
        position = None if start is None else LinePosition.parse(start)
        lines = (BlockFile if self._fields else LineFile)(file, self._compression, self._limit, record)
        try:
            if position is not None:
                lines.seek(position)
            if isinstance(lines, BlockFile) and self._fields is not None:
                return JsonLinesFrameReader(lines, self._fields)
            return JsonLinesReader(lines, line_parser(self._parse_object, file.partitions))
        except BaseException:
            lines.close()
            raise


def _fields_of(record_type: type[Any] | None) -> JsonFields:
    try:
        import_module("pyarrow")
    except ImportError:
        raise missing_extra("JsonLinesSource(as_frames=True)", "frames") from None
    if record_type is None:
        raise TypeError("JsonLinesSource(as_frames=True) needs record_type=, whose fields are the columns")
    return JsonFields(record_type)
