"""``ValidateStage``: check the data as a whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from time import perf_counter
from typing import Any

from typing_extensions import TypeVar

from mainstem.context import PipelineContext
from mainstem.errors import ValidationError
from mainstem.result import StageResult
from mainstem.retry import RetryPolicy
from mainstem.stage import UnchangedStage
from mainstem.stage_run import count_records
from mainstem.stages.record_function import RecordFunction
from mainstem.stages.validate_records import require_yes
from mainstem.take_all import take_all
from mainstem.type_hints import function_hints

T = TypeVar("T", default=Any)


class ValidateStage(UnchangedStage[T, T]):
    """Check the data as a whole: it passes unchanged, or the stage fails.

    The validator, sync or async, answers ``True`` for good data, ``False`` or a text (the error's message) for bad. Any
    other answer is a failure that says so, never a pass. An iterator is read into a list first, which the validator
    sees and which passes: it can be read only once. For a check of each record see ``ValidateRecordsStage``.

    Args:
        validator: Takes the whole data.
        retry: How to call it again when it raised; an answer is final, whatever it is.
        timeout: The seconds that one call may take; of a sync validator in a thread, as ``MapStage`` says.
        name: The stage's name in reports.

    Raises:
        TypeError: If ``validator`` cannot be called.
        ValueError: If ``timeout`` is no positive number.
        MissingExtraError: If there is a ``retry`` and ``mainstem[retry]`` is not installed.

    Example:
        >>> from mainstem import Pipeline
        >>> def not_empty(numbers: list[int]) -> bool | str:
        ...     return bool(numbers) or "nothing to do"
        >>> Pipeline[list[int], list[int]]("check").add_stage(ValidateStage(not_empty)).run([]).error
        ValidationError('nothing to do')
    """

    def __init__(
        self,
        validator: Callable[[T], bool | str | Awaitable[bool | str]],
        *,
        retry: RetryPolicy | None = None,
        timeout: float | None = None,
        name: str | None = None,
    ) -> None:
        self._validator = RecordFunction(validator, "validator of ValidateStage", retry=retry, timeout=timeout)
        if name is not None:
            self.name = name

    def _hints(self) -> tuple[Any, Any]:
        taken, _ = function_hints(self._validator.call)
        return taken, taken

    async def process(self, data: T, context: PipelineContext) -> StageResult[T]:
        started = perf_counter()
        function = self._validator
        checked: Any = data
        if isinstance(data, Iterator):
            checked, input_error = take_all(checked)
            if input_error is not None:
                return StageResult.failure(input_error, records_processed=len(checked))
        outcome = await function.call_with_whole(checked, context, self.name)
        error = outcome.error
        if error is None:
            try:
                require_yes(outcome.answer, function)
            except ValidationError as refused:
                error = refused
        count = count_records(checked)
        return StageResult(
            data=checked if error is None else None,
            success=error is None,
            error=error,
            duration_ms=(perf_counter() - started) * 1000,
            records_processed=count if error is None else 0,
            records_failed=0 if error is None else max(1, count),
            notes=function.notes(context),
        )
