"""``ToRecords``: from frames to records."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, overload

from typing_extensions import TypeVar

from mainstem.connect.record_type import model_of
from mainstem.context import PipelineContext
from mainstem.errors import add_note_once
from mainstem.frame_data import import_polars, is_frame
from mainstem.frames.frame_stage import frame_type, whole_frame
from mainstem.records import record_parser
from mainstem.result import StageResult
from mainstem.stage import PipelineStage, StageKind
from mainstem.type_hints import list_of

if TYPE_CHECKING:
    import polars

R = TypeVar("R")
M = TypeVar("M", default=dict[str, Any])


class ToRecords(PipelineStage["polars.DataFrame", list[M]]):
    """Turn the rows of frames into records: dicts, or what they are parsed into.

    Args:
        record_type: A pydantic model, msgspec ``Struct``, dataclass or ``TypedDict`` that each row is parsed into;
            without one, a row becomes a dict of its columns.
        continue_on_error: Whether to record rows that cannot be parsed, and go on.
        name: The stage's name in reports.

    Raises:
        TypeError: If ``record_type`` is none of these.
        MissingExtraError: If ``mainstem[frames]`` is not installed, or ``mainstem[models]`` is needed.

    Example:
        >>> import polars as pl
        >>> from mainstem import Pipeline
        >>> frame = pl.DataFrame({"name": ["Ada"], "age": [36]})
        >>> Pipeline[pl.DataFrame, list[dict]]("people").add_stage(ToRecords()).run(frame).data
        [{'name': 'Ada', 'age': 36}]
    """

    kind = StageKind.ELEMENTWISE
    waits = False
    expands = False

    @overload
    def __init__(
        self: ToRecords[dict[str, Any]],
        record_type: None = None,
        *,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: ToRecords[R], record_type: type[R], *, continue_on_error: bool = False, name: str | None = None
    ) -> None: ...
    def __init__(
        self, record_type: type[Any] | None = None, *, continue_on_error: bool = False, name: str | None = None
    ) -> None:
        import_polars("ToRecords")
        self._model: Any = None if record_type is None else model_of(record_type, "ToRecords")
        self._parse = None if self._model is None else record_parser(self._model)
        self._continue_on_error = continue_on_error
        if name is not None:
            self.name = name

    def _hints(self) -> tuple[Any, Any]:
        return frame_type(), list_of(dict[str, Any] if self._model is None else self._model)

    async def process(self, data: polars.DataFrame, context: PipelineContext) -> StageResult[list[M]]:
        started = perf_counter()
        frame = whole_frame(data)
        if not is_frame(frame):
            return StageResult(data=[])
        rows: list[Any] = frame.to_dicts()
        if self._parse is None:
            return StageResult(data=rows, duration_ms=(perf_counter() - started) * 1000, records_processed=frame.height)
        records: list[Any] = []
        failed = 0
        for at, row in enumerate(rows):
            try:
                records.append(self._parse(row))
            except Exception as error:
                failed += 1
                context.record_error(error, stage=context.current_stage or self.name, record=row, index=at)
                if not self._continue_on_error:
                    add_note_once(error, f"at record {context.chunk_start + at}")
                    return StageResult.failure(error, records_processed=at, records_failed=1)
        return StageResult(
            data=records,
            duration_ms=(perf_counter() - started) * 1000,
            records_processed=len(records),
            records_failed=failed,
        )
