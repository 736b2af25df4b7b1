"""What a path or URL of a source names: one file, those that fit a pattern, or those of a folder."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, TypeAlias
from urllib.parse import unquote

from mainstem.connect.files import FilePath
from mainstem.connect.partitions import check_same_keys, partitions_of
from mainstem.connect.remote_file import RemoteFile, RemoteStore, without_secrets
from mainstem.connect.stored_file import LocalFile, StoredFile
from mainstem.datasets import Dataset, file_dataset
from mainstem.errors import ConnectError

FilePaths: TypeAlias = FilePath | Sequence[FilePath]
"""A path, a URL, a pattern, or several of them."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_MAGIC = re.compile(r"[*?\[]")
_LISTED = 1000
"""Files whose fingerprints are kept one by one; of more, a hash of them all."""


class Locations:
    """Where a source reads.

    A path or URL with ``*``, ``?`` or ``[`` in it is a pattern (``**`` for any folders), unless a local file is called
    so, or it is of ``http``. Files that a pattern or a folder has come in the order of their names, and several paths
    in the order in which they are given. Files and folders that begin with a dot are passed over, and in a folder
    those that begin with ``_``, too.

    Args:
        paths: A path or URL, or several.
        storage_options: What opens the URLs.
        partitions: Whether folders may be given, and those below are named after fields.

    Raises:
        ConnectError: If one is the URL of something that is not read.
        MissingExtraError: If it takes an extra that is not installed.
        TypeError: If one is neither a text nor a path.
    """

    not_in_shape: ClassVar[frozenset[str]] = frozenset(("places",))
    """What a durable run does not keep: how the places are opened, with all its secrets. Their names it keeps."""

    def __init__(
        self, paths: FilePaths, storage_options: Mapping[str, Any] | None = None, *, partitions: bool = False
    ) -> None:
        is_one = isinstance(paths, (str, os.PathLike))
        given: Iterable[FilePath] = [paths] if isinstance(paths, (str, os.PathLike)) else paths
        self._partitions = partitions
        options = storage_options or {}
        self._places = [_place(path, options) for path in given]
        if not self._places:
            raise ValueError("there must be a path, and there is none")
        self._is_one = is_one and not partitions
        self._names = [without_secrets(place.name) for place in self._places]
        self.is_local = all(isinstance(place, _LocalPlace) for place in self._places)

    @property
    def name(self) -> str:
        """What is read, as messages show it."""
        more = f" and {len(self._places) - 1} more" if len(self._places) > 1 else ""
        return self._places[0].name + more

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        """What is read, as OpenLineage names it."""
        return tuple(dict.fromkeys(map(file_dataset, self._names)))

    def find(self) -> tuple[list[StoredFile], bool]:
        """Return the files, and whether there may be several: a position then says in which it is.

        Raises:
            ConnectError: If there are none, one comes twice, or they are in folders of different fields.
        """
        files: list[StoredFile] = []
        may_be_several = not self._is_one
        for place in self._places:
            found, is_pattern = place.find(partitions=self._partitions)
            files += found
            may_be_several = may_be_several or is_pattern
        names = [file.key for file in files]
        if len(set(names)) < len(names):
            twice = next(name for at, name in enumerate(names) if name in names[:at])
            raise ConnectError(f"{twice} is among the files twice: give it once")
        check_same_keys({file.name: file.partitions for file in files})
        return files, may_be_several

    def fingerprint(self) -> Mapping[str, Any] | None:
        """Return plain JSON values that are others if a file is another, was added or removed; ``None`` if unknown.

        Raises:
            ConnectError: If the files cannot be found or read.
        """
        files, are_several = self.find()
        if not are_several:
            return files[0].fingerprint()
        each = {file.key: file.fingerprint() for file in files}
        if None in each.values():
            return None
        if len(each) <= _LISTED:
            return {"files": each}
        return {"files": len(each), "sha256_of_files": sha256(repr(sorted(each.items())).encode()).hexdigest()}


class _LocalPlace:
    def __init__(self, path: str) -> None:
        self.name = path

    def find(self, *, partitions: bool) -> tuple[list[StoredFile], bool]:
        path = Path(self.name)
        if _MAGIC.search(self.name) and not os.path.lexists(self.name):
            root = _before_pattern(self.name)
            found = [Path(each) for each in glob.iglob(self.name, recursive=True)]  # noqa: PTH207 - Path has no order of rules that 3.11 and 3.13 share
            return self._files((each for each in found if not each.is_dir()), Path(root), partitions), True
        if partitions and path.is_dir():
            below = (each for each in path.rglob("*") if _is_shown(each.relative_to(path).as_posix()))
            return self._files((each for each in below if not each.is_dir()), path, partitions), True
        return [LocalFile(path, partitions_of(path.as_posix()) if partitions else None)], False

    def _files(self, paths: Iterable[Path], root: Path, partitions: bool) -> list[StoredFile]:
        found: list[StoredFile] = [
            LocalFile(path, partitions_of(path.relative_to(root).as_posix()) if partitions else None)
            for path in sorted(paths, key=Path.as_posix)
        ]
        if not found:
            raise _nothing(self.name)
        return found


class _RemotePlace:
    def __init__(self, store: RemoteStore, path: str) -> None:
        self.store = store
        self.path = path
        self.name = store.address + path

    def find(self, *, partitions: bool) -> tuple[list[StoredFile], bool]:
        if not self.store.can_list:
            if "*" in self.name.partition("?")[0] or (partitions and self.name.partition("?")[0].endswith("/")):
                raise ConnectError(
                    f"a web server cannot be asked which files there are: give each URL, not {self.name}"
                )
            fields = partitions_of(self.name.partition("?")[0]) if partitions else None
            return [RemoteFile(self.store, self.path, fields)], False
        if _MAGIC.search(self.path):
            return self._fitting(partitions), True
        if partitions:
            root = self.path.rstrip("/")
            below = [path for path in self.store.list(root) if path != root and _is_shown(path[len(root) :])]
            if below or self.path.endswith("/"):
                return self._files(below, root, partitions), True
        return [RemoteFile(self.store, self.path, partitions_of(self.path) if partitions else None)], False

    def _fitting(self, partitions: bool) -> list[StoredFile]:
        utils: Any = import_module("fsspec.utils")  # there is such a function in the standard library from 3.13 on
        fits = re.compile(utils.glob_translate(self.path)).match
        root = _before_pattern(self.path)
        found = [path for path in self.store.list(root) if fits(path) and not _is_hidden(path[len(root) :])]
        return self._files(found, root, partitions)

    def _files(self, paths: Iterable[str], root: str, partitions: bool) -> list[StoredFile]:
        found: list[StoredFile] = [
            RemoteFile(self.store, path, partitions_of(path[len(root) :]) if partitions else None)
            for path in sorted(paths)
        ]
        if not found:
            raise _nothing(self.name)
        return found


def _place(path: FilePath, options: Mapping[str, Any]) -> _LocalPlace | _RemotePlace:
    text: Any = os.fspath(path)
    if not isinstance(text, str):
        raise TypeError(f"a path must be a text or a Path, not {type(text).__name__}")
    found = _SCHEME.match(text)
    if found is None:
        return _LocalPlace(text)
    scheme = found[1].lower()
    if scheme == "file":
        return _LocalPlace(_path_of(text))
    from mainstem.connect.object_store import SCHEMES, ObstoreStore

    if scheme in SCHEMES:
        store = ObstoreStore(text, options)
        return _RemotePlace(store, text.partition("://")[2].partition("/")[2] if store.can_list else "")
    from mainstem.connect.fsspec_store import FsspecStore

    other = FsspecStore(text, options)
    return _RemotePlace(other, other.path)


def is_url(path: FilePath) -> bool:
    """Say whether a path is the URL of something that is not a local file."""
    found = _SCHEME.match(os.fspath(path))
    return found is not None and found[1].lower() != "file"


def remote_place(url: FilePath, options: Mapping[str, Any]) -> tuple[RemoteStore, str]:
    """Return the store that a URL is of, and the path in it of the one file that is to be written.

    Raises:
        ConnectError: If there is no file of that name to be written.
        MissingExtraError: If ``mainstem[files]`` is not installed.
    """
    place = _place(url, options)
    assert isinstance(place, _RemotePlace)
    if not place.store.can_list:
        raise ConnectError(f"{place.name} is a file of a web server, which takes none: give the URL of a store")
    if not place.path or os.fspath(url).endswith("/"):
        raise ConnectError(f"{place.name} is a folder, or a bucket: give the URL of the file that is to be written")
    return place.store, place.path


def _path_of(url: str) -> str:
    host, slash, path = url.partition("://")[2].partition("/")
    if host not in ("", "localhost") or not slash:
        raise ConnectError(f"a URL of a local file has three slashes, such as file:///folder/file.csv, and not {url}")
    return "/" + unquote(path)


def _before_pattern(path: str) -> str:
    """Return the folder below which all that fits a pattern must be."""
    found = _MAGIC.search(path)
    return path[: found.start() if found else len(path)].rpartition("/")[0]


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def _is_shown(path: str) -> bool:
    return not any(part.startswith((".", "_")) for part in path.split("/"))


def _nothing(name: str) -> ConnectError:
    return ConnectError(f"there is no file that fits {name}: check the path")
