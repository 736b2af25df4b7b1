"""Frames on their way into a file: some rows at a time, or gathered in the stream format of Arrow first."""

from __future__ import annotations

import io
from collections.abc import Callable
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
    """Return a frame as a table of Arrow, in types that any reader has.

    Raises:
        ConnectError: If a column has none.
    """
    polars = import_polars("Writing frames")
    try:
        if polars.Object in frame.dtypes:
            raise TypeError("objects of Python have no form there")
        convert: Any = frame.to_arrow
        return convert(compat_level=polars.CompatLevel.oldest())
    except Exception as error:
        kinds = ", ".join(f"{name}: {kind}" for name, kind in frame.schema.items())
        raise ConnectError(f"{where}: these columns cannot be written ({kinds}): {describe_error(error)}") from error


class FrameWriter:
    """Writes frames into a file.

    Args:
        target: What takes the bytes.
        where: What is written, for messages.
        open_writer: Returns pyarrow's writer for a file and a schema of Arrow.
        rows: How many rows are written at a time; so many are held.
    """

    def __init__(self, target: Target, where: str, open_writer: Callable[[Any, Any], Any], rows: int) -> None:
        self._where = where
        self._open_writer, self._rows = open_writer, rows
        self._held = Gathered()
        self._sink = _Sink(target)
        self._writer: Any = None
        self._schema: Any = None

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
        """Write the rows of a table of Arrow, some at a time."""
        writer = self._opened(table.schema)
        if table.schema != self._schema:
            raise StageContractError(
                f"{self._where}: frames of one load have different columns: {_shown(self._schema)}, and further on "
                f"{_shown(table.schema)}"
            )
        writer.write_table(table, self._rows)

    def _opened(self, schema: Any) -> Any:
        if self._writer is not None:
            return self._writer
        try:
            self._writer, self._schema = self._open_writer(self._sink, schema), schema
        except Exception as error:
            raise ConnectError(
                f"{self._where}: these columns cannot be written ({_shown(schema)}): {describe_error(error)}"
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


def write_streams(streams: io.BufferedReader, writer: FrameWriter) -> None:
    """Write the rows of streams of Arrow that follow one another."""
    pyarrow: Any = import_module("pyarrow")
    polars = import_polars("Writing frames")
    while streams.peek(1):
        with pyarrow.ipc.open_stream(streams) as reader:
            for batch in reader:
                writer.write(polars.from_arrow(batch, rechunk=False))


def _shown(schema: Any) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema)
