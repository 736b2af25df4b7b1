"""Reading the rows of a file that holds Arrow record batches, as frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from mainstem.connect.arrow_values import load_arrow
from mainstem.connect.batch_reader import arrow_errors
from mainstem.connect.partitions import check_no_column
from mainstem.connect.rejects import Reject
from mainstem.connect.row_position import RowPosition
from mainstem.connect.stored_file import StoredFile
from mainstem.frame_data import FRAME_ROWS, import_polars


class BatchFrameReader:
    """Reads chunks of rows as frames, whose columns have the types of the file.

    Args:
        file: What they are from.
        opened: That file, open; it is closed with the reader.
        schema: What the batches are of.
        batches: They, from the position on.
        position: Where they begin.
    """

    def __init__(
        self, file: StoredFile, opened: BinaryIO, schema: Any, batches: Iterator[Any], position: RowPosition
    ) -> None:
        self._file = file
        self._opened = opened
        self._schema = schema
        self.columns: tuple[str, ...] = tuple(schema.names)
        check_no_column(file.name, self.columns, file.partitions)
        self._batches = batches
        self._at = position

    @property
    def position(self) -> Mapping[str, Any]:
        """Where the next row is."""
        return self._at.to_json()

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def read_chunk(self, limit: int) -> tuple[Any, list[Reject]] | None:
        """Read the next rows, as many as make a frame.

        Returns:
            The frame, and nothing, for columns are taken as they are; ``None`` at the end.
        """
        taken: list[Any] = []
        rows = 0
        with arrow_errors(self._file, f"after row {self._at.row}"):
            for batch in self._batches:
                taken.append(batch)
                rows += batch.num_rows
                if rows >= FRAME_ROWS:
                    break
        if not taken:
            return None
        polars = import_polars("Reading frames")
        table = load_arrow("Reading frames").Table.from_batches(taken, self._schema)
        frame: Any = polars.from_arrow(table, rechunk=False)
        keys = [polars.lit(value, dtype=polars.String).alias(key) for key, value in self._file.partitions.items()]
        self._at = RowPosition(self._at.row + rows, self._at.record + rows)
        return (frame.with_columns(keys) if keys else frame), []
