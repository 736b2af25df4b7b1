"""Files of object stores, web servers and other places that are not this machine."""

from __future__ import annotations

import io
import shutil
from abc import ABC, abstractmethod
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from tempfile import TemporaryFile
from typing import Any, BinaryIO, cast

from mainstem.connect.ranges import RANGE_BYTES, RangeReader, RemoteContent, WholeReader
from mainstem.connect.stored_file import OpenedFile, StoredFile
from mainstem.errors import ConnectError
from mainstem.secrets import SHORTEST, SHOWN, redact_url

_END_BYTES = 64 * 1024
_HARMLESS = ("endpoint", "region", "timeout", "bucket", "container", "style")
"""Parts of the names of options whose values may be shown."""


@dataclass(frozen=True, slots=True)
class RemoteInfo:
    """What is known of a remote file.

    Attributes:
        path: Where it is in its store.
        size: In bytes.
        changed: When it was changed, as a text.
        e_tag: What the store calls this content of it; empty if it does not say.
        has_ranges: Whether a part of it can be asked for.
    """

    path: str
    size: int
    changed: str = ""
    e_tag: str = ""
    has_ranges: bool = True


class RemoteStore(ABC):
    """A place of many files, which may be far away.

    Attributes:
        address: The URL that all of them begin with, without secrets.
        can_list: Whether it can be asked which files it has.
        has_conditions: Whether a file can be replaced on the condition that it is still the one that was read.
    """

    address: str
    can_list = True
    has_conditions = False

    @abstractmethod
    def list(self, folder: str) -> Iterator[str]:
        """Give the paths of all files below a folder.

        Raises:
            ConnectError: If they cannot be had.
        """

    @abstractmethod
    def info(self, path: str) -> RemoteInfo:
        """Say what is known of a file.

        Raises:
            ConnectError: If it is not there.
        """

    @abstractmethod
    def content(self, info: RemoteInfo) -> RemoteContent:
        """Return what reads a file."""

    @abstractmethod
    def put(self, path: str, content: BinaryIO) -> None:
        """Write a file, which is there as a whole when this returns, and not before.

        Raises:
            ConnectError: If that cannot be done.
        """

    def find(self, path: str) -> tuple[bytes, str] | None:
        """Return the content of a small file, and what the store calls that content; ``None`` if there is no such file.

        Raises:
            ConnectError: If that cannot be told, or the store has no conditions.
        """
        raise self._without_conditions()

    def put_if(self, path: str, content: bytes, e_tag: str | None) -> bool:
        """Write a file on the condition that its content is still the one of that name, or that there is no such file.

        Returns:
            Whether that was so. If an answer was lost on the way, it says no though it was done.

        Raises:
            ConnectError: If that cannot be done, or is not known, or the store has no conditions.
        """
        raise self._without_conditions()

    def delete(self, paths: Sequence[str]) -> None:
        """Remove files, in their order; those that are not there are passed over.

        Raises:
            ConnectError: If that cannot be done, or the store has no conditions.
        """
        raise self._without_conditions()

    def _without_conditions(self) -> ConnectError:
        return ConnectError(f"{self.address} knows no conditional writes, as s3, gs and az do")

    @abstractmethod
    def errors(self, where: str, doing: str) -> Any:
        """Turn errors into a ``ConnectError`` that says what to do."""


class RemoteFile(StoredFile):
    """A file that is not on this machine.

    Args:
        store: Where it is.
        path: What it is called there.
        partitions: Fields that its records have because of the folders that it is in.
    """

    is_local = False

    def __init__(self, store: RemoteStore, path: str, partitions: Mapping[str, str | None] | None = None) -> None:
        self._store = store
        self._path = path
        self.name = store.address + path
        self.key = without_secrets(self.name)
        self.partitions = partitions or {}

    def open(self) -> OpenedFile:
        info = self._store.info(self._path)
        return OpenedFile(self._buffered(info))

    def _buffered(self, info: RemoteInfo) -> io.BufferedReader:
        content = self._store.content(info)
        raw = RangeReader(content, self.name) if info.has_ranges else WholeReader(content, self.name)
        return io.BufferedReader(raw, buffer_size=RANGE_BYTES)

    def open_anywhere(self) -> BinaryIO:
        info = self._store.info(self._path)
        if info.has_ranges:
            return cast("BinaryIO", RangeReader(self._store.content(info), self.name))
        copy = TemporaryFile()  # noqa: SIM115 - it is handed on
        try:
            with self._buffered(info) as whole:
                shutil.copyfileobj(whole, copy, RANGE_BYTES)
            copy.seek(0)
        except BaseException:
            copy.close()
            raise
        return cast("BinaryIO", copy)

    def size(self) -> int:
        return self._store.info(self._path).size

    def fingerprint(self) -> Mapping[str, Any] | None:
        info = self._store.info(self._path)
        known: dict[str, Any] = {"path": self.key, "bytes": info.size, "changed": info.changed, "e_tag": info.e_tag}
        if not info.e_tag:
            known["sha256_of_ends"] = self._hash_of_ends(info)
        return known

    def _hash_of_ends(self, info: RemoteInfo) -> str:
        """Return a hash of the two ends, or of the beginning, where the other is had only by reading all."""
        with self._buffered(info) as stream:
            found = sha256(stream.read(_END_BYTES))
            if info.has_ranges:
                stream.seek(max(_END_BYTES, info.size - _END_BYTES))
                found.update(stream.read(_END_BYTES))
        return found.hexdigest()

    @contextmanager
    def errors(self, doing: str) -> Generator[None]:
        with self._store.errors(self.name, doing):
            yield


def without_secrets(url: str) -> str:
    """Return a URL without user, password and query, whatever they hold."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url  # the path of a local file
    rest = rest.partition("?")[0]
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def secrets_in(options: Mapping[str, Any]) -> frozenset[str]:
    """Return the texts among the values of storage options that must not be shown."""
    found: set[str] = set()
    for key, value in options.items():
        if isinstance(value, Mapping):
            found |= secrets_in(cast("Mapping[str, Any]", value))
        elif isinstance(value, str) and len(value) >= SHORTEST and not any(part in key.lower() for part in _HARMLESS):
            found.add(value)
    return frozenset(found)


def without_options(text: str, secrets: Collection[str]) -> str:
    """Return a text without the values of storage options, and without passwords in URLs."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, SHOWN)
    return redact_url(text)


def changed_while_read(name: str) -> ConnectError:
    """Make the error for a remote file that is another than it was when it was opened."""
    return ConnectError(f"cannot read {name}: it was changed while it was read; read it again when it is complete")
