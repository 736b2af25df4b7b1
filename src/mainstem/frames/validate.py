"""``FrameValidateStage``: reject rows of frames by expressions, or by a schema."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

from mainstem.context import PipelineContext
from mainstem.errors import ValidationError, add_note_once
from mainstem.frame_data import import_polars, is_frame
from mainstem.frames.frame_stage import frame_type, whole_frame, worked_on
from mainstem.frames.row_checks import FrameSchema, row_check_of
from mainstem.result import StageResult
from mainstem.stage import PipelineStage, StageKind

if TYPE_CHECKING:
    import polars


class FrameValidateStage(PipelineStage["polars.DataFrame", "polars.DataFrame"]):
    """Check the rows of a frame: those for which each expression is true go on, the others are rejected.

    A rejected row is one reject with the reasons it fails for, and becomes a record: a dict of its columns. An
    expression that gives null for a row has not said yes, so the row is rejected.

    In the place of expressions there may be a schema of dataframely or pandera, whose rules are then the reasons. A
    frame that lacks a column, or has one of another type, is an error, not a reject. A schema that changes values, or
    compares rows with one another, is refused: frames are cut anywhere.

    By default the first bad row fails the stage; with ``continue_on_error`` each is recorded in ``context.errors``
    (in a durable run: kept in the store) with its position and a ``ValidationError``, and the rest go on.

    Args:
        rules: By reason, a Polars expression that gives a truth value for each row; or a ``Schema`` of dataframely, or
            a ``DataFrameSchema`` or ``DataFrameModel`` of ``pandera.polars``.
        continue_on_error: Whether to record bad rows and go on.
        name: The stage's name in reports.

    Raises:
        TypeError: If a rule is no expression, or the schema none that can be checked row by row.
        ValueError: If there are no rules.
        MissingExtraError: If ``mainstem[frames]`` is not installed.

    Example:
        >>> import polars as pl
        >>> from mainstem import Pipeline
        >>> stage = FrameValidateStage({"too young": pl.col("age") >= 18}, continue_on_error=True)
        >>> pipeline = Pipeline[pl.DataFrame, pl.DataFrame]("adults").add_stage(stage)
        >>> result = pipeline.run(pl.DataFrame({"age": [40, 7]}))
        >>> result.data["age"].to_list(), [(entry.record, str(entry.error)) for entry in result.context.errors]
        ([40], [({'age': 7}, 'too young')])
    """

    kind = StageKind.ELEMENTWISE
    waits = False
    expands = False

    def __init__(
        self,
        rules: Mapping[str, polars.Expr] | FrameSchema | type[FrameSchema],
        *,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None:
        import_polars("FrameValidateStage")
        self._check = row_check_of(rules)
        self._continue_on_error = continue_on_error
        if name is not None:
            self.name = name

    def _hints(self) -> tuple[Any, Any]:
        return frame_type(), frame_type()

    async def process(self, data: polars.DataFrame, context: PipelineContext) -> StageResult[polars.DataFrame]:
        started = perf_counter()
        frame = whole_frame(data)
        if not is_frame(frame):
            return StageResult(data=frame)
        refused, reasons, passed = await worked_on(self._judge, frame)
        error = self._reject(frame, refused, reasons, context)
        handled = frame.height if error is None else refused[0]
        return StageResult(
            data=passed if error is None else None,
            success=error is None,
            error=error,
            duration_ms=(perf_counter() - started) * 1000,
            records_processed=handled - len(refused) if error is None else handled,
            records_failed=len(refused) if error is None else 1,
        )

    def _judge(self, frame: polars.DataFrame) -> tuple[list[int], list[str], polars.DataFrame]:
        """Return the positions of the rows that are refused, the reasons, and the other rows."""
        refused, reasons = self._check.refused(frame)
        if not refused:
            return [], [], frame
        polars = import_polars("FrameValidateStage")
        is_refused = polars.Series([False], dtype=polars.Boolean).new_from_index(0, frame.height)
        return refused, reasons, frame.filter(~is_refused.scatter(refused, True))

    def _reject(
        self, frame: polars.DataFrame, refused: list[int], reasons: list[str], context: PipelineContext
    ) -> ValidationError | None:
        """Record the rows that are refused; return the error of the first, if that fails the stage."""
        if not self._continue_on_error:
            refused = refused[:1]
        if not refused:
            return None
        stage = context.current_stage or self.name
        rows = frame[refused].iter_rows(named=True)
        errors = {why: ValidationError(why) for why in set(reasons)}  # the rows of a frame share them
        for at, row, why in zip(refused, rows, reasons, strict=False):
            error = errors[why]
            context.record_error(error, stage=stage, record=row, index=at)
            if not self._continue_on_error:
                add_note_once(error, f"at record {context.chunk_start + at}")
                return error
        return None
