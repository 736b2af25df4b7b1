"""``ValidateRecordsStage``: check each record, and keep the bad ones aside with their reason."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from copy import copy
from itertools import repeat
from operator import is_
from typing import TYPE_CHECKING, Any, overload

from typing_extensions import TypeVar

from mainstem.errors import ValidationError
from mainstem.records import is_record_type, record_parser
from mainstem.retry import RetryPolicy
from mainstem.stage import RecordsStage
from mainstem.stages.record_calls import Calls, fail_answers
from mainstem.stages.record_function import RecordFunction
from mainstem.stages.record_function_stage import LoopStep, RecordFunctionStage
from mainstem.type_hints import function_hints, iterable_of, list_of

T = TypeVar("T")
M = TypeVar("M")
T_contra = TypeVar("T_contra", contravariant=True)
U_co = TypeVar("U_co", covariant=True)

_COPIED = object()
"""In the place of the validator, when a stage is copied or unpickled, which is done without arguments."""


class ValidateRecordsStage(RecordFunctionStage[T_contra, U_co]):
    """Check each record; the good ones go on, the bad ones are rejected with their reason.

    Given a function, the records that it answers ``True`` to go on unchanged; ``False``, a text (the reason), or any
    other answer rejects the record. Given a model (a pydantic model, msgspec ``Struct``, dataclass or ``TypedDict``),
    each record is parsed into it, and what goes on is the parsed records; numbers and the like are read from text
    where the model asks for them.

    By default the first bad record fails the stage; with ``continue_on_error`` each is recorded in ``context.errors``
    with its position and a ``ValidationError``, and the rest go on.

    Args:
        validator: A function of one record, sync or async, or a model.
        continue_on_error: Whether to record bad records and go on.
        concurrency: How many awaits of an async validator may be under way at a time; order is kept.
        retry: How to call the validator again for a record for which it raised; an answer is final, whatever it is.
        timeout: The seconds that one call may take; of a sync validator in a thread, as ``MapStage`` says.
        name: The stage's name in reports.

    Raises:
        TypeError: If ``validator`` is neither a function nor a model.
        ValueError: If ``concurrency`` is no positive whole number, or ``timeout`` no positive number.
        MissingExtraError: If a model needs ``mainstem[models]``, or ``retry`` ``mainstem[retry]``, and it is not
            installed.

    Example:
        >>> from mainstem import Pipeline
        >>> def adult(person: dict[str, int]) -> bool | str:
        ...     return person["age"] >= 18 or f"too young: {person['age']}"
        >>> stage = ValidateRecordsStage(adult, continue_on_error=True)
        >>> pipeline = Pipeline[list[dict[str, int]], list[dict[str, int]]]("adults").add_stage(stage)
        >>> result = pipeline.run([{"age": 40}, {"age": 7}])
        >>> result.data, [str(entry.error) for entry in result.context.errors]
        ([{'age': 40}], ['too young: 7'])
    """

    if TYPE_CHECKING:
        # A checker is shown __new__ in the place of __init__: a function and a model make stages of two shapes.

        @overload
        def __new__(  # type: ignore[overload-overlap]  # a class can be called too, and is a model here
            cls,
            validator: type[M],
            *,
            continue_on_error: bool = False,
            concurrency: int = 1,
            retry: RetryPolicy | None = None,
            timeout: float | None = None,
            name: str | None = None,
        ) -> ValidateRecordsStage[Any, M]: ...
        @overload
        def __new__(
            cls,
            validator: Callable[[T], bool | str | Awaitable[bool | str]],
            *,
            continue_on_error: bool = False,
            concurrency: int = 1,
            retry: RetryPolicy | None = None,
            timeout: float | None = None,
            name: str | None = None,
        ) -> CheckRecordsStage[T]: ...
        def __new__(
            cls,
            validator: Any,
            *,
            continue_on_error: bool = False,
            concurrency: int = 1,
            retry: RetryPolicy | None = None,
            timeout: float | None = None,
            name: str | None = None,
        ) -> Any: ...

    else:

        def __new__(cls, validator: Any = _COPIED, **_: Any) -> Any:
            checks = cls is ValidateRecordsStage and validator is not _COPIED and not is_record_type(validator)
            return super().__new__(CheckRecordsStage if checks else cls)

        def __init__(
            self,
            validator: Callable[[Any], Any],
            *,
            continue_on_error: bool = False,
            concurrency: int = 1,
            retry: RetryPolicy | None = None,
            timeout: float | None = None,
            name: str | None = None,
        ) -> None:
            self._set_up_validator(
                validator,
                continue_on_error=continue_on_error,
                concurrency=concurrency,
                retry=retry,
                timeout=timeout,
                name=name,
            )

    def _set_up_validator(self, validator: Callable[[Any], Any], **options: Any) -> None:
        model: Any = validator if is_record_type(validator) else None
        self._model: Any = model
        if model is None and isinstance(validator, type):
            raise TypeError(
                f"validator of ValidateRecordsStage must be a function or a model (pydantic, msgspec, dataclass, "
                f"TypedDict), and {validator.__name__} is another kind of class"
            )
        self._set_up(
            validator if model is None else record_parser(model),
            "validator of ValidateRecordsStage",
            **options,
        )

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        if self._model is not None:  # what parses cannot be pickled, but made again
            function: Any = copy(self._function)
            function.function = function.call = None
            state["_function"] = function
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self._model is not None:
            self._function.function = self._function.call = record_parser(self._model)

    def _hints(self) -> tuple[Any, Any]:
        return Any, list_of(Any if self._model is None else self._model)

    def loop_step(self) -> LoopStep | None:
        return self._loop_step("map", ValidateRecordsStage)

    def _take_answers(self, calls: Calls) -> tuple[list[Any], int]:
        return calls.answers, 0


class CheckRecordsStage(ValidateRecordsStage[T, T], RecordsStage[T, T]):
    """``ValidateRecordsStage`` with a function, which keeps the type of the records."""

    name = "ValidateRecordsStage"

    def _hints(self) -> tuple[Any, Any]:
        taken, _ = function_hints(self._function.call)
        return iterable_of(taken), list_of(taken)

    def loop_step(self) -> LoopStep | None:
        return self._loop_step("check", CheckRecordsStage, self._require_yes)

    def _take_answers(self, calls: Calls) -> tuple[list[Any], int]:
        if not all(map(is_, calls.answers, repeat(True))):
            fail_answers(calls, self._require_yes, go_on=self._continue_on_error)
        return list(calls.records), 0

    def _require_yes(self, answer: Any) -> None:
        require_yes(answer, self._function)


def require_yes(answer: object, validator: RecordFunction) -> None:
    """Take a validator's answer: ``True`` passes, and nothing else does.

    Raises:
        ValidationError: If the answer is ``False``, a text (which becomes the message), or no answer at all.
    """
    if answer is True:
        return
    if isinstance(answer, str):
        raise ValidationError(answer)
    returned = "False" if answer is False else f"{type(answer).__name__}; a validator returns True, False or a text"
    raise ValidationError(f"{validator.describe()} returned {returned}")
