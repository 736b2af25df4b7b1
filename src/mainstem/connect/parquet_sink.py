"""``ParquetSink``: frames, or records, into a Parquet file."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, BinaryIO, Literal, TypeAlias

from anyio.to_thread import run_sync

from mainstem.connect.file_target import Batch, FileTarget, Pending
from mainstem.connect.files import FilePath
from mainstem.connect.frame_maker import FrameMaker
from mainstem.connect.parquet_writer import ParquetWriter, arrow_table, as_stream, write_streams
from mainstem.connect.rejects import Reject, settle_rejects
from mainstem.context import PipelineContext
from mainstem.endpoints import Claim, Position, SinkStage, SinkTransaction
from mainstem.errors import StageContractError, missing_extra
from mainstem.frame_data import import_polars, is_frame
from mainstem.options import check_count

Compression: TypeAlias = Literal["zstd", "snappy", "gzip", "lz4", "brotli", "none"]
ROW_GROUP_ROWS = 262_144


class ParquetSink(SinkStage[Any]):
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

    chunk_size = 1000  # to make a frame of records costs as much as some hundred of them
    not_in_shape = frozenset(("maker", "arrow_schema", "row_group_rows"))

    def __init__(
        self,
        path: FilePath,
        *,
        schema: type[Any] | Mapping[str, Any] | None = None,
        compression: Compression = "zstd",
        row_group_rows: int = ROW_GROUP_ROWS,
        continue_on_error: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        polars = import_polars("ParquetSink")
        try:
            import_module("pyarrow")
        except ImportError:
            raise missing_extra("ParquetSink", "frames") from None
        known: Any = getattr(Compression, "__args__")  # noqa: B009 - for type checkers
        if compression not in known:
            raise ValueError(f"compression of ParquetSink is one of {', '.join(known)}, not {compression!r}")
        check_count("row_group_rows of ParquetSink", row_group_rows)
        self._file = FileTarget(path, storage_options, self._convert)
        self._maker = None if schema is None else FrameMaker(schema, "ParquetSink", "the file")
        columns: Any = {} if self._maker is None else self._maker.schema
        self._arrow_schema: Any = arrow_table(polars.DataFrame(schema=columns), self.target).schema
        self._compression, self._row_group_rows = compression, row_group_rows
        self._continue_on_error = continue_on_error
        if name is not None:
            self.name = name

    @property
    def target(self) -> str:
        return self._file.shown

    @property
    def replaces(self) -> bool:
        return True

    def frame_of(self, records: Any, context: PipelineContext) -> tuple[Any, int]:
        """Return records as a frame, and how many of them were rejected.

        Raises:
            StageContractError: If they are records, and there is no schema; or a frame with other columns than it has.
        """
        if is_frame(records):
            if self._maker is not None and records.schema != self._maker.schema:
                raise StageContractError(
                    f"{self.target}: a frame has the columns {dict(records.schema)}, and the schema says "
                    f"{dict(self._maker.schema)}"
                )
            return records, 0
        if self._maker is None:
            raise StageContractError(
                f"{self.target}: records need ParquetSink(schema=...), a record type or the types of the columns by "
                "name, for what is seen first need not be what comes later"
            )
        frame, failures = self._maker.make(records)
        rejects = [Reject(at, records[at], error) for at, error in failures]
        return frame, settle_rejects(rejects, context, self.name, go_on=self._continue_on_error)

    def writer(self, target: Any) -> ParquetWriter:
        """Return what writes frames to a file."""
        return ParquetWriter(target, self.target, self._compression, self._row_group_rows)

    def end(self, writer: ParquetWriter) -> None:
        """End the file that a writer has written."""
        writer.close(self._arrow_schema)

    def _convert(self, streams: io.BufferedReader, file: BinaryIO) -> None:
        writer = self.writer(file)
        write_streams(streams, writer)
        self.end(writer)

    async def begin(self, context: PipelineContext) -> SinkTransaction[Any]:
        return _ParquetTransaction(self, self._file.pending(), context)

    async def claim(self, claim: Claim) -> int:
        return await run_sync(self._file.batches.claim, claim)

    async def begin_batch(self, context: PipelineContext, claim: Claim, sequence: int) -> SinkTransaction[Any]:
        return _ParquetBatch(self, await run_sync(self._file.batches.begin, claim, sequence), context)

    async def complete(self, claim: Claim) -> None:
        await run_sync(self._file.batches.complete, claim)

    async def forget(self, claim: Claim) -> None:
        """Remove what is kept of a run that nobody will claim again. May be done again."""
        await run_sync(self._file.batches.forget, claim)


class _ParquetTransaction(SinkTransaction[Any]):
    def __init__(self, sink: ParquetSink, file: Pending, context: PipelineContext) -> None:
        self._sink, self._file, self._context = sink, file, context
        self._writer = sink.writer(file)

    async def write(self, records: Sequence[Any]) -> int:
        frame, rejected = self._sink.frame_of(records, self._context)
        await run_sync(self._writer.write, frame)
        return rejected

    async def commit(self, position: Position | None = None) -> None:
        await run_sync(self._end)

    def _end(self) -> None:
        self._sink.end(self._writer)
        self._file.commit()

    async def abort(self) -> None:
        self._writer.abandon()
        await run_sync(self._file.discard)


class _ParquetBatch(SinkTransaction[Any]):
    """A batch, gathered as a stream of Arrow."""

    def __init__(self, sink: ParquetSink, part: Batch, context: PipelineContext) -> None:
        self._sink, self._part, self._context = sink, part, context

    async def write(self, records: Sequence[Any]) -> int:
        frame, rejected = self._sink.frame_of(records, self._context)
        await run_sync(self._append, frame)
        return rejected

    def _append(self, frame: Any) -> None:
        columns = {name: str(kind) for name, kind in frame.schema.items()}
        if self._part.layout is None:
            self._part.layout = {"columns": columns}
        elif self._part.layout != {"columns": columns}:
            raise StageContractError(
                f"cannot go on writing {self._sink.target}: the run began it with the columns "
                f"{self._part.layout['columns']}, and now they are {columns}"
            )
        if frame.height:
            self._part.write(as_stream(frame, self._sink.target))

    async def commit(self, position: Position | None = None) -> None:
        await run_sync(self._part.commit)

    async def abort(self) -> None:
        await run_sync(self._part.discard)
