"""Where in a file of rows a chunk ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from mainstem.endpoints import Position
from mainstem.errors import ConnectError


@dataclass(frozen=True, slots=True)
class RowPosition:
    """A place between two rows of a file.

    Attributes:
        row: Rows before it in the file.
        record: Records before it, those that could not be read and those of the files before included.
    """

    row: int = 0
    record: int = 0

    @classmethod
    def parse(cls, position: Position) -> Self:
        """Read a position that a chunk came with.

        Raises:
            ConnectError: If it is none.
        """
        row, record = position.get("row"), position.get("record")
        if type(row) is not int or type(record) is not int or min(row, record) < 0:
            raise ConnectError(f"{position!r} is no position in a file of rows: it needs row and record")
        return cls(row, record)

    def to_json(self) -> Position:
        """Return the position as plain JSON values."""
        return {"row": self.row, "record": self.record}
