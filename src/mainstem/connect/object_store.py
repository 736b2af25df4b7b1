"""Object stores (S3, Google Cloud Storage, Azure) and web servers, through obstore."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, BinaryIO

from mainstem.connect.remote_file import (
    RemoteInfo,
    RemoteStore,
    changed_while_read,
    secrets_in,
    without_options,
)
from mainstem.errors import ConnectError, ConnectionLostError, missing_extra
from mainstem.secrets import redact_url

SCHEMES = frozenset(("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl", "http", "https"))
_WEB = frozenset(("http", "https"))
_RETRIES = {"max_retries": 4, "retry_timeout": timedelta(seconds=60)}
"""A wrong address is known to be wrong in some seconds, and a server that is started again is waited for."""
_NESTED = ("client_options", "retry_config", "credential_provider")
_PIECE = 1 << 20


class ObstoreStore(RemoteStore):
    """A bucket, or one file of a web server, opened by obstore; credentials come from the options or the environment.

    Args:
        url: The URL of something in it.
        options: obstore's configuration of this kind of store, with ``client_options`` and ``retry_config`` in it.

    Raises:
        ConnectError: If there is no such option, or the URL is none.
        MissingExtraError: If ``mainstem[files]`` is not installed.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        try:
            import obstore
            from obstore.store import from_url
        except ImportError:
            raise missing_extra(f"Reading {redact_url(url).partition('?')[0]}", "files") from None
        self._obstore: Any = obstore
        self._secrets = secrets_in(options)
        self.can_list = self.has_conditions = url.partition("://")[0].lower() not in _WEB
        bucket = url if not self.can_list else "://".join(_scheme_and_bucket(url))
        self.address = redact_url(bucket) + "/" * self.can_list
        client: dict[str, Any] = {"allow_http": True} if url.lower().startswith("http://") else {}
        config = {name: value for name, value in options.items() if name not in _NESTED}
        client |= options.get("client_options", {})
        given: dict[str, Any] = {"retry_config": {**_RETRIES, **options.get("retry_config", {})}}
        if client:  # given ones, even if they are none, take the place of those of the environment
            given["client_options"] = client
        if "credential_provider" in options:
            given["credential_provider"] = options["credential_provider"]
        if config:
            given["config"] = config
        make: Any = from_url
        with self.errors(self.address, "open"):
            self._store = make(bucket, **given)

    def list(self, folder: str) -> Iterator[str]:
        with self.errors(self.address + folder, "list"):
            for found in self._obstore.list(self._store, folder or None, chunk_size=1000):
                yield from (each["path"] for each in found)

    def info(self, path: str) -> RemoteInfo:
        with self.errors(self.address + path, "read"):
            if self.can_list:
                return _info_from(path, self._obstore.head(self._store, path))
            # A link may be signed for reading only, so a web server is asked for the first byte and not for the head.
            try:
                return _info_from(path, self._obstore.get(self._store, path, options={"range": (0, 1)}).meta)
            except (self._obstore.exceptions.NotSupportedError, self._obstore.exceptions.GenericError) as error:
                if not _is_about_the_range(error):
                    raise
            return _info_from(path, self._obstore.get(self._store, path).meta, has_ranges=False)

    def content(self, info: RemoteInfo) -> _Object:
        return _Object(self, self._obstore, self._store, info)

    def put(self, path: str, content: BinaryIO) -> None:
        with self.errors(self.address + path, "write"):
            self._obstore.put(self._store, path, content)  # in several parts, if it is large

    def find(self, path: str) -> tuple[bytes, str] | None:
        with self.errors(self.address + path, "read"):
            try:
                found = self._obstore.get(self._store, path)
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None
            return bytes(found.bytes()), found.meta["e_tag"] or ""

    def put_if(self, path: str, content: bytes, e_tag: str | None) -> bool:
        kinds = self._obstore.exceptions
        with self.errors(self.address + path, "write"):
            try:
                self._obstore.put(self._store, path, content, mode="create" if e_tag is None else {"e_tag": e_tag})
            except (kinds.AlreadyExistsError, kinds.PreconditionError):
                return False
        return True

    def delete(self, paths: Sequence[str]) -> None:
        with self.errors(self.address, "remove files of"):
            for path in paths:
                with suppress(FileNotFoundError):
                    self._obstore.delete(self._store, path)

    @contextmanager
    def errors(self, where: str, doing: str) -> Generator[None]:
        try:
            yield
        except ConnectError:
            raise
        except Exception as error:
            kinds = self._obstore.exceptions
            if not isinstance(error, (kinds.BaseError, OSError, ValueError, TypeError)):
                raise
            text = _first_line(error)
            kind = ConnectError
            if isinstance(error, FileNotFoundError) or "NoSuchBucket" in str(error):
                what = "bucket" if "NoSuchBucket" in str(error) else "file"
                text = f"there is no such {what}; check the URL"
            elif isinstance(
                error, (PermissionError, kinds.PermissionDeniedError, kinds.UnauthenticatedError)
            ) or re.search("status code: 40[13]", text):
                text = f"permission denied; check the credentials, in storage_options or in the environment ({text})"
            elif "builder error" in text:
                text = "the endpoint is no HTTPS; if that is right, allow it: {'client_options': {'allow_http': True}}"
            elif isinstance(error, kinds.UnknownConfigurationKeyError):
                text = f"there is no such option ({text}); check storage_options"
            elif isinstance(error, kinds.GenericError) and ("HTTP error" in text or "status code: 5" in text):
                kind = ConnectionLostError
                text = f"the server cannot be reached, or is not ready ({text}); check the address, or try again"
            shown = without_options(f"cannot {doing} {where}: {text}", self._secrets)
            is_harmless = not any(secret in str(error) for secret in self._secrets) and redact_url(str(error)) == str(
                error
            )
            raise kind(shown) from (error if is_harmless else None)


class _Object:
    """The content of one object, of which each piece is seen to be of the same content."""

    def __init__(self, store: ObstoreStore, obstore: Any, opened: Any, info: RemoteInfo) -> None:
        self._errors = store.errors
        self._name = store.address + info.path
        self._obstore = obstore
        self._store = opened
        self._info = info
        self.size = info.size
        self.has_ranges = info.has_ranges

    def fetch(self, start: int, end: int) -> bytes:
        with self._errors(self._name, "read"):
            return bytes(self._get({"range": (start, end)}).bytes())

    def fetch_all(self) -> Iterator[bytes]:
        with self._errors(self._name, "read"):
            for piece in self._get({}).stream(min_chunk_size=_PIECE):
                yield bytes(piece)

    def _get(self, options: Mapping[str, Any]) -> Any:
        result = self._obstore.get(self._store, self._info.path, options=options)
        now = _info_from(self._info.path, result.meta, has_ranges=self.has_ranges)
        if now != self._info:
            raise changed_while_read(self._name)
        return result


def _scheme_and_bucket(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    return scheme, rest.partition("/")[0]


def _info_from(path: str, meta: Mapping[str, Any], *, has_ranges: bool = True) -> RemoteInfo:
    return RemoteInfo(path, meta["size"], meta["last_modified"].isoformat(), meta["e_tag"] or "", has_ranges)


def _is_about_the_range(error: Exception) -> bool:
    """Whether a server knows no ranges, or has no first byte because the file is empty."""
    text = str(error)
    return "Range request not supported" in text or "status code: 416" in text


def _first_line(error: Exception) -> str:
    return str(error).partition("\n\nDebug source")[0].strip()
