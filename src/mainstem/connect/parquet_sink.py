"""``ParquetSink``: frames, or records, into a Parquet file."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Literal, TypeAlias, get_args

from mainstem.connect.files import FilePath
from mainstem.connect.frame_file_sink import FrameFileSink
from mainstem.options import check_choice, check_count

ParquetCompression: TypeAlias = Literal["zstd", "snappy", "gzip", "lz4", "brotli", "none"]
ROW_GROUP_ROWS = 262_144


class ParquetSink(FrameFileSink):
    """Write frames, or records, to a Parquet file, which appears, or replaces the one there was, when all are written.

    Frames are written as they are; all have the same columns. Records need a schema. One with other fields than that,
    or a value that its column cannot take unchanged, fails the load, and nothing is stored; with ``continue_on_error``
    it is recorded in ``context.errors`` and left out. A row group is held in memory, and written at once.

    A file of an object store (``s3://``, ``gs://``, ``az://``, ``memory://`` and what fsspec knows) is made on this
    machine's disk and uploaded when the run has succeeded; nobody sees a part of it.

    In a durable run into a local file each record is written exactly once: batches are gathered in a hidden folder
    beside the file, which is made of them and appears when the run completes. In an object store that takes conditional
    writes: S3, Google Cloud Storage and Azure have them, what fsspec opens is refused.

    Args:
        path: The file, or its URL.
        schema: The columns of records: a record type, or what Polars calls the types by name, such as
            ``{"id": pl.Int64}``. Frames must have those columns, if it is given.
        compression: How columns are packed.
        row_group_rows: Rows in a row group, but the last.
        continue_on_error: Whether to record what does not fit and go on.
        storage_options: How URLs are opened, as for ``ParquetSource``.
        name: The stage's name in reports.

    Raises:
        ConnectError: If the URL is of nothing that can be written.
        TypeError: If ``schema`` is none, or has a field that no column can hold.
        ValueError: If another option cannot be one.
        MissingExtraError: If ``mainstem[frames]`` is not installed, or for a URL ``mainstem[files]``.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> import polars as pl
        >>> from mainstem import Pipeline
        >>> with TemporaryDirectory() as folder:
        ...     sink = ParquetSink(Path(folder, "people.parquet"), schema={"name": pl.String, "age": pl.Int64})
        ...     report = Pipeline("people").add_stage(sink).run([{"name": "Ada", "age": 36}]).unwrap()
        ...     print(report.records_loaded, pl.read_parquet(Path(folder, "people.parquet")).rows())
        1 [('Ada', 36)]
    """

    def __init__(
        self,
        path: FilePath,
        *,
        schema: type[Any] | Mapping[str, Any] | None = None,
        compression: ParquetCompression = "zstd",
        row_group_rows: int = ROW_GROUP_ROWS,
        continue_on_error: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        check_choice("compression of ParquetSink", compression, get_args(ParquetCompression))
        check_count("row_group_rows of ParquetSink", row_group_rows)
        self._compression = compression
        super().__init__(path, storage_options, schema, row_group_rows, continue_on_error, name)

    def _open_writer(self, file: Any, schema: Any) -> Any:
        parquet: Any = import_module("pyarrow.parquet")
        return parquet.ParquetWriter(file, schema, compression=self._compression)
