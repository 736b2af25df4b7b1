"""``ArrowSink``: frames, or records, into a file of Arrow's."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Literal, TypeAlias, get_args

from mainstem.connect.files import FilePath
from mainstem.connect.frame_file_sink import FrameFileSink
from mainstem.options import check_choice, check_count

ArrowCompression: TypeAlias = Literal["lz4", "zstd", "none"]
BATCH_ROWS = 65_536


class ArrowSink(FrameFileSink):
    """Write frames, or records, to an Arrow IPC file, which appears, or replaces another, when all are written.

    All that is said of ``ParquetSink`` holds: of records and their schema, what does not fit, object stores and durable
    runs. ``ArrowSource`` reads it, as does whatever maps such files into memory.

    Args:
        path: The file, or its URL.
        schema: The columns of records: a record type, or what Polars calls the types by name, such as
            ``{"id": pl.Int64}``. Frames must have those columns, if it is given.
        compression: How columns are packed; what is to be mapped into memory as it is takes ``"none"``.
        batch_rows: Rows in a record batch, but the last.
        continue_on_error: Whether to record what does not fit and go on.
        storage_options: How URLs are opened, as for ``ArrowSource``.
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
        ...     sink = ArrowSink(Path(folder, "people.arrow"), schema={"name": pl.String, "age": pl.Int64})
        ...     report = Pipeline("people").add_stage(sink).run([{"name": "Ada", "age": 36}]).unwrap()
        ...     print(report.records_loaded, pl.read_ipc(Path(folder, "people.arrow")).rows())
        1 [('Ada', 36)]
    """

    def __init__(
        self,
        path: FilePath,
        *,
        schema: type[Any] | Mapping[str, Any] | None = None,
        compression: ArrowCompression = "lz4",
        batch_rows: int = BATCH_ROWS,
        continue_on_error: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        check_choice("compression of ArrowSink", compression, get_args(ArrowCompression))
        check_count("batch_rows of ArrowSink", batch_rows)
        self._compression = compression
        super().__init__(path, storage_options, schema, batch_rows, continue_on_error, name)

    def _open_writer(self, file: Any, schema: Any) -> Any:
        ipc: Any = import_module("pyarrow.ipc")
        packing = None if self._compression == "none" else self._compression
        return ipc.new_file(file, schema, options=ipc.IpcWriteOptions(compression=packing))
