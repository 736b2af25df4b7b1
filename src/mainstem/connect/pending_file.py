"""Local files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from mainstem.connect.files import file_errors
from mainstem.connect.packing import packer_for
from mainstem.errors import ConnectError


def writable_target(path: Path) -> Path:
    """Return what is to be replaced: behind a link, so that the link stays one.

    Raises:
        ConnectError: If it is a device or pipe.
        OSError: If it is a folder, or cannot be looked at.
    """
    target = path.resolve()
    if target.is_dir():
        raise IsADirectoryError
    if target.exists() and not target.is_file():
        raise ConnectError(f"cannot write {path}: it is a device or pipe; give the path of a file")
    return target


def mode_of(target: Path, otherwise: int) -> int:
    """Return the rights of a file that is to be replaced, or ``otherwise`` if there is none."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        return otherwise


class PendingFile:
    """A file in the making: written under another name beside its target, and moved over it by ``commit``.

    What is killed on the way leaves a file ``.mainstem-*.tmp`` behind and the target as it was.

    Args:
        path: The target. Where it ends in ``.gz`` or ``.zst``, what is written is packed.

    Raises:
        ConnectError: If it cannot be written there.
        MissingExtraError: If that takes ``mainstem[files]``, which is not installed.
    """

    def __init__(self, path: Path) -> None:
        with file_errors(path, "write"):
            self._target = writable_target(path)
            self._packer = packer_for(self._target.name)
            # The name cannot be foreseen and must be new, so nobody can have put a link there.
            self._temporary = self._target.parent / f".mainstem-{secrets.token_hex(16)}.tmp"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            self._raw = os.fdopen(os.open(self._temporary, flags, 0o666), "wb")
            self._mode = stat.S_IMODE(os.fstat(self._raw.fileno()).st_mode)  # that of any new file here
            self._temporary.chmod(0o600)  # until it is what it replaces, which others perhaps must not read
        self._path = path

    def write(self, content: bytes) -> None:
        """Append to the file.

        Raises:
            ConnectError: If it cannot be written.
        """
        with file_errors(self._path, "write"):
            self._raw.write(content if self._packer is None else self._packer.compress(content))

    def commit(self) -> None:
        """Make the file durable and move it over its target, in one step for whoever looks.

        Raises:
            ConnectError: If it cannot be written; call ``discard`` then.
        """
        with file_errors(self._path, "write"):
            if self._packer is not None:
                self._raw.write(self._packer.flush())
            self._raw.flush()
            self._temporary.chmod(mode_of(self._target, self._mode))
            os.fsync(self._raw.fileno())
            self._raw.close()
            self._temporary.replace(self._target)
            if hasattr(os, "O_DIRECTORY"):  # Windows has it not, and its file system journals names
                _sync_folder(self._target.parent)

    def discard(self) -> None:
        """Remove what was written. Once it is committed, or discarded, this does nothing."""
        with suppress(OSError):  # what is still in a buffer need not, and on a full disk cannot, be written
            self._raw.close()
        self._temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
