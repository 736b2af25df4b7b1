"""Rejects as a store keeps them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from mainstem.context import StageError
from mainstem.errors import LateRecordError, MainstemError, describe_error
from mainstem.store.codec import encode_records
from mainstem.store.model import NewReject

LONGEST_MESSAGE = 4000
LONGEST_NAME = 200
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,63}")
_CODES: dict[type[Any], str] = {LateRecordError: "late"}
"""Codes that are not the name of the class."""
_VALIDATING = frozenset(("mainstem.errors", "pydantic_core._pydantic_core", "msgspec"))
"""The modules whose ``ValidationError`` says the same: the record is not valid."""


def new_rejects(entries: Sequence[StageError]) -> list[NewReject]:
    """Return what is kept of records that failed. Never raises an ``Exception``.

    A ``code`` is what rejects are filtered by: the error's own ``code``, if it has one that is a short word. Else, of
    an error of mainstem and what derives from it, its name in small letters without ``Error``: ``validation`` of a
    ``ValidationError`` (of pydantic and msgspec as well), ``late`` of a ``LateRecordError``, ``worker-died`` of a
    ``WorkerDiedError``. Of any other error it is the name of its class, such as ``KeyError``.

    A ``message`` is what the error says, and its notes, cut after 4,000 characters.

    Args:
        entries: The entries of ``context.errors``.
    """
    kept = encode_records([entry.record for entry in entries])
    return [
        NewReject(
            entry.stage,
            entry.index,
            _name_of(type(entry.error)),  # type: ignore[arg-type]  # classes are hashable
            _message_of(entry.error),
            _code_of(entry.error),
            text,
            entry.at,
            is_exact,
            entry.is_redacted,
            entry.attempts,
        )
        for entry, (text, is_exact) in zip(entries, kept, strict=True)
    ]


@lru_cache(maxsize=1024)
def _name_of(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")[:LONGEST_NAME]


def _message_of(error: Exception) -> str:
    try:
        text = str.__str__(str(error))
    except Exception:
        text = describe_error(error)
    notes: Any = getattr(error, "__notes__", None)
    if issubclass(type(notes), list):  # it may have been set to anything
        text = "\n".join([text or type(error).__name__, *(each for each in notes if isinstance(each, str))])
    if len(text) > LONGEST_MESSAGE:
        return f"{text[:LONGEST_MESSAGE]}... ({len(text):,} characters in all)"
    return text or type(error).__name__


def _code_of(error: Exception) -> str:
    try:
        code: object = getattr(error, "code", None)
    except Exception:  # of a property
        code = None
    if type(code) is str and _CODE.fullmatch(code):
        return code
    return _code_of_class(type(error))  # type: ignore[arg-type]  # classes are hashable


@lru_cache(maxsize=1024)
def _code_of_class(kind: type[Exception]) -> str:
    for base in kind.__mro__:
        if base.__name__ == "ValidationError" and base.__module__ in _VALIDATING:
            return "validation"
        if base.__module__ == "mainstem.errors" and base is not MainstemError:
            return _CODES.get(base) or _words(base.__name__.removesuffix("Error"))
    name = kind.__name__
    return name if _CODE.fullmatch(name) else "error"


def _words(name: str) -> str:
    """Return a name such as ``WorkerDied`` as ``worker-died``."""
    return re.sub("(?<=[a-z])(?=[A-Z])", "-", name).lower()
