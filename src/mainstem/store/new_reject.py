"""A reject as a store keeps it."""

from __future__ import annotations

import re
from functools import lru_cache

from mainstem.context import StageError
from mainstem.errors import LateRecordError, ValidationError, describe_error
from mainstem.store.codec import encode_record
from mainstem.store.model import NewReject

LONGEST_MESSAGE = 4000
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,63}")


def new_reject(entry: StageError, *, origin: int | None = None) -> NewReject:
    """Return what is kept of a record that failed.

    Its ``code`` is what rejects are filtered by: the error's own ``code``, if it has one that is a short word;
    ``validation`` of a ``ValidationError``, ``late`` of a ``LateRecordError``; else the name of the error's class.

    Args:
        entry: The entry of ``context.errors``.
        origin: The record's position in the input of the pipeline, if it is known.
    """
    error = entry.error
    kept = encode_record(entry.record)
    return NewReject(
        stage=entry.stage,
        index=entry.index,
        origin=origin,
        error_type=_name_of(type(error)),  # type: ignore[arg-type]  # classes are hashable
        message=_message_of(error),
        code=_code_of(error),
        record=kept.text,
        is_exact=kept.is_exact,
        is_redacted=entry.is_redacted,
        attempts=entry.attempts,
        at=entry.at,
    )


@lru_cache(maxsize=1024)
def _name_of(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


def _message_of(error: Exception) -> str:
    try:
        text = str(error)
    except Exception:
        text = describe_error(error)
    notes: list[str] = getattr(error, "__notes__", [])
    whole = "\n".join([text or type(error).__name__, *notes]) if notes else text or type(error).__name__
    return (
        whole if len(whole) <= LONGEST_MESSAGE else f"{whole[:LONGEST_MESSAGE]}... ({len(whole):,} characters in all)"
    )


def _code_of(error: Exception) -> str:
    code: object = getattr(error, "code", None)
    if type(code) is str and _CODE.fullmatch(code):
        return code
    return _code_of_class(type(error))  # type: ignore[arg-type]  # classes are hashable


@lru_cache(maxsize=1024)
def _code_of_class(kind: type[Exception]) -> str:
    if issubclass(kind, ValidationError):
        return "validation"
    return "late" if issubclass(kind, LateRecordError) else kind.__name__
