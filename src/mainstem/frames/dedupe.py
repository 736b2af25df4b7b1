"""``FrameDedupeStage``: of rows with the same key, the first."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from mainstem.context import PipelineContext
from mainstem.errors import StageContractError
from mainstem.frame_data import import_polars, is_frame
from mainstem.frames.frame_stage import frame_type, whole_frame
from mainstem.result import StageResult
from mainstem.stage import PipelineStage
from mainstem.stateful import GrowingState, StatefulStage

if TYPE_CHECKING:
    import polars

    _StatefulFrames = PipelineStage[polars.DataFrame, polars.DataFrame]  # which a StatefulStage is of lists of records
else:
    _StatefulFrames = StatefulStage

_MOST_PARTS = 1000
"""Changes after which the state is kept whole again, so that to restore it does not take ever longer."""


class FrameDedupeStage(_StatefulFrames):
    """Let the first row with each key through; rows that repeat one count as filtered.

    The keys that were seen are kept in memory, as columns: some ten bytes a key of one number. A null is a key like
    any other.

    Args:
        key: The column or columns that make the key.
        name: The stage's name in reports.

    Raises:
        ValueError: If no column is named, or one twice.
        MissingExtraError: If ``mainstem[frames]`` is not installed.

    Example:
        >>> import polars as pl
        >>> from mainstem import Pipeline
        >>> people = pl.DataFrame({"id": [1, 2, 1], "name": ["Ada", "Bob", "ada"]})
        >>> pipeline = Pipeline[pl.DataFrame, pl.DataFrame]("people").add_stage(FrameDedupeStage("id"))
        >>> pipeline.run(people).data.rows()
        [(1, 'Ada'), (2, 'Bob')]
    """

    drops_repeats = True
    waits = False
    expands = False

    def __init__(self, key: str | Sequence[str], *, name: str | None = None) -> None:
        import_polars("FrameDedupeStage")
        self._key = [key] if isinstance(key, str) else list(key)
        if not self._key or len(set(self._key)) != len(self._key):
            raise ValueError(f"FrameDedupeStage needs the columns of its key, each once, not {key!r}")
        if name is not None:
            self.name = name

    def _hints(self) -> tuple[Any, Any]:
        return frame_type(), frame_type()

    def begin(self) -> GrowingState[Any, Any]:
        return _SeenKeys(self._key)


class _SeenKeys(GrowingState[Any, Any]):
    """The keys so far, as one frame for each frame that had new ones.

    Args:
        key: The columns of the key.
    """

    def __init__(self, key: list[str]) -> None:
        self._key = key
        self._seen: set[Any] = set()
        self._new: list[Any] = []
        """Keys that came since the state was last asked for."""
        self._parts: int | None = None

    async def feed(self, records: Any, context: PipelineContext) -> StageResult[Any]:
        started = perf_counter()
        frame = whole_frame(records)
        if not is_frame(frame):
            return StageResult(data=frame)
        passed = self._first_of_each(frame)
        return StageResult(
            data=passed,
            duration_ms=(perf_counter() - started) * 1000,
            records_processed=frame.height,
            records_filtered=frame.height - passed.height,
        )

    def _first_of_each(self, frame: polars.DataFrame) -> polars.DataFrame:
        missing = [name for name in self._key if name not in frame.columns]
        if missing:
            raise StageContractError(
                f"the key of FrameDedupeStage is {self._key}, and the frame has no column {missing[0]!r}: it has "
                f"{', '.join(map(repr, frame.columns))}"
            )
        first = frame.unique(subset=self._key, keep="first", maintain_order=True)
        keys: list[Any] = first[self._key[0]].to_list() if len(self._key) == 1 else first.select(self._key).rows()
        seen = self._seen
        if seen.isdisjoint(keys):
            fresh, passed = keys, first
        else:
            is_new = [key not in seen for key in keys]
            passed = first.filter(import_polars("FrameDedupeStage").Series(is_new))
            fresh = [key for key, new in zip(keys, is_new, strict=True) if new]
        seen.update(fresh)
        if self._parts is not None:
            self._new += fresh
        return passed

    def snapshot(self) -> list[Any]:
        self._new, self._parts = [], 0
        return list(self._seen)

    def restore(self, snapshot: list[Any]) -> None:
        self._seen, self._new, self._parts = set(snapshot), [], 0

    def changes(self) -> list[Any] | None:
        if self._parts is None or self._parts >= _MOST_PARTS:
            return None
        new, self._new, self._parts = self._new, [], self._parts + 1
        return new

    def restore_changes(self, changes: list[Any]) -> None:
        self._seen.update(changes)
        self._parts = (self._parts or 0) + 1
