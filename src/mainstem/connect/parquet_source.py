"""``ParquetSource``: the rows of a Parquet file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, Literal, overload

from typing_extensions import TypeVar

from mainstem.connect.batch_reader import BATCH_ROWS, shorter, skip
from mainstem.connect.batch_source import BatchSource
from mainstem.connect.locations import FilePaths
from mainstem.connect.stored_file import StoredFile
from mainstem.endpoints import Output_co
from mainstem.frame_data import FRAME_ROWS

if TYPE_CHECKING:
    import polars

T = TypeVar("T")
R = TypeVar("R")

_BUFFER_BYTES = 1 << 20


class ParquetSource(BatchSource[T, Output_co], Generic[T, Output_co]):
    """Read the rows of a Parquet file, in order, a row group at a time at most.

    Any path may be a URL (``file``, ``s3``, ``gs``, ``az``, ``http``, ``https``, ``memory``, and what fsspec knows), a
    pattern, or a list of those; credentials are found in the environment, or given. Patterns (``*``, ``?``, ``[``, and
    ``**`` for any folders) give files in the order of their names, and a list in its own. All files must have the same
    columns, in the same order. Of several files a position says in which it is, and a run is resumed only if none was
    added, changed or removed. A remote file that changes while it is read is an error.

    A position is a number of rows. Reading starts at once with the row group that it is in. A file of a web
    server that knows no ranges is copied to a temporary file first.

    Values are the same in Python, or refused; the table is in ``mainstem.connect.arrow_values``. A row that cannot be
    read (nanoseconds, which Python's times have not; a year beyond 9999; a value that its field's type refuses) fails
    the run. With ``continue_on_error`` it is recorded in ``context.errors`` with its number, the values that cannot be
    had as texts, and the rest is read; ``read_again`` takes such a row, mended, as a dict. A column of a type that
    Python has not is an error: leave it out.

    Args:
        path: The file or files.
        columns: The columns to read, in this order; all, if not given.
        record_type: What the records are: ``dict``, or a dataclass, ``TypedDict``, msgspec ``Struct`` or pydantic
            model, into which the rows are parsed.
        as_frames: Whether to give frames of Polars, and not records; their columns have the types of the file.
        continue_on_error: Whether to record rows that cannot be read and go on.
        storage_options: How URLs are opened, such as ``{"region": "eu-west-1"}``: what obstore takes for the kind of
            store, with its ``client_options`` and ``retry_config``; for other URLs what fsspec's class takes. Values
            are never shown, but those of endpoints and the like.
        partitions: Whether folders such as ``year=2024/month=01`` stand for fields, which every record then has, as
            texts. The path may then be a folder; what begins with a dot or ``_`` in it is passed over.
        name: The stage's name in reports.

    Raises:
        ConnectError: If ``path`` is a URL of a kind that is not supported.
        MissingExtraError: If ``mainstem[frames]`` is not installed, or the URL needs ``mainstem[files]``, or the record
            type ``mainstem[models]``, and that is not.
        TypeError: If ``record_type`` is none, or ``columns`` no names.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> import polars
        >>> from mainstem import Pipeline
        >>> with TemporaryDirectory() as folder:
        ...     people = Path(folder, "people.parquet")
        ...     polars.DataFrame({"name": ["Ada"], "age": [36]}).write_parquet(people)
        ...     Pipeline[None, list[dict[str, object]]]("people").add_stage(ParquetSource(people)).run().data
        [{'name': 'Ada', 'age': 36}]
    """

    @overload
    def __init__(
        self: ParquetSource[dict[str, Any]],
        path: FilePaths,
        *,
        columns: Sequence[str] | None = None,
        record_type: type[dict[Any, Any]] = ...,
        as_frames: Literal[False] = ...,
        continue_on_error: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        partitions: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: ParquetSource[R],
        path: FilePaths,
        *,
        columns: Sequence[str] | None = None,
        record_type: type[R],
        as_frames: Literal[False] = ...,
        continue_on_error: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        partitions: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: ParquetSource[Any, polars.DataFrame],
        path: FilePaths,
        *,
        columns: Sequence[str] | None = None,
        as_frames: Literal[True],
        continue_on_error: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        partitions: bool = False,
        name: str | None = None,
    ) -> None: ...
    def __init__(
        self,
        path: FilePaths,
        *,
        columns: Sequence[str] | None = None,
        record_type: type[Any] = dict,
        as_frames: bool = False,
        continue_on_error: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        partitions: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(
            path,
            columns,
            record_type,
            storage_options,
            as_frames=as_frames,
            partitions=partitions,
            continue_on_error=continue_on_error,
            name=name,
        )

    def _read_batches(self, file: StoredFile, opened: BinaryIO, row: int) -> tuple[Any, Iterator[Any]]:
        parquet: Any = import_module("pyarrow.parquet")
        # Over a network the columns of a row group are asked for together, and not each page on its own.
        content = parquet.ParquetFile(
            opened,
            pre_buffer=not file.is_local,
            buffer_size=_BUFFER_BYTES * file.is_local,
            page_checksum_verification=True,
        )
        schema = content.schema_arrow
        columns = self._selected(file, schema.names)
        if columns is not None:
            schema = import_module("pyarrow").schema([schema.field(name) for name in columns])
        if row > content.metadata.num_rows:
            raise shorter(file, row, content.metadata.num_rows)
        return schema, _row_groups(content, columns, row, FRAME_ROWS if self._as_frames else BATCH_ROWS)


def _row_groups(content: Any, columns: list[str] | None, row: int, batch_rows: int) -> Iterator[Any]:
    for group in range(content.num_row_groups):
        rows = content.metadata.row_group(group).num_rows
        if row >= rows:
            row -= rows
            continue
        batches = content.iter_batches(batch_size=batch_rows, row_groups=[group], columns=columns)
        for batch in skip(batches, row):
            yield batch if columns is None else batch.select(columns)
        row = 0
