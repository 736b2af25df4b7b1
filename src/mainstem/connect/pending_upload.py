"""Files of object stores that appear whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import Any

from mainstem.connect.files import FilePath
from mainstem.connect.locations import remote_place
from mainstem.connect.packing import packer_for


class PendingUpload:
    """A file in the making: written to this machine's disk, and uploaded by ``commit``, when it is there as a whole.

    Args:
        url: Where it is to be. Where it ends in ``.gz`` or ``.zst``, what is written is packed.
        options: How the URL is opened.

    Raises:
        ConnectError: If it is the URL of nothing that can be written.
        MissingExtraError: If ``mainstem[files]`` is not installed.
    """

    def __init__(self, url: FilePath, options: Mapping[str, Any]) -> None:
        self._store, self._path = remote_place(url, options)
        self._packer = packer_for(self._path)
        self._file: Any = tempfile.TemporaryFile(prefix="mainstem-")  # noqa: SIM115 - it is closed by discard()

    def write(self, content: bytes) -> None:
        """Append to the file.

        Raises:
            OSError: If the disk is full.
        """
        self._file.write(content if self._packer is None else self._packer.compress(content))

    def commit(self) -> None:
        """Upload it; until then, and if it fails, what was there is as it was.

        Raises:
            ConnectError: If that cannot be done.
        """
        if self._packer is not None:
            self._file.write(self._packer.flush())
        self._file.seek(0)
        self._store.put(self._path, self._file)
        self._file.close()

    def discard(self) -> None:
        """Remove what was written. Once it is committed, or discarded, this does nothing."""
        self._file.close()
