"""Frames on their way into a Parquet file: row group by row group, or gathered in the stream format of Arrow first."""

from __future__ import annotations

import io
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from mainstem.errors import ConnectError, StageContractError, describe_error
from mainstem.frame_data import Gathered, import_polars

if TYPE_CHECKING:
    import polars


class Target(Protocol):
    """What takes the bytes of a file."""

    def write(self, content: bytes, /) -> object: ...


class _Sink(io.RawIOBase):
    """A target as the file that pyarrow wants."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._target = target
        self._written = 0
        self.is_abandoned = False

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._written

    def write(self, content: Any, /) -> int:
        if not self.is_abandoned:
            self._target.write(bytes(content))
        self._written += len(content)
        return len(content)


def arrow_table(frame: polars.DataFrame, where: str) -> Any:
    """Return a frame as a table of Arrow, in types that any reader of Parquet has.

    Raises:
        ConnectError: If a column has none.
    """
    polars = import_polars("ParquetSink")
    try:
        if polars.Object in frame.dtypes:
            raise TypeError("objects of Python have no form there")
        convert: Any = frame.to_arrow
        return convert(compat_level=polars.CompatLevel.oldest())
    except Exception as error:
        kinds = ", ".join(f"{name}: {kind}" for name, kind in frame.schema.items())
        raise ConnectError(
            f"{where}: these columns cannot be written as Parquet ({kinds}): {describe_error(error)}"
        ) from error


class ParquetWriter:
    """Writes frames as row groups.

    Args:
        target: What takes the bytes.
        where: What is written, for messages.
        compression: As pyarrow calls it.
        row_group_rows: How many rows make a row group; so many are held.
    """

    def __init__(self, target: Target, where: str, compression: str, row_group_rows: int) -> None:
        self._where = where
        self._compression, self._rows = compression, row_group_rows
        self._held = Gathered()
        self._sink = _Sink(target)
        self._writer: Any = None

    def write(self, frame: polars.DataFrame) -> None:
        """Write the next rows.

        Raises:
            StageContractError: If they have other columns than those before.
            ConnectError: If they cannot be written.
        """
        self._held.add(frame)
        whole = len(self._held) - len(self._held) % self._rows
        if whole:
            held, self._held = self._held.value, Gathered()
            self.write_table(arrow_table(held[:whole], self._where))
            self._held.add(held[whole:])

    def write_table(self, table: Any) -> None:
        """Write the rows of a table of Arrow as row groups of their own."""
        writer = self._opened(table.schema)
        if table.schema != writer.schema:
            raise StageContractError(
                f"{self._where}: frames of one load have different columns: {_shown(writer.schema)}, and further on "
                f"{_shown(table.schema)}"
            )
        writer.write_table(table, row_group_size=self._rows)

    def _opened(self, schema: Any) -> Any:
        if self._writer is not None:
            return self._writer
        parquet: Any = import_module("pyarrow.parquet")
        try:
            self._writer = parquet.ParquetWriter(self._sink, schema, compression=self._compression)
        except Exception as error:
            raise ConnectError(
                f"{self._where}: these columns cannot be written as Parquet ({_shown(schema)}): {describe_error(error)}"
            ) from error
        return self._writer

    def close(self, schema: Any) -> None:
        """Write what is left, and the end of the file.

        Args:
            schema: The columns of a file to which nothing was written, as a schema of Arrow.
        """
        if len(self._held):
            self.write_table(arrow_table(self._held.value, self._where))
        self._opened(schema).close()

    def abandon(self) -> None:
        """Write no more; pyarrow itself would write an end when it is collected."""
        self._sink.is_abandoned = True


def as_stream(frame: polars.DataFrame, where: str) -> bytes:
    """Return a frame as a stream of Arrow, complete in itself."""
    pyarrow: Any = import_module("pyarrow")
    table = arrow_table(frame, where)
    content = io.BytesIO()
    options = pyarrow.ipc.IpcWriteOptions(compression="lz4")
    with pyarrow.ipc.new_stream(content, table.schema, options=options) as writer:
        writer.write_table(table)
    return content.getvalue()


def write_streams(streams: io.BufferedReader, writer: ParquetWriter) -> None:
    """Write the rows of streams of Arrow that follow one another."""
    pyarrow: Any = import_module("pyarrow")
    polars = import_polars("ParquetSink")
    while streams.peek(1):
        with pyarrow.ipc.open_stream(streams) as reader:
            for batch in reader:
                writer.write(polars.from_arrow(batch, rechunk=False))


def _shown(schema: Any) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema)
