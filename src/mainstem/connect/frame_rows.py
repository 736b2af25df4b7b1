"""The rows of a frame where a sink expects records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    import polars


class FrameRows(Sequence[dict[str, Any]]):
    """A frame as its records, which are only made when somebody looks at one.

    Args:
        frame: The frame.
    """

    __slots__ = ("frame",)

    def __init__(self, frame: polars.DataFrame) -> None:
        self.frame = frame

    def __len__(self) -> int:
        return self.frame.height

    @overload
    def __getitem__(self, at: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, at: slice) -> FrameRows: ...
    def __getitem__(self, at: int | slice) -> dict[str, Any] | FrameRows:
        if isinstance(at, slice):
            return FrameRows(self.frame[at])
        return self.frame.row(at, named=True)
