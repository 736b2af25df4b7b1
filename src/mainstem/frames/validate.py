"""``FrameValidateStage``: reject rows of frames by expressions."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

from mainstem.context import PipelineContext
from mainstem.errors import ValidationError, add_note_once
from mainstem.frame_data import import_polars, is_frame
from mainstem.frames.frame_stage import frame_type, whole_frame, worked_on
from mainstem.result import StageResult
from mainstem.stage import PipelineStage, StageKind

if TYPE_CHECKING:
    import polars


class FrameValidateStage(PipelineStage["polars.DataFrame", "polars.DataFrame"]):
    """Check the rows of a frame: those for which each expression is true go on, the others are rejected.

    A rejected row is one reject with the reasons it fails for, and becomes a record: a dict of its columns. An
    expression that gives null for a row has not said yes, so the row is rejected.

    By default the first bad row fails the stage; with ``continue_on_error`` each is recorded in ``context.errors``
    (in a durable run: kept in the store) with its position and a ``ValidationError``, and the rest go on.

    Args:
        rules: By reason, a Polars expression that gives a truth value for each row.
        continue_on_error: Whether to record bad rows and go on.
        name: The stage's name in reports.

    Raises:
        TypeError: If a rule is no expression.
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
        self, rules: Mapping[str, polars.Expr], *, continue_on_error: bool = False, name: str | None = None
    ) -> None:
        polars = import_polars("FrameValidateStage")
        if not rules:
            raise ValueError("FrameValidateStage needs a rule: {reason: expression}")
        for reason, rule in rules.items():
            if not isinstance(rule, polars.Expr):
                raise TypeError(f"the rule {reason!r} of FrameValidateStage must be a Polars expression, not {rule!r}")
        self._rules = dict(rules)
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
        answers, refused, passed = await worked_on(self._judge, frame)
        error = self._reject(frame, answers, refused, context)
        handled = frame.height if error is None else refused[0]
        return StageResult(
            data=passed if error is None else None,
            success=error is None,
            error=error,
            duration_ms=(perf_counter() - started) * 1000,
            records_processed=handled - len(refused) if error is None else handled,
            records_failed=len(refused) if error is None else 1,
        )

    def _judge(self, frame: polars.DataFrame) -> tuple[polars.DataFrame, list[int], polars.DataFrame]:
        """Return what the rules say of each row, which rows are refused, and the others."""
        answers = self._answers(frame)
        passes = import_polars("FrameValidateStage").all_horizontal(answers.columns)
        good = answers.select(passes.alias("good"))["good"]
        refused: list[int] = (~good).arg_true().to_list()
        return answers, refused, frame.filter(good) if refused else frame

    def _answers(self, frame: polars.DataFrame) -> polars.DataFrame:
        """Return a column of truth values for each rule, by its number.

        Raises:
            TypeError: If a rule gives something else.
        """
        polars = import_polars("FrameValidateStage")
        rules = [rule.alias(str(at)) for at, rule in enumerate(self._rules.values())]
        # Beside a column, a rule that does not look at the rows gives an answer for each as well.
        answers = frame.select(polars.int_range(polars.len()).alias("row"), *rules).drop("row")
        for reason, column in zip(self._rules, answers.columns, strict=True):
            if answers[column].dtype not in (polars.Boolean, polars.Null):
                raise TypeError(
                    f"the rule {reason!r} gives {answers[column].dtype} for a row, and not a truth value: compare with "
                    "something"
                )
        return answers.fill_null(value=False)

    def _reject(
        self, frame: polars.DataFrame, answers: polars.DataFrame, refused: list[int], context: PipelineContext
    ) -> ValidationError | None:
        """Record the rows that are refused; return the error of the first, if that fails the stage."""
        if not self._continue_on_error:
            refused = refused[:1]
        if not refused:
            return None
        reasons = list(self._rules)
        stage = context.current_stage or self.name
        rows = frame[refused].iter_rows(named=True)
        for at, row, said in zip(refused, rows, answers[refused].iter_rows(), strict=True):
            error = ValidationError("; ".join(reason for reason, yes in zip(reasons, said, strict=True) if not yes))
            context.record_error(error, stage=stage, record=row, index=at)
            if not self._continue_on_error:
                add_note_once(error, f"at record {context.chunk_start + at}")
                return error
        return None
