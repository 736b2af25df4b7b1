"""Folders that nobody else can have put in their place, made whole in one step."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from mainstem.errors import ConnectError

NO_LINK = getattr(os, "O_NOFOLLOW", 0)
FOLDER_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)


def open_private(path: Path, parent: int) -> int:
    """Open a folder, and return a handle of it.

    Args:
        path: The folder.
        parent: A handle of the folder that it is in.

    Raises:
        ConnectError: If it is a link, or somebody else's, who could change what is in it.
        OSError: If it cannot be opened.
    """
    try:
        handle = os.open(path.name, FOLDER_FLAGS | NO_LINK, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise _planted(path) from error
        raise
    owner = os.fstat(handle).st_uid
    # Whoever owns the parent could replace anything in it. On a mounted drive everything may have the same owner.
    if owner not in (os.geteuid(), os.fstat(parent).st_uid):
        os.close(handle)
        raise _planted(path)
    return handle


def _planted(path: Path) -> ConnectError:
    return ConnectError(
        f"{path} is not a folder of this user, so somebody else could change what is gathered in it: remove it, or run "
        "as the user who began"
    )


def make_private(path: Path, parent: int, new: Path, entry: str) -> None:
    """Make a folder that has an empty file in it from the first moment; if it is there, leave it as it is.

    Args:
        path: The folder.
        parent: A handle of the folder that it is in.
        new: Where it is made before it is moved; used by nobody else.
        entry: The name of the file.

    Raises:
        ConnectError: If somebody else has something at ``new``.
        OSError: If it cannot be made.
    """
    with suppress(FileExistsError):  # an interrupted call has left it
        os.mkdir(new.name, 0o700, dir_fd=parent)
    handle = open_private(new, parent)
    try:
        os.close(os.open(entry, os.O_WRONLY | os.O_CREAT | NO_LINK, 0o600, dir_fd=handle))
        os.fsync(handle)
    finally:
        os.close(handle)
    try:
        os.rename(new.name, path.name, src_dir_fd=parent, dst_dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        remove_unborn(new, parent, entry)  # somebody else was first
    os.fsync(parent)


def remove_unborn(new: Path, parent: int, entry: str) -> None:
    """Remove what an interrupted ``make_private`` has left, if anything.

    Raises:
        ConnectError: If it is somebody else's.
        OSError: If it cannot be removed.
    """
    try:
        handle = open_private(new, parent)
    except FileNotFoundError:
        return
    try:
        with suppress(FileNotFoundError):
            os.unlink(entry, dir_fd=handle)
    finally:
        os.close(handle)
    try:
        os.rmdir(new.name, dir_fd=parent)
    except OSError as error:
        # Gone, or its maker is at work on it this moment, and removes it when it finds the folder made.
        if error.errno not in (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY):
            raise
