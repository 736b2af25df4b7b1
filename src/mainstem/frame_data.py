"""Polars frames where chunks of records are expected: a frame is a chunk, and its rows are the records.

Whatever offers the Arrow C stream interface is taken for a stream of frames: tables of pyarrow, pandas and DuckDB, say.

Source: the Arrow PyCapsule interface (``__arrow_c_stream__``).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeGuard

from mainstem.errors import StageContractError, missing_extra

if TYPE_CHECKING:
    import polars

FRAME_ROWS = 65_536
"""Rows in a chunk: many, for what is done to a frame costs about the same for one row as for some thousands."""


def is_frame(data: Any) -> TypeGuard[Any]:
    """Say whether data is a frame of Polars, which is not imported to find out."""
    module = sys.modules.get("polars")
    return module is not None and isinstance(data, module.DataFrame)


def is_columnar(data: object) -> bool:
    """Say whether data is a frame, or can be read as frames."""
    return is_frame(data) or hasattr(type(data), "__arrow_c_stream__")


def frames_of(data: Any, rows: int = FRAME_ROWS) -> Iterator[polars.DataFrame]:
    """Give columnar data as frames of so many rows at most, in order; at least one, which has the columns.

    Raises:
        MissingExtraError: If ``mainstem[frames]`` is not installed.
    """
    polars = import_polars("Working with frames")
    if is_frame(data):
        yield from _slices(data, rows)
        return
    pyarrow: Any = import_module("pyarrow")  # which has no types
    with pyarrow.RecordBatchReader.from_stream(data) as reader:
        none_yet = True
        for batch in reader:
            if batch.num_rows or none_yet:
                yield from _slices(polars.from_arrow(batch, rechunk=False), rows)
                none_yet = False
        if none_yet:
            yield polars.from_arrow(reader.schema.empty_table())


def _slices(frame: polars.DataFrame, rows: int) -> Iterator[polars.DataFrame]:
    if frame.height <= rows:
        yield frame
        return
    yield from frame.iter_slices(rows)


def rows_after(data: Any, count: int) -> Any:
    """Return columnar data without its first rows, in a form that can be read as frames.

    Raises:
        MissingExtraError: If ``mainstem[frames]`` is not installed.
    """
    if is_frame(data):
        return data[count:]
    import_polars("Working with frames")
    pyarrow: Any = import_module("pyarrow")  # which has no types
    reader = pyarrow.RecordBatchReader.from_stream(data)

    def left() -> Iterator[Any]:
        passed = 0
        for batch in reader:
            passed += batch.num_rows
            if passed > count:
                yield batch[max(0, batch.num_rows - (passed - count)) :]

    return pyarrow.RecordBatchReader.from_batches(reader.schema, left())


def import_polars(purpose: str) -> Any:
    """Import Polars.

    Raises:
        MissingExtraError: If ``mainstem[frames]`` is not installed.
    """
    try:
        import polars
    except ImportError:
        raise missing_extra(purpose, "frames") from None
    return polars


class Gathered:
    """Chunks that follow one another, put together: lists of records to one list, frames to one frame."""

    def __init__(self) -> None:
        self._records: list[Any] = []
        self._frames: list[polars.DataFrame] = []
        self._rows = 0

    def add(self, chunk: Any) -> None:
        if is_frame(chunk):
            self._frames.append(chunk)
            self._rows += chunk.height
        else:
            self._records += chunk

    def __len__(self) -> int:
        return len(self._records) + self._rows

    @property
    def value(self) -> Any:
        """All of them: a list, or a frame if there were frames.

        Raises:
            StageContractError: If they cannot be put together.
        """
        frames = self._frames
        if not frames:
            return self._records
        if self._records:
            raise StageContractError(
                f"a stage gave {self._rows:,} rows of frames and {len(self._records):,} records: let it give one kind "
                "(ToFrames() and ToRecords() make one of the other)"
            )
        if len(frames) == 1:
            return frames[0]
        return concatenated(frames)


def concatenated(frames: Sequence[polars.DataFrame]) -> polars.DataFrame:
    """Put frames below one another; those without columns, which nothing was read into, are left out.

    Raises:
        StageContractError: If their columns are not the same.
    """
    import polars

    with_columns = [frame for frame in frames if frame.width]
    if not with_columns:
        return frames[0]
    try:
        return polars.concat(with_columns, how="vertical", rechunk=False)
    except (polars.exceptions.SchemaError, polars.exceptions.ShapeError) as error:
        first = with_columns[0].schema
        other = next(frame.schema for frame in with_columns if frame.schema != first)
        raise StageContractError(
            f"frames of one run have different columns: {dict(first)}, and further on {dict(other)}. A stage of frames "
            "gives the same columns of the same types for every frame, however the data is cut"
        ) from error
