"""Exceptions on their way from a worker process: with notes, causes and the frames they came through.

Pickled by itself an exception loses its traceback and its cause, one in Python's own library (``JSONDecodeError``) its
notes as well, and some cannot be pickled or, worse, only not be read again. What cannot be sent keeps its type's name
and its text.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from mainstem.engine.packing import pack
from mainstem.errors import WorkerFunctionError, add_note_once, describe_error
from mainstem.own_frames import is_own_file

SHOWN_FRAMES = 20
"""How many frames of a traceback are kept, the innermost: a recursion without end has a thousand."""


@dataclass(frozen=True, slots=True)
class SentError:
    """An exception.

    Attributes:
        pickled: The exception; ``None`` if that cannot be sent.
        text: Its type's name and its text.
        notes: Its notes, and the frames it came through.
        cause: The number of its cause among those that were sent with it.
        context: The number of what was being handled when it was raised.
        suppresses: Whether it is to be shown without that.
    """

    pickled: bytes | None
    text: str
    notes: tuple[str, ...]
    cause: int | None
    context: int | None
    suppresses: bool


class ErrorPacker:
    """Makes exceptions ready to be sent; the same exception twice is sent once, and stays one."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._kept: list[BaseException] = []  # so that an identity is not given twice
        self._sent: list[SentError | None] = []

    def add(self, error: BaseException) -> int:
        """Add an exception, and return its number."""
        number = self._numbers.get(id(error))
        if number is None:
            number = self._numbers[id(error)] = len(self._sent)
            self._kept.append(error)
            self._sent.append(None)  # its place: a cause may lead back to it
            cause = None if error.__cause__ is None else self.add(error.__cause__)
            context = None if error.__context__ is None else self.add(error.__context__)
            self._sent[number] = SentError(
                _pickled(error), describe_error(error), _notes(error), cause, context, error.__suppress_context__
            )
        return number

    def sent(self) -> list[SentError]:
        """Return all that were added, by number."""
        return [error for error in self._sent if error is not None]


def received(sent: Sequence[SentError]) -> list[BaseException]:
    """Make exceptions again of those that were sent."""
    errors = [_unpickled(each) for each in sent]
    for error, each in zip(errors, sent, strict=True):
        error.__cause__ = None if each.cause is None else errors[each.cause]
        error.__context__ = None if each.context is None else errors[each.context]
        error.__suppress_context__ = each.suppresses
        for note in each.notes:
            add_note_once(error, note)
    return errors


def _pickled(error: BaseException) -> bytes | None:
    try:
        packed = pack(error)
        again = pickle.loads(packed)
        survives = type(again) is type(error) and str(again) == str(error)
    except Exception:
        return None  # what is wrong with it is not what the user wants to know: its type and text are kept
    return packed if survives else None


def _unpickled(sent: SentError) -> BaseException:
    if sent.pickled is not None:
        try:
            error = pickle.loads(sent.pickled)
        except Exception:
            pass  # of a class that this process cannot import: as if it could not be sent
        else:
            if isinstance(error, BaseException):
                return error
    return WorkerFunctionError(sent.text)


def _notes(error: BaseException) -> tuple[str, ...]:
    notes = tuple(note for note in getattr(error, "__notes__", ()) if isinstance(note, str))
    frames = _frames(error.__traceback__)
    return (*notes, f"raised in a worker process, at:\n{frames}") if frames else notes


def _frames(trace: TracebackType | None) -> str:
    """Return the frames of a traceback as text, without those of this library before the user's."""
    frames = traceback.extract_tb(trace)
    first = next((at for at, frame in enumerate(frames) if not is_own_file(frame.filename)), 0)
    return "".join(traceback.format_list(frames[first:][-SHOWN_FRAMES:])).rstrip()
