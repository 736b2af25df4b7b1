"""Frames of mainstem's own in the traceback of what a user's function raised."""

from __future__ import annotations

LOOP_FILE = "<a loop of mainstem>"
"""The file name of loops whose code is made when they are needed."""
_OWN_FILES = (__file__.removesuffix("own_frames.py"), LOOP_FILE)


def is_own_file(name: str) -> bool:
    """Say whether a file of code is mainstem's."""
    return name.startswith(_OWN_FILES)


def drop_own_frames(error: Exception) -> None:
    """Let the traceback of an error begin at the first frame that is not mainstem's.

    A frame keeps all that its function held alive, here the records of a whole chunk, for as long as the error is kept.
    """
    traceback = error.__traceback__
    while traceback is not None and is_own_file(traceback.tb_frame.f_code.co_filename):
        traceback = traceback.tb_next
    error.__traceback__ = traceback
