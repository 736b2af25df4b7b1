"""``FrameTopStage``: the rows with the largest values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mainstem.context import PipelineContext
from mainstem.errors import StageContractError
from mainstem.frame_data import Gathered, import_polars, is_frame
from mainstem.frames.frame_stage import frame_type, whole_frame
from mainstem.options import check_count
from mainstem.result import StageResult
from mainstem.stages.aggregate import AggregateStage
from mainstem.stages.combiner import Combiner

if TYPE_CHECKING:
    import polars


class FrameTopStage(AggregateStage["polars.DataFrame", "polars.DataFrame"]):
    """Keep the rows with the largest values in a column, largest first; of equals the earlier ones, and nulls last.

    Args:
        k: How many.
        by: The column.
        smallest: Whether to keep those with the smallest values instead, smallest first.
        name: The stage's name in reports.

    Raises:
        ValueError: If ``k`` is no positive whole number.
        MissingExtraError: If ``mainstem[frames]`` is not installed.

    Example:
        >>> import polars as pl
        >>> from mainstem import Pipeline
        >>> marks = pl.DataFrame({"name": ["Ada", "Bob", "Cyd"], "mark": [2, None, 5]})
        >>> Pipeline[pl.DataFrame, pl.DataFrame]("best").add_stage(FrameTopStage(2, by="mark")).run(marks).data.rows()
        [('Cyd', 5), ('Ada', 2)]
    """

    def __init__(self, k: int, *, by: str, smallest: bool = False, name: str | None = None) -> None:
        import_polars("FrameTopStage")
        check_count("k of FrameTopStage", k)
        top: Any = _Top(k, by, smallest)
        super().__init__(top, name=name)

    def _hints(self) -> tuple[Any, Any]:
        return frame_type(), frame_type()

    async def process(self, data: polars.DataFrame, context: PipelineContext) -> StageResult[polars.DataFrame]:
        return await super().process(whole_frame(data), context)


class _Top(Combiner[Any, Any, Any]):
    """The rows with the largest values: a frame of them, or the empty list before there was one."""

    def __init__(self, k: int, by: str, smallest: bool) -> None:
        self._k, self._by, self._smallest = k, by, smallest

    def create(self) -> Any:
        return []

    def add(self, accumulator: Any, record: Any) -> Any:
        return self.add_all(accumulator, record)

    def add_all(self, accumulator: Any, records: Any) -> Any:
        frame = whole_frame(records)
        if not is_frame(frame):
            return accumulator
        if self._by not in frame.columns:
            raise StageContractError(
                f"FrameTopStage compares rows by {self._by!r}, and the frame has no such column: it has "
                f"{', '.join(map(repr, frame.columns))}"
            )
        return self.merge(accumulator, self._top_of(frame))

    def merge(self, left: Any, right: Any) -> Any:
        together = Gathered()
        for each in (left, right):
            together.add(each)
        value = together.value
        return self._top_of(value) if is_frame(value) else value

    def finish(self, accumulator: Any) -> Any:
        return accumulator if is_frame(accumulator) else frame_type()()

    def _top_of(self, frame: polars.DataFrame) -> polars.DataFrame:
        ordered = frame.sort(self._by, descending=not self._smallest, nulls_last=True, maintain_order=True)
        return ordered.head(self._k)
