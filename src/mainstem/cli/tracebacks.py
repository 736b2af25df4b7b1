"""Tracebacks cut to the user's own frames."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path
from traceback import FrameSummary, TracebackException

import anyio

from mainstem.cli.escape import printable_lines, shorten
from mainstem.errors import MainstemError

_PACKAGE = str(Path(__file__).parents[1])
_MACHINERY = (_PACKAGE, str(Path(anyio.__file__).parent), os.fspath(Path(os.__file__).parent / "asyncio"))
"""What runs the user's code: of no interest even where it is what raised."""
_LIBRARIES = ("<frozen ", sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["platstdlib"])
_LONGEST_LINE = 1000


def format_error(error: BaseException, *, own: str = "", everything: bool = False) -> list[str]:
    """Format an exception with its notes, causes and traceback, as Python does.

    Frames of libraries are left out. The one that raised is kept, unless it is mainstem's own or an event loop's and a
    frame of the user's remains. An error of mainstem's own that no code of the user's led to is its text: it says all.

    Args:
        error: The exception.
        own: A file or folder whose frames are the user's, wherever it lies.
        everything: Whether to keep all frames and whole lines.

    Returns:
        Lines that are safe to print.
    """
    formatted = TracebackException.from_exception(error)
    if not everything and isinstance(error, MainstemError) and not _has_users_frame(formatted, own):
        left_out = _count_frames(formatted)
        formatted.stack.clear()
        formatted.__cause__ = formatted.__context__ = None
    else:
        left_out = 0 if everything else _cut(formatted, own, set())
    lines = printable_lines("".join(formatted.format()).rstrip("\n"))
    if everything:
        return lines
    if left_out:
        frames = "1 frame" if left_out == 1 else f"{left_out} frames"
        lines.append(f"({frames} of libraries left out; --traceback shows everything)")
    return [shorten(line, _LONGEST_LINE) for line in lines]


def _cut(formatted: TracebackException, own: str, seen: set[int]) -> int:
    if id(formatted) in seen:
        return 0
    seen.add(id(formatted))
    frames = list(formatted.stack)
    kept = [frame for frame in frames if _is_users(frame, own)]
    names_its_place = hasattr(formatted, "lineno")  # an error of syntax: the import that met it says no more
    by_machinery = bool(kept) and _is_within(frames[-1].filename, _MACHINERY)
    if not names_its_place and not by_machinery and not (kept and kept[-1] is frames[-1]):
        kept += frames[-1:]
    formatted.stack[:] = kept
    left_out = len(frames) - len(kept)
    for other in (formatted.__cause__, formatted.__context__, *(formatted.exceptions or ())):
        if other is not None:
            left_out += _cut(other, own, seen)
    return left_out


def _chain(formatted: TracebackException) -> list[TracebackException]:
    """Return an exception and those that led to it, one after another."""
    chain: list[TracebackException] = []
    following: TracebackException | None = formatted
    while following is not None and following not in chain:
        chain.append(following)
        following = following.__cause__ or following.__context__
    return chain


def _has_users_frame(formatted: TracebackException, own: str) -> bool:
    return any(_is_users(frame, own) for each in _chain(formatted) for frame in each.stack)


def _count_frames(formatted: TracebackException) -> int:
    return sum(len(each.stack) for each in _chain(formatted))


def _is_users(frame: FrameSummary, own: str) -> bool:
    file = frame.filename
    if own and (file == own or file.startswith(own + os.sep)):
        return True
    in_packages = "site-packages" in file or "dist-packages" in file
    return not in_packages and not _is_within(file, _MACHINERY + _LIBRARIES)


def _is_within(file: str, places: tuple[str, ...]) -> bool:
    return file.startswith(places)
