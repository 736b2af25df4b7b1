"""The file that a sink writes: on this machine, where a durable run writes it batch by batch, or in an object store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import islice
from typing import Any, Protocol, TypeAlias

from anyio.to_thread import run_sync

from mainstem.connect.file_batches import BatchPart, Convert, FileBatches
from mainstem.connect.files import FilePath, file_errors, local_path
from mainstem.connect.locations import is_url, remote_place
from mainstem.connect.object_batches import ObjectBatches, ObjectPart
from mainstem.connect.packing import is_packed
from mainstem.connect.pending_file import PendingFile, writable_target
from mainstem.connect.pending_upload import PendingUpload
from mainstem.datasets import Dataset, file_dataset
from mainstem.endpoints import Claim
from mainstem.errors import ConnectError
from mainstem.secrets import redact_url

_LISTED = 10_000
"""Files of a folder among which one is looked for."""

Pending: TypeAlias = PendingFile | PendingUpload
"""A file in the making."""
Batch: TypeAlias = BatchPart | ObjectPart
"""A batch of a durable run in the making."""


class Batches(Protocol):
    """What ``FileBatches`` and ``ObjectBatches`` do."""

    def claim(self, claim: Claim) -> int: ...
    def begin(self, claim: Claim, sequence: int) -> Batch: ...
    def complete(self, claim: Claim, if_empty: bytes = b"") -> None: ...
    def forget(self, claim: Claim) -> None: ...


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
        ValueError: If the file is not to be packed as a whole, and its name says so.
        MissingExtraError: If it is a URL, and ``mainstem[files]`` is not installed.
    """

    not_in_shape = frozenset(("options", "batches", "url"))
    shown: str
    batches: Batches
    """What a durable run writes."""

    def __init__(
        self, path: FilePath, storage_options: Mapping[str, Any] | None = None, convert: Convert | None = None
    ) -> None:
        if convert is not None and is_packed(str(path)):
            raise ValueError(
                f"{redact_url(str(path))}: such a file is not compressed as a whole, so leave out the ending"
            )
        self._url, self._options = path, storage_options or {}
        self._is_local = not is_url(path)
        if self._is_local:
            self._path = local_path(path)
            self.batches = FileBatches(self._path, convert)
            self.shown = str(self._path)
        else:
            self.batches = ObjectBatches(*remote_place(path, self._options), convert)
            self.shown = redact_url(str(path))

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        """What is written, as OpenLineage names it."""
        return (file_dataset(self.shown),)

    def pending(self) -> Pending:
        """Return the file in the making.

        Raises:
            ConnectError: If it cannot be written there.
        """
        return PendingFile(self._path) if self._is_local else PendingUpload(self._url, self._options)

    @property
    def durable_refusal(self) -> str:
        """Why a durable run cannot write it; empty if it can."""
        if self._is_local or remote_place(self._url, self._options)[0].has_conditions:
            return ""
        return f"{self.shown} is in a store that knows no conditional writes, as s3, gs and az do"

    async def check_access(self) -> str:
        """See that it can be written there, as far as that can be seen without writing; say what is there now.

        Raises:
            ConnectError: If it cannot.
        """
        return await run_sync(self._look, abandon_on_cancel=not self._is_local)

    def _look(self) -> str:
        if not self._is_local:
            store, path = remote_place(self._url, self._options)
            folder = path.rpartition("/")[0]
            there = any(each == path for each in islice(store.list(folder), _LISTED))
            now = "the file is there, and is replaced" if there else "the file is new"
            return f"the store can be listed; {now}; whether it may be written shows by writing"
        with file_errors(self._path, "write"):
            target = writable_target(self._path)
            around = target.parent
            if not around.is_dir():
                raise FileNotFoundError
            if not os.access(around, os.W_OK | os.X_OK):
                raise ConnectError(
                    f"cannot write {self._path}: permission denied; check the rights of the folder {around}"
                )
            return f"the file of {target.stat().st_size:,} bytes is replaced" if target.exists() else "the file is new"
