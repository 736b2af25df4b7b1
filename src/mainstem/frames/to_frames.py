"""``ToFrames``: from records to frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

from mainstem.connect.frame_maker import FrameMaker
from mainstem.context import PipelineContext
from mainstem.errors import add_note_once
from mainstem.frames.frame_stage import frame_type
from mainstem.result import StageResult
from mainstem.stage import PipelineStage, StageKind
from mainstem.take_all import take_all
from mainstem.type_hints import iterable_of

if TYPE_CHECKING:
    import polars


class ToFrames(PipelineStage[Iterable[Any], "polars.DataFrame"]):
    """Put records into frames: a column for each field.

    The columns are those of the schema; without one, those of the record type. Records of which neither is known need
    a schema, because what is seen first need not be what comes later. A record with other fields, or a value that its
    column cannot take unchanged, is rejected.

    Args:
        schema: The columns: a record type (its annotations say what each holds), or by name what Polars calls the
            types, such as ``{"id": pl.Int64}``.
        continue_on_error: Whether to record what does not fit, and go on.
        name: The stage's name in reports.

    Raises:
        TypeError: If ``schema`` is neither, or has a field that no column can hold.
        MissingExtraError: If ``mainstem[frames]`` is not installed.

    Example:
        >>> from mainstem import Pipeline
        >>> import polars as pl
        >>> stage = ToFrames({"name": pl.String, "age": pl.Int64})
        >>> Pipeline[list[dict], pl.DataFrame]("people").add_stage(stage).run([{"name": "Ada", "age": 36}]).data.rows()
        [('Ada', 36)]
    """

    kind = StageKind.ELEMENTWISE
    waits = False
    expands = False

    def __init__(
        self, schema: type[Any] | Mapping[str, Any], *, continue_on_error: bool = False, name: str | None = None
    ) -> None:
        self._model: Any = schema if isinstance(schema, type) else None
        self._maker = FrameMaker(schema, "ToFrames", "the frame")
        self._continue_on_error = continue_on_error
        if name is not None:
            self.name = name

    def _hints(self) -> tuple[Any, Any]:
        return iterable_of(Any if self._model is None else self._model), frame_type()

    async def process(self, data: Iterable[Any], context: PipelineContext) -> StageResult[polars.DataFrame]:
        started = perf_counter()
        records, input_error = take_all(data)
        frame, failures = self._maker.make(records)
        error = input_error or self._reject(records, failures, context)
        handled = len(records) if error is None or error is input_error else failures[0][0]
        return StageResult(
            data=frame if error is None else None,
            success=error is None,
            error=error,
            duration_ms=(perf_counter() - started) * 1000,
            records_processed=handled - len(failures) if error is None else handled,
            records_failed=len(failures) if error is None else int(error is not input_error),
        )

    def _reject(
        self, records: Any, failures: list[tuple[int, Exception]], context: PipelineContext
    ) -> Exception | None:
        """Record what failed; return the error of the first, if that fails the stage."""
        for at, error in failures:
            context.record_error(error, stage=context.current_stage or self.name, record=records[at], index=at)
            if not self._continue_on_error:
                add_note_once(error, f"at record {context.chunk_start + at}")
                return error
        return None
