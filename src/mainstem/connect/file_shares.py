"""Which share of some files lies before a position in them: what an estimate of a run's end is made of."""

from __future__ import annotations

from collections.abc import Sequence

from mainstem.connect.compression import is_compressed
from mainstem.connect.stored_file import LocalFile, StoredFile
from mainstem.endpoints import Position

_START_BYTES = 8


class FileShares:
    """The sizes of the files that a source reads, in the order in which it does.

    Args:
        files: The files. Of those that are not on this machine nothing is known without asking.
        are_several: Whether positions say in which file they are.

    Raises:
        ConnectError: If one is not there.
    """

    def __init__(self, files: Sequence[StoredFile], *, are_several: bool) -> None:
        self._files = [each for each in files if isinstance(each, LocalFile)]
        self._are_several = are_several
        self._sizes = [each.size() for each in self._files]
        self._total = sum(self._sizes) if len(self._files) == len(files) else 0
        self._packed: dict[str, bool] = {}

    def before(self, position: Position) -> float | None:
        """Return the share of all bytes before a position, from 0 to 1; ``None`` if that is not known.

        Within a file that is compressed, or of which positions are no bytes, it stays at the file's beginning.
        """
        at = 0
        if self._are_several:
            keys = [each.key for each in self._files]
            if position.get("file") not in keys:
                return None
            at = keys.index(str(position["file"]))
        if not self._total:
            return None
        byte = position.get("byte")
        within = 0
        if isinstance(byte, int) and not self._is_packed(self._files[at]):
            within = min(byte, self._sizes[at])
        elif not self._are_several:
            return None
        return (sum(self._sizes[:at]) + within) / self._total

    def _is_packed(self, file: LocalFile) -> bool:
        if file.key not in self._packed:
            with file.open().stream as stream:
                self._packed[file.key] = is_compressed(stream.read(_START_BYTES))
        return self._packed[file.key]
