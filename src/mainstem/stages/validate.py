"""``ValidateStage``: check the data as a whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from time import perf_counter
from typing import Any

from typing_extensions import TypeVar

from mainstem.context import PipelineContext, context_of_run
from mainstem.result import StageResult
from mainstem.stage import UnchangedStage
from mainstem.stage_run import count_records
from mainstem.stages.record_function import RecordFunction
from mainstem.stages.validate_records import require_yes
from mainstem.type_hints import function_hints

T = TypeVar("T", default=Any)


class ValidateStage(UnchangedStage[T, T]):
    """Check the data as a whole: it passes unchanged, or the stage fails.

    The validator, sync or async, answers ``True`` for good data, ``False`` or a text (the error's message) for bad. Any
    other answer is a failure that says so, never a pass. For a check of each record see ``ValidateRecordsStage``.

    Args:
        validator: Takes the whole data.
        name: The stage's name in reports.

    Raises:
        TypeError: If ``validator`` cannot be called.

    Example:
        >>> from mainstem import Pipeline
        >>> def not_empty(numbers: list[int]) -> bool | str:
        ...     return bool(numbers) or "nothing to do"
        >>> Pipeline[list[int], list[int]]("check").add_stage(ValidateStage(not_empty)).run([]).error
        ValidationError('nothing to do')
    """

    def __init__(
        self, validator: Callable[[T], bool | str | Awaitable[bool | str]], *, name: str | None = None
    ) -> None:
        self._validator = RecordFunction(validator, "validator of ValidateStage")
        if name is not None:
            self.name = name

    def _hints(self) -> tuple[Any, Any]:
        taken, _ = function_hints(self._validator.call)
        return taken, taken

    async def process(self, data: T, context: PipelineContext) -> StageResult[T]:
        started = perf_counter()
        try:
            with context_of_run(context):
                answer = self._validator.call(data)
                if isawaitable(answer):
                    answer = await answer
            require_yes(answer, self._validator.describe())
        except Exception as error:
            return StageResult.failure(error, records_failed=max(1, count_records(data)))
        return StageResult(
            data=data, duration_ms=(perf_counter() - started) * 1000, records_processed=count_records(data)
        )
