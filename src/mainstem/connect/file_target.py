"""The file that a sink writes: on this machine, where a durable run writes it batch by batch, or in an object store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from mainstem.connect.file_batches import Convert, FileBatches
from mainstem.connect.files import FilePath, local_path
from mainstem.connect.locations import is_url, remote_place
from mainstem.connect.pending_file import PendingFile
from mainstem.connect.pending_upload import PendingUpload
from mainstem.errors import ConnectError
from mainstem.secrets import redact_url

Pending: TypeAlias = PendingFile | PendingUpload
"""A file in the making."""


class FileTarget:
    """A file that is to be written.

    Args:
        path: Its path, or its URL.
        storage_options: How a URL is opened.
        convert: Makes the file of what the batches of a durable run wrote: see ``FileBatches``.

    Attributes:
        shown: What it is called, without secrets.

    Raises:
        ConnectError: If the URL is of nothing that can be written.
        MissingExtraError: If it is a URL, and ``mainstem[files]`` is not installed.
    """

    not_in_shape = frozenset(("options", "batches", "url"))

    def __init__(
        self, path: FilePath, storage_options: Mapping[str, Any] | None = None, convert: Convert | None = None
    ) -> None:
        self._url, self._options = path, storage_options or {}
        self._batches: FileBatches | None = None
        if is_url(path):
            remote_place(path, self._options)
            self.shown = redact_url(str(path))
            return
        self._path = local_path(path)
        self._batches = FileBatches(self._path, convert)
        self.shown = str(self._path)

    def pending(self) -> Pending:
        """Return the file in the making.

        Raises:
            ConnectError: If it cannot be written there.
        """
        if self._batches is None:
            return PendingUpload(self._url, self._options)
        return PendingFile(self._path)

    @property
    def batches(self) -> FileBatches:
        """What a durable run writes.

        Raises:
            ConnectError: If the file is in an object store, where it is uploaded as a whole.
        """
        if self._batches is None:
            raise ConnectError(
                f"{self.shown} is uploaded as a whole, and a durable run writes batch by batch: write to a local file, "
                "or run without a store"
            )
        return self._batches
