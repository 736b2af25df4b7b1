"""What fsspec reaches and obstore does not: ``memory://``, ``ftp://``, ``sftp://``, ``hdfs://``, ``zip://`` …."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from secrets import token_hex
from typing import Any, BinaryIO

from mainstem.connect.remote_file import (
    RemoteInfo,
    RemoteStore,
    changed_while_read,
    secrets_in,
    without_options,
    without_secrets,
)
from mainstem.errors import ConnectError, ConnectionLostError, missing_extra
from mainstem.secrets import redact_url

_CHANGED = ("mtime", "LastModified", "last_modified", "modified", "created")
_E_TAG = ("ETag", "etag", "md5Hash", "sha256")


class FsspecStore(RemoteStore):
    """A file system of fsspec's.

    Args:
        url: The URL of something in it.
        options: What its class takes.

    Attributes:
        path: What the URL is of.

    Raises:
        ConnectError: If fsspec does not know such URLs, or needs a package for it.
        MissingExtraError: If ``mainstem[files]`` is not installed.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        try:
            core: Any = import_module("fsspec.core")
            registry: Any = import_module("fsspec.registry")
        except ImportError:
            raise missing_extra(f"Reading {without_secrets(url)}", "files") from None
        scheme = url.partition("://")[0]
        self._secrets = secrets_in(options)
        try:
            registry.get_filesystem_class(scheme)
        except ValueError:
            raise ConnectError(
                f"URLs of the scheme {scheme!r} are not supported: there are paths, file, s3, gs, az, http, https, "
                "memory, and what fsspec knows"
            ) from None
        except ImportError as error:
            raise ConnectError(
                f"URLs of the scheme {scheme!r} are supported once a package is there: {error}"
            ) from error
        with self.errors(redact_url(url), "open"):
            self._system, self.path = core.url_to_fs(url, **options)
        before = url.removesuffix(self.path)
        self.address = redact_url(before) if before != url else f"{scheme}://"

    def list(self, folder: str) -> Iterator[str]:
        with self.errors(self.address + folder, "list"):
            found: list[str] = list(self._system.find(folder))
        yield from found

    def info(self, path: str) -> RemoteInfo:
        with self.errors(self.address + path, "read"):
            self._system.invalidate_cache()
            found: Mapping[str, Any] = self._system.info(path)
        if found.get("type") == "directory":
            raise ConnectError(f"cannot read {self.address}{path}: it is a folder; give the path of a file")
        if found.get("size") is None:
            raise ConnectError(
                f"cannot read {self.address}{path}: its size is not known; copy it to a local file first"
            )
        return RemoteInfo(path, int(found["size"]), _first_of(_CHANGED, found), _first_of(_E_TAG, found))

    def put(self, path: str, content: BinaryIO) -> None:
        with self.errors(self.address + path, "write"):
            pending = f"{path}.{token_hex(8)}.mainstem"
            with self._system.open(pending, "wb") as file:
                shutil.copyfileobj(content, file, 1 << 20)
            self._system.mv(pending, path)

    def content(self, info: RemoteInfo) -> _Content:
        return _Content(self, self._system, info)

    @contextmanager
    def errors(self, where: str, doing: str) -> Generator[None]:
        try:
            yield
        except ConnectError:
            raise
        except Exception as error:  # each file system of fsspec's has errors of its own
            text = str(error) or type(error).__name__
            kind = ConnectError
            if isinstance(error, FileNotFoundError):
                text = "there is no such file; check the URL"
            elif isinstance(error, PermissionError):
                text = f"permission denied; check the credentials in storage_options ({text})"
            elif isinstance(error, (ConnectionError, TimeoutError)):
                kind = ConnectionLostError
                text = f"the server cannot be reached ({text}); check the address, or try again"
            shown = without_options(f"cannot {doing} {where}: {text}", self._secrets)
            is_harmless = not any(secret in str(error) for secret in self._secrets) and redact_url(str(error)) == str(
                error
            )
            raise kind(shown) from (error if is_harmless else None)


class _Content:
    """The content of one file, which is seen to be the same when its end was read."""

    has_ranges = True

    def __init__(self, store: FsspecStore, system: Any, info: RemoteInfo) -> None:
        self._store = store
        self._system = system
        self._info = info
        self.size = info.size

    def fetch(self, start: int, end: int) -> bytes:
        name = self._store.address + self._info.path
        with self._store.errors(name, "read"):
            found = bytes(self._system.cat_file(self._info.path, start=start, end=end))
        if (end == self.size or len(found) != end - start) and self._store.info(self._info.path) != self._info:
            raise changed_while_read(name)
        return found

    def fetch_all(self) -> Iterator[bytes]:
        yield self.fetch(0, self.size)


def _first_of(names: tuple[str, ...], found: Mapping[str, Any]) -> str:
    return next((str(found[name]) for name in names if found.get(name) is not None), "")
