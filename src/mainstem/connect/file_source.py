"""What the sources that read files share: which files, in which order, from which position on."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping
from threading import Lock
from typing import Any, ClassVar, Generic, Protocol

from anyio.to_thread import run_sync
from typing_extensions import ParamSpec, TypeVar

from mainstem.connect.file_shares import FileShares
from mainstem.connect.locations import FilePaths, Locations
from mainstem.connect.rejects import Reject, settle_rejects
from mainstem.connect.remote_file import without_secrets
from mainstem.connect.stored_file import StoredFile
from mainstem.context import PipelineContext
from mainstem.datasets import Dataset
from mainstem.endpoints import CHUNK_SIZE, Output_co, Position, SourceChunk, SourceStage
from mainstem.errors import ConnectError
from mainstem.options import check_count

T = TypeVar("T")
P = ParamSpec("P")
V = TypeVar("V")


_LOOKED_AT = 100
"""Files of which it is seen whether they may be read, before they are: each is asked for by itself."""


class FileReader(Protocol):
    """One file that is open."""

    @property
    def position(self) -> Mapping[str, Any]:
        """Where it is read on, as plain JSON values; ``record`` counts those of the files before, too."""
        ...

    def read_chunk(self, limit: int) -> tuple[list[Any], list[Reject]] | None:
        """Read up to ``limit`` records, and those that cannot be read; ``None`` at the end."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class FileSource(SourceStage[T, Output_co], Generic[T, Output_co]):
    """Base of the sources that read files: override ``_open``.

    Args:
        path: What is read.
        storage_options: What opens the URLs.
        partitions: Whether folders are named after fields.
        continue_on_error: Whether to record what cannot be read and go on.
        name: The stage's name in reports.
    """

    not_in_shape: ClassVar[frozenset[str]] = frozenset(("limit", "shares"))
    _in_threads: bool = False
    """Whether reading takes so long that others must go on meanwhile, even if the file is local."""

    def __init__(
        self,
        path: FilePaths,
        storage_options: Mapping[str, Any] | None,
        *,
        partitions: bool,
        continue_on_error: bool,
        name: str | None,
    ) -> None:
        self._locations = Locations(path, storage_options, partitions=partitions)
        self._has_partitions = partitions
        self._continue_on_error = continue_on_error
        self._shares: FileShares | None = None
        """The sizes of the files, once somebody has asked how far a run is."""
        if name is not None:
            self.name = name

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        return self._locations.datasets

    @abstractmethod
    def _open(self, file: StoredFile, first: StoredFile, start: Position | None, record: int) -> FileReader:
        """Open a file.

        Args:
            file: The file.
            first: The first of all the files, for what they must have in common.
            start: Where to begin in it; ``None`` for its beginning.
            record: Records in the files before.
        """

    async def fingerprint(self) -> Mapping[str, Any] | None:
        return await run_sync(self._locations.fingerprint, abandon_on_cancel=not self._locations.is_local)

    def share_before(self, position: Position) -> float | None:
        if not self._locations.is_local:
            return None
        if self._shares is None:
            files, are_several = self._locations.find()
            self._shares = FileShares(files, are_several=are_several)
        return self._shares.before(position)

    async def check_access(self) -> str:
        def look() -> str:
            files, _ = self._locations.find()
            size = sum(file.size() for file in files[:_LOOKED_AT])
            found = f"{size:,} bytes" if len(files) == 1 else f"{len(files):,} files of {size:,} bytes"
            if len(files) > _LOOKED_AT:
                found = f"{len(files):,} files, the first {_LOOKED_AT} of them of {size:,} bytes"
            return f"{without_secrets(self._locations.name)}: {found}"

        return await run_sync(look, abandon_on_cancel=not self._locations.is_local)

    async def read(
        self, context: PipelineContext, *, start: Position | None = None, chunk_size: int = CHUNK_SIZE
    ) -> AsyncGenerator[SourceChunk[T], None]:
        check_count("chunk_size", chunk_size)
        locations = self._locations
        files, are_several = (
            locations.find() if locations.is_local else await run_sync(locations.find, abandon_on_cancel=True)
        )
        at, record = (0, 0) if start is None or not are_several else _place_among(files, start)
        for file in files[at:]:
            reading = _Reading(file, in_threads=self._in_threads)
            try:
                reader = await reading.open(self._open, file, files[0], start, record)
                while (found := await reading.call(reader.read_chunk, chunk_size)) is not None:
                    records, rejects = found
                    failed = settle_rejects(
                        rejects, context, self.name, go_on=self._continue_on_error, first=context.chunk_start
                    )
                    if len(records) or failed:
                        position = {"file": file.key, **reader.position} if are_several else reader.position
                        yield SourceChunk(records, position, failed)
                record, start = reader.position["record"], None
            finally:
                reading.close()


class _Reading:
    """A file that is read: at once if it is quick, else in threads, which are not waited for if the run is ended."""

    def __init__(self, file: StoredFile, *, in_threads: bool) -> None:
        self._in_threads = in_threads or not file.is_local
        self._is_local = file.is_local
        self._reader: FileReader | None = None
        self._busy = Lock()
        self._is_left = False

    async def open(self, make: Callable[P, FileReader], *args: P.args, **kwargs: P.kwargs) -> FileReader:
        def opened() -> FileReader:
            self._reader = reader = make(*args, **kwargs)
            return reader

        return await self.call(opened)

    async def call(self, function: Callable[P, V], *args: P.args, **kwargs: P.kwargs) -> V:
        if not self._in_threads:
            return function(*args, **kwargs)

        def work() -> V:
            with self._busy:
                try:
                    return function(*args, **kwargs)
                finally:
                    if self._is_left:
                        self._close()

        return await run_sync(work, abandon_on_cancel=not self._is_local)

    def close(self) -> None:
        """Close the file; a thread that is still busy with it does so itself."""
        self._is_left = True
        if self._busy.acquire(blocking=False):
            try:
                self._close()
            finally:
                self._busy.release()

    def _close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()


def _place_among(files: list[StoredFile], start: Position) -> tuple[int, int]:
    """Return which of several files a position is in, and the records before it."""
    key, record = start.get("file"), start.get("record")
    if not isinstance(key, str) or type(record) is not int or record < 0:
        raise ConnectError(f"{dict(start)!r} is no position among several files: it needs file and record")
    for at, file in enumerate(files):
        if file.key == key:
            return at, record
    raise ConnectError(f"cannot go on reading {key}: it is not among the files any more; was it removed?")
