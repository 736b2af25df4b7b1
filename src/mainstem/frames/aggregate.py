"""``FrameAggregateStage``: the rows of frames into one row, or a row for each group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mainstem.context import PipelineContext
from mainstem.errors import StageContractError
from mainstem.frame_data import concatenated, import_polars, is_frame
from mainstem.frames.combiner import FrameCombiner
from mainstem.frames.frame_stage import frame_type, whole_frame
from mainstem.result import StageResult
from mainstem.stages.aggregate import AggregateStage
from mainstem.stages.combiner import Combiner

if TYPE_CHECKING:
    import polars

_KEPT_ROWS = 65_536
"""Rows of accumulators that are kept before they are merged, at least."""
_EVERYTHING = "\0"
"""The column that all rows share, where there are no groups."""


class FrameAggregateStage(AggregateStage["polars.DataFrame", "polars.DataFrame"]):
    """Aggregate columns: of all rows, or of the rows of each group; groups come in the order of their first rows.

    Each column of the answer is made by a combiner, so that a stream is aggregated as it comes, frames may be
    aggregated in other processes, and only the groups are held. However the data is cut, the answer is the same.

    Args:
        combiners: By the name of the column that holds its answer, a combiner: ``FrameCount()``, ``FrameSum("price")``,
            ``FrameMean``, ``FrameMin``, ``FrameMax``, ``FrameFirst``, ``FrameLast``, or one of your own.
        by: The column or columns that make a group; without them there is one row, also of no rows. A null is a value
            like any other. Of a run without a single frame, whose columns nobody knows, there is none.
        name: The stage's name in reports.

    Raises:
        TypeError: If a combiner is none.
        ValueError: If there are no combiners, or a column of the answer is named twice.
        MissingExtraError: If ``mainstem[frames]`` is not installed.

    Example:
        >>> import polars as pl
        >>> from mainstem import Pipeline
        >>> from mainstem.frames import FrameCount, FrameMean
        >>> stage = FrameAggregateStage({"flights": FrameCount(), "late": FrameMean("delay")}, by="origin")
        >>> flights = pl.DataFrame({"origin": ["JFK", "EWR", "JFK"], "delay": [10, 0, None]})
        >>> Pipeline[pl.DataFrame, pl.DataFrame]("delays").add_stage(stage).run(flights).data.rows()
        [('JFK', 2, 10.0), ('EWR', 1, 0.0)]
    """

    def __init__(
        self, combiners: Mapping[str, FrameCombiner], *, by: str | Sequence[str] = (), name: str | None = None
    ) -> None:
        import_polars("FrameAggregateStage")
        keys = [by] if isinstance(by, str) else list(by)
        for each, combiner in combiners.items():
            if not isinstance(combiner, FrameCombiner):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(
                    f"column {each!r} of FrameAggregateStage is to be made by a combiner of frames, such as "
                    f"FrameCount() or FrameSum('price'), and not by {combiner!r}"
                )
        if not combiners:
            raise ValueError("FrameAggregateStage needs a combiner for each column of its answer")
        names = [*keys, *combiners]
        repeated = next((each for at, each in enumerate(names) if each in names[:at]), None)
        if repeated is not None:
            raise ValueError(f"FrameAggregateStage would give two columns of the name {repeated!r}")
        aggregation: Any = _Aggregation(dict(combiners), keys)
        super().__init__(aggregation, name=name)

    def _hints(self) -> tuple[Any, Any]:
        return frame_type(), frame_type()

    async def process(self, data: polars.DataFrame, context: PipelineContext) -> StageResult[polars.DataFrame]:
        return await super().process(whole_frame(data), context)


@dataclass(slots=True)
class _Groups:
    """The accumulators of groups: those that were merged, and after them frames of others, in order."""

    frames: list[polars.DataFrame] = field(default_factory=lambda: list[Any]())
    merged_rows: int = 0

    @property
    def new_rows(self) -> int:
        return sum(frame.height for frame in self.frames) - self.merged_rows


class _Aggregation(Combiner[Any, "polars.DataFrame", _Groups]):
    """Aggregates groups of rows by several combiners at once.

    Args:
        combiners: By the name of the column of the answer.
        keys: The columns that make a group.
    """

    def __init__(self, combiners: dict[str, FrameCombiner], keys: list[str]) -> None:
        self._combiners, self._keys = combiners, keys

    def create(self) -> _Groups:
        return _Groups()

    def add(self, accumulator: _Groups, record: Any) -> _Groups:
        return self.add_all(accumulator, record)

    def add_all(self, accumulator: _Groups, records: Any) -> _Groups:
        frame = whole_frame(records)
        if is_frame(frame):
            accumulator.frames.append(self._grouped(frame, self._parts_of(frame)))
            if accumulator.new_rows > max(_KEPT_ROWS, accumulator.merged_rows):
                self._settle(accumulator)
        return accumulator

    def merge(self, left: _Groups, right: _Groups) -> _Groups:
        if not left.frames:
            return right
        left.frames += right.frames
        if left.new_rows > max(_KEPT_ROWS, left.merged_rows):
            self._settle(left)
        return left

    def finish(self, accumulator: _Groups) -> polars.DataFrame:
        polars = import_polars("FrameAggregateStage")
        if not accumulator.frames:
            return polars.DataFrame(schema=dict.fromkeys([*self._keys, *self._combiners], polars.Null))  # type: ignore[no-any-return]
        self._settle(accumulator)
        (groups,) = accumulator.frames
        if not self._keys and not groups.height:
            groups = groups.clear(1)  # a row of nulls: the accumulator of no rows
        answers = [
            combiner.finish(groups.select(_parts_in(groups, name))).alias(name)
            for name, combiner in self._combiners.items()
        ]
        return polars.DataFrame([*groups.select(self._keys).get_columns(), *answers])  # type: ignore[no-any-return]

    def _parts_of(self, frame: polars.DataFrame) -> list[polars.Expr]:
        polars = import_polars("FrameAggregateStage")
        try:
            return _named({name: combiner.parts(frame) for name, combiner in self._combiners.items()})
        except polars.exceptions.ColumnNotFoundError as error:
            raise _lacking(error, frame) from error

    def _settle(self, accumulator: _Groups) -> None:
        """Merge all that there is to one accumulator for each group."""
        polars = import_polars("FrameAggregateStage")
        groups = concatenated(accumulator.frames)
        columns = {name: _parts_in(groups, name) for name in self._combiners}
        if len(accumulator.frames) > 1:
            merged = {
                name: combiner.merge([polars.col(each) for each in columns[name]])
                for name, combiner in self._combiners.items()
            }
            groups = self._grouped(groups, _named(merged))
        for name, combiner in self._combiners.items():
            groups = groups.with_columns(combiner.compact(groups.select(columns[name])))
        accumulator.frames, accumulator.merged_rows = [groups], groups.height

    def _grouped(self, frame: polars.DataFrame, parts: list[polars.Expr]) -> polars.DataFrame:
        polars = import_polars("FrameAggregateStage")
        keys = self._keys or [_EVERYTHING]
        if not self._keys:
            frame = frame.with_columns(polars.lit(0).alias(_EVERYTHING))
        try:
            grouped = frame.group_by(keys, maintain_order=True).agg(parts)
        except polars.exceptions.ColumnNotFoundError as error:
            raise _lacking(error, frame) from error
        return grouped.drop([] if self._keys else [_EVERYTHING])


def _lacking(error: Exception, frame: polars.DataFrame) -> StageContractError:
    missing = str(error).partition("\n")[0]
    return StageContractError(
        f"FrameAggregateStage names a column that the frame lacks ({missing}); it has "
        f"{', '.join(map(repr, frame.columns))}"
    )


def _named(parts: Mapping[str, Sequence[polars.Expr]]) -> list[polars.Expr]:
    """Return expressions for the parts of the accumulators of each combiner, under names that no user gives."""
    return [part.alias(f"{_prefix(name)}{number}") for name, each in parts.items() for number, part in enumerate(each)]


def _parts_in(groups: polars.DataFrame, name: str) -> list[str]:
    return [column for column in groups.columns if column.startswith(_prefix(name))]


def _prefix(name: str) -> str:
    return f"\0{name}\0"
