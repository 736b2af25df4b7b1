"""``FrameDedupeStage``: of rows with the same key, the first."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from mainstem.context import PipelineContext
from mainstem.errors import StageContractError
from mainstem.frame_data import import_polars, is_frame
from mainstem.frames.frame_stage import frame_type, whole_frame, worked_on
from mainstem.frames.hashes import SeenHashes, hashes_of, packed, unpacked
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

    Of each key that was seen a hash of 128 bits is kept in memory, 16 bytes. That two of a thousand million keys have
    the same, so that a row is taken for a repeat that is none, has a probability below 1 in 10^20. A null is a key like
    any other. What a durable run keeps of it can be read by the same version of Polars only, for others hash otherwise.

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

    if TYPE_CHECKING:  # a StatefulStage has it

        async def process(self, data: polars.DataFrame, context: PipelineContext) -> StageResult[polars.DataFrame]: ...


class _SeenKeys(GrowingState[Any, Any]):
    """The keys so far, each as a hash of 128 bits.

    Args:
        key: The columns of the key.
    """

    def __init__(self, key: list[str]) -> None:
        self._key = key
        self._seen = SeenHashes()
        self._new: list[polars.DataFrame] | None = None
        """Hashes that came since the state was last asked for; ``None`` before that."""
        self._parts = 0

    async def feed(self, records: Any, context: PipelineContext) -> StageResult[Any]:
        started = perf_counter()
        frame = whole_frame(records)
        if not is_frame(frame):
            return StageResult(data=frame)
        passed = await worked_on(self._first_of_each, frame)
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
        hashes = hashes_of(first.select(self._key))
        is_new = ~self._seen.holds(hashes)
        if not is_new.all():
            first, hashes = first.filter(is_new), hashes.filter(is_new)
        self._seen.add(hashes)
        if self._new is not None:
            self._new.append(hashes)
        return first

    def snapshot(self) -> dict[str, Any]:
        self._new, self._parts = [], 0
        return packed(self._seen.runs)

    def restore(self, snapshot: dict[str, Any]) -> None:
        self._seen = SeenHashes()
        self._seen.add(unpacked(snapshot))
        self._new, self._parts = [], 0

    def changes(self) -> dict[str, Any] | None:
        if self._new is None or self._parts >= _MOST_PARTS:
            return None
        changes, self._new, self._parts = packed(self._new), [], self._parts + 1
        return changes

    def restore_changes(self, changes: dict[str, Any]) -> None:
        self._seen.add(unpacked(changes))
        self._parts += 1
