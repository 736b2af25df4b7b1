"""Sinks that write frames, or records as frames, into a file."""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, BinaryIO

from anyio.to_thread import run_sync

from mainstem.connect.file_sink import FileSink
from mainstem.connect.file_target import Batch, FileTarget, Pending
from mainstem.connect.files import FilePath
from mainstem.connect.frame_maker import FrameMaker
from mainstem.connect.frame_writer import FrameWriter, arrow_table, as_stream, write_streams
from mainstem.connect.rejects import Reject, settle_rejects
from mainstem.context import PipelineContext
from mainstem.endpoints import Claim, Position, SinkTransaction
from mainstem.errors import StageContractError, missing_extra
from mainstem.frame_data import import_polars, is_frame


class FrameFileSink(FileSink):
    """Base of the sinks that write frames: override ``_open_writer``.

    Args:
        path: The file, or its URL.
        storage_options: How URLs are opened.
        schema: The columns of records.
        rows: How many rows are written at a time.
        continue_on_error: Whether to record what does not fit and go on.
        name: The stage's name in reports.
    """

    chunk_size = 1000  # to make a frame of records costs as much as some hundred of them
    not_in_shape = frozenset(("maker", "arrow_schema", "rows"))

    def __init__(
        self,
        path: FilePath,
        storage_options: Mapping[str, Any] | None,
        schema: type[Any] | Mapping[str, Any] | None,
        rows: int,
        continue_on_error: bool,
        name: str | None,
    ) -> None:
        kind = type(self).__name__
        polars = import_polars(kind)
        try:
            import_module("pyarrow")
        except ImportError:
            raise missing_extra(kind, "frames") from None
        self._file = FileTarget(path, storage_options, self._convert)
        self._maker = None if schema is None else FrameMaker(schema, kind, "the file")
        columns: Any = {} if self._maker is None else self._maker.schema
        self._arrow_schema: Any = arrow_table(polars.DataFrame(schema=columns), self.target).schema
        self._rows = rows
        self._continue_on_error = continue_on_error
        if name is not None:
            self.name = name

    @abstractmethod
    def _open_writer(self, file: Any, schema: Any) -> Any:
        """Return pyarrow's writer, which has ``write_table(table, rows)``."""

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
                f"{self.target}: records need {type(self).__name__}(schema=...), a record type or the types of the "
                "columns by name, for what is seen first need not be what comes later"
            )
        frame, failures = self._maker.make(records)
        rejects = [Reject(at, records[at], error) for at, error in failures]
        return frame, settle_rejects(rejects, context, self.name, go_on=self._continue_on_error)

    def writer(self, target: Any) -> FrameWriter:
        """Return what writes frames to a file."""
        return FrameWriter(target, self.target, self._open_writer, self._rows)

    def end(self, writer: FrameWriter) -> None:
        """End the file that a writer has written."""
        writer.close(self._arrow_schema)

    def _convert(self, streams: io.BufferedReader, file: BinaryIO) -> None:
        writer = self.writer(file)
        write_streams(streams, writer)
        self.end(writer)

    async def begin(self, context: PipelineContext) -> SinkTransaction[Any]:
        return _FrameTransaction(self, self._file.pending(), context)

    async def begin_batch(self, context: PipelineContext, claim: Claim, sequence: int) -> SinkTransaction[Any]:
        return _FrameBatch(self, await self._begin_part(claim, sequence), context)


class _FrameTransaction(SinkTransaction[Any]):
    def __init__(self, sink: FrameFileSink, file: Pending, context: PipelineContext) -> None:
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


class _FrameBatch(SinkTransaction[Any]):
    """A batch, gathered as a stream of Arrow."""

    def __init__(self, sink: FrameFileSink, part: Batch, context: PipelineContext) -> None:
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
