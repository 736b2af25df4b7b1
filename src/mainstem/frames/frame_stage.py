"""``FrameStage``: work on whole columns."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias

from anyio.to_thread import run_sync
from typing_extensions import TypeVar

from mainstem.context import PipelineContext
from mainstem.errors import StageContractError, add_note_once
from mainstem.frame_data import concatenated, frames_of, import_polars, is_frame
from mainstem.result import StageResult
from mainstem.stage import PipelineStage, StageKind
from mainstem.stages.function_kind import describe_function

if TYPE_CHECKING:
    import polars

V = TypeVar("V")

Frame: TypeAlias = "polars.DataFrame"
FrameFunction: TypeAlias = "Callable[[polars.DataFrame], polars.DataFrame | polars.LazyFrame]"


_LARGE = 10_000
"""Rows that take longer to work on than a thread takes to begin."""


def whole_frame(data: Any) -> Any:
    """Return what a stage of frames was handed as one frame; the empty list of an empty run as it is.

    Raises:
        TypeError: If it is no frame.
    """
    if is_frame(data):
        return data
    kind: type[Any] = type(data)  # pyright: ignore[reportUnknownVariableType]
    if kind is list and not data:
        return data
    if hasattr(kind, "__arrow_c_stream__"):
        return concatenated(list(frames_of(data)))
    raise TypeError(
        f"a stage of frames was handed {kind.__name__}: put ToFrames() before it, or give it a frame, or what "
        "has __arrow_c_stream__"
    )


async def worked_on(function: Callable[[Any], V], frame: polars.DataFrame) -> V:
    """Return what a function gives for a frame; for a large one it is called in a thread.

    Polars lets go of the interpreter while it works, so that the source and the sink of a run go on meanwhile.
    """
    if frame.height < _LARGE:
        return function(frame)
    return await run_sync(function, frame)


def frame_type() -> Any:
    """Return the class of frames, for annotations that are read at run time."""
    return import_polars("A stage of frames").DataFrame


def _listed(several: Any) -> list[Any]:
    return several if isinstance(several, list) else [several]  # pyright: ignore[reportUnknownVariableType]


class FrameStage(PipelineStage["polars.DataFrame", "polars.DataFrame"]):
    """Work on the columns of a frame: with expressions, which add or replace columns, or with a function of a frame.

    What it gives for a row may depend on nothing but that row, for the data comes in frames that are cut anywhere.
    Rows that a function leaves out count as filtered. Work that needs all rows (a sort, say) says ``whole=True``: it
    then gets them as one frame, and a stream has to wait for its end. Large frames are worked on in a thread, one
    after the other.

    Args:
        operation: A function that takes a ``polars.DataFrame`` and gives one, or a ``LazyFrame``; or one or several
            Polars expressions in a list, as for ``with_columns``.
        whole: Whether it needs all rows at once.
        name: The stage's name in reports.

    Raises:
        TypeError: If it is none of these.
        MissingExtraError: If ``mainstem[frames]`` is not installed.

    Example:
        >>> import polars as pl
        >>> from mainstem import Pipeline
        >>> stage = FrameStage(pl.col("price") * pl.col("count"))
        >>> prices = pl.DataFrame({"price": [2.5, 4.0], "count": [2, 1]})
        >>> Pipeline[pl.DataFrame, pl.DataFrame]("total").add_stage(stage).run(prices).data["price"].to_list()
        [5.0, 4.0]
    """

    waits = False

    def __init__(
        self,
        operation: FrameFunction | polars.Expr | list[polars.Expr],
        *,
        whole: bool = False,
        name: str | None = None,
    ) -> None:
        polars = import_polars("FrameStage")
        self._function: Any = None
        self._expressions: list[Any] | None = None
        given = _listed(operation)
        if given and all(isinstance(each, polars.Expr) for each in given):
            self._expressions = given
        elif callable(operation):
            self._function = operation
        else:
            raise TypeError(
                f"FrameStage takes a function of a frame, or Polars expressions in a list, not {operation!r}"
            )
        self.kind = StageKind.BLOCKING if whole else StageKind.ELEMENTWISE
        self.expands = self._function is not None
        if name is not None:
            self.name = name

    def _hints(self) -> tuple[Any, Any]:
        return frame_type(), frame_type()

    async def process(self, data: polars.DataFrame, context: PipelineContext) -> StageResult[polars.DataFrame]:
        started = perf_counter()
        frame = whole_frame(data)
        if not is_frame(frame):
            return StageResult(data=frame)
        try:
            given = await worked_on(self._apply, frame)
        except Exception as error:
            if self._function is not None:
                add_note_once(error, f"in {describe_function(self._function)}")
            raise
        return StageResult(
            data=given,
            duration_ms=(perf_counter() - started) * 1000,
            records_processed=frame.height,
            records_filtered=max(0, frame.height - given.height),
        )

    def _apply(self, frame: polars.DataFrame) -> polars.DataFrame:
        if self._expressions is not None:
            return frame.with_columns(self._expressions)
        given = self._function(frame)
        if hasattr(given, "collect"):
            given = given.collect()
        if not is_frame(given):
            raise StageContractError(
                f"{describe_function(self._function)} returned {type(given).__name__}, not a polars.DataFrame or "
                "LazyFrame"
            )
        return given  # type: ignore[no-any-return]
