"""Files that are written batch by batch in a durable run, and appear whole when all batches are there."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from mainstem.connect.batch_folder import BatchFolder, open_folder, part_name, write_all
from mainstem.connect.batch_manifest import FileState, Manifest, Part
from mainstem.connect.files import file_errors
from mainstem.connect.joined_parts import JoinedParts, check_length
from mainstem.connect.packing import Packer, packed, packer_for
from mainstem.connect.pending_file import mode_of, writable_target
from mainstem.endpoints import Claim
from mainstem.errors import ConnectError, StageContractError

_COPY_BYTES = 1 << 20

Convert: TypeAlias = Callable[[io.BufferedReader, BinaryIO], None]
"""Reads what was written, and writes the file."""


class FileBatches:
    """The batches of a file: gathered in a hidden folder beside it, and moved over it by ``complete``.

    Each method may be interrupted anywhere, by a kill or a power cut, and done again by a later attempt. What an
    earlier attempt, held up, still does counts for nothing.

    Args:
        path: The file. Where it ends in ``.gz`` or ``.zst``, each batch is packed by itself.
        convert: Makes the file of all that the batches wrote, one after the other; by default it is just that.
    """

    def __init__(self, path: Path, convert: Convert | None = None) -> None:
        self._path = path
        self._convert = convert

    def claim(self, claim: Claim) -> int:
        """Take the run, and return the number of its last batch.

        Raises:
            LeaseLostError: If somebody with a later epoch was here.
            ConnectError: If the file's folder cannot be written, or what is gathered there is damaged.
        """
        if not hasattr(os, "O_DIRECTORY"):
            raise ConnectError(
                f"cannot write {self._path} batch by batch: that needs a POSIX system; write to a database, or run the "
                "pipeline without a store"
            )
        with file_errors(self._path, "write"), open_folder(writable_target(self._path), claim, make=True) as folder:
            folder.take()
            with folder.fenced():
                manifest = folder.adopt()
                for part in manifest.parts if manifest.state is FileState.OPEN else ():
                    check_length(folder, part)
            return manifest.sequence

    def begin(self, claim: Claim, sequence: int) -> BatchPart:
        """Begin a batch.

        Raises:
            LeaseLostError: If somebody with a later epoch was here.
            ConnectError: If it cannot be written.
            StageContractError: If its number does not follow that of the batch before.
        """
        with file_errors(self._path, "write"), ExitStack() as opened:
            folder = opened.enter_context(open_folder(writable_target(self._path), claim))
            opened.enter_context(folder.fenced())
            manifest = folder.manifest()
            if manifest.state is not FileState.OPEN or manifest.sequence != sequence - 1:
                raise StageContractError(
                    f"{self._path}: batch {sequence} was begun, and the last of the run is {manifest.sequence}"
                    + ("" if manifest.state is FileState.OPEN else ", with which the file was completed")
                )
            part = BatchPart(self._path, folder, manifest)
            part.on_close = opened.pop_all()
            return part

    def complete(self, claim: Claim, if_empty: bytes = b"") -> None:
        """Move the file over the target, in one step for whoever looks. Done again, this does nothing.

        Args:
            claim: Who writes.
            if_empty: What the file holds if no batch wrote anything.

        Raises:
            LeaseLostError: If somebody with a later epoch was here.
            ConnectError: If it cannot be written.
        """
        with file_errors(self._path, "write"), ExitStack() as opened:
            folder = opened.enter_context(open_folder(writable_target(self._path), claim))
            opened.enter_context(folder.fenced())
            manifest = folder.manifest()
            if manifest.state is FileState.OPEN:
                manifest = self._join(folder, manifest, packed(folder.target.name, if_empty))
            if manifest.state is FileState.WHOLE:
                manifest = self._move(folder, manifest)
            folder.sweep(manifest, below=claim.epoch + 1)

    def forget(self, claim: Claim) -> None:
        """Remove what is kept of the run: nobody will claim it again. Done again, this does nothing.

        Raises:
            LeaseLostError: If somebody with a later epoch was here.
            ConnectError: If it cannot be removed.
        """
        with file_errors(self._path, "write"):
            target = writable_target(self._path)
            if BatchFolder.exists(target, claim):
                with open_folder(target, claim) as folder, folder.fenced():
                    folder.check()
                    folder.clear()

    def _join(self, folder: BatchFolder, manifest: Manifest, if_empty: bytes) -> Manifest:
        """Make one file of all parts, which takes no copying where this attempt wrote them all."""
        epoch = folder.claim.epoch
        if self._convert is not None:
            name = f"whole-{epoch}"
            with (
                os.fdopen(folder.create(name), "wb", buffering=0) as file,
                JoinedParts(folder, manifest.parts) as parts,
            ):
                self._convert(io.BufferedReader(parts, _COPY_BYTES), file)
                self._settle(folder, file.fileno())
        elif [part.epoch for part in manifest.parts] == [epoch]:
            name, length = part_name(epoch), manifest.parts[0].length
            check_length(folder, manifest.parts[0])
            with os.fdopen(folder.open_part(name, os.O_WRONLY), "wb", buffering=0) as file:
                os.ftruncate(file.fileno(), length)
                self._settle(folder, file.fileno())
        else:
            # A part of an earlier attempt is copied even if there is no other: its writer may still have it open.
            name = f"whole-{epoch}"
            with os.fdopen(folder.create(name), "wb", buffering=0) as file:
                for part in manifest.parts:
                    _copy(folder, part, file.fileno())
                if not manifest.parts:
                    write_all(file.fileno(), if_empty)
                self._settle(folder, file.fileno())
        os.fsync(folder.handle)
        whole = replace(manifest, state=FileState.WHOLE, whole=name)
        folder.keep(whole)
        return whole

    def _settle(self, folder: BatchFolder, handle: int) -> None:
        """Give the file its rights, and make it durable."""
        probe = f"{part_name(folder.claim.epoch)}.new"
        folder.remove(probe)
        rights = folder.open_part(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode=0o666)
        try:
            usual = stat.S_IMODE(os.fstat(rights).st_mode)
        finally:
            os.close(rights)
            folder.remove(probe)
        os.fchmod(handle, mode_of(folder.target, usual))
        os.fsync(handle)

    def _move(self, folder: BatchFolder, manifest: Manifest) -> Manifest:
        """Move the whole file over the target, where nobody else has done so.

        There is one such file, so of two attempts that are here only one finds it, and it is all the same which.
        """
        assert manifest.whole is not None
        try:
            os.replace(manifest.whole, folder.target.name, src_dir_fd=folder.handle, dst_dir_fd=folder.parent)
        except FileNotFoundError:  # an attempt that was killed here has moved it
            if not folder.target.exists():
                raise ConnectError(
                    f"cannot write {self._path}: {folder.path / manifest.whole}, which holds its content, is gone; "
                    "run it anew"
                ) from None
        os.fsync(folder.parent)
        moved = replace(manifest, state=FileState.MOVED, parts=(), whole=None)
        folder.keep(moved)
        return moved


class BatchPart:
    """A batch in the making, at the end of what its attempt has written; made by ``FileBatches.begin``.

    Attributes:
        layout: What later batches need to know of earlier ones, as plain JSON values; kept with the batch.
        on_close: Closes what the batch needs.
    """

    def __init__(self, path: Path, folder: BatchFolder, manifest: Manifest) -> None:
        self._path, self._folder, self._manifest = path, folder, manifest
        self.layout: Mapping[str, Any] | None = manifest.layout
        self.on_close = ExitStack()
        epoch = folder.claim.epoch
        self._name = part_name(epoch)
        self._start = next((part.length for part in manifest.parts if part.epoch == epoch), 0)
        self._packer: Packer | None = None
        self._written = 0
        if self._start:
            check_length(folder, Part(epoch, self._start))
        self._file = os.fdopen(folder.open_part(self._name, os.O_WRONLY | os.O_CREAT), "wb", buffering=0)
        try:
            os.ftruncate(self._file.fileno(), self._start)  # what a batch has left that was not committed
            self._file.seek(self._start)
        except BaseException:
            self._file.close()
            raise

    def write(self, content: bytes) -> None:
        """Append to the batch.

        Raises:
            ConnectError: If it cannot be written.
        """
        if not content:
            return
        with file_errors(self._path, "write"):
            if self._packer is None:
                self._packer = packer_for(self._folder.target.name)
            self._append(content if self._packer is None else self._packer.compress(content))

    def _append(self, content: bytes) -> None:
        write_all(self._file.fileno(), content)
        self._written += len(content)

    def commit(self) -> None:
        """Commit the batch together with its number, durably.

        Raises:
            LeaseLostError: If somebody with a later epoch was here; only they can tell whether it counts.
            ConnectError: If it cannot be written; then it is not committed, or the next claim says so.
        """
        with file_errors(self._path, "write"), self._folder.fenced():
            if self._packer is not None:
                self._append(self._packer.flush())
            length = self._start + self._written
            if os.fstat(self._file.fileno()).st_size != length:
                raise ConnectError(
                    f"cannot write {self._path}: somebody else has written into {self._folder.path / self._name} "
                    "at the same time; nothing of this batch is committed"
                )
            os.fsync(self._file.fileno())
            if not self._start:
                os.fsync(self._folder.handle)  # that it has a name must not be lost when the manifest is not
            others = tuple(part for part in self._manifest.parts if part.epoch != self._folder.claim.epoch)
            own = (Part(self._folder.claim.epoch, length),) if length else ()
            self._folder.keep(
                replace(
                    self._manifest,
                    sequence=self._manifest.sequence + 1,
                    parts=(*others, *own),
                    layout=self.layout,
                )
            )
        self.discard()

    def discard(self) -> None:
        """Let go of the batch. What was written of it, if it is not committed, is overwritten by the next."""
        self._file.close()
        self.on_close.close()


def _copy(folder: BatchFolder, part: Part, to: int) -> None:
    check_length(folder, part)
    with os.fdopen(folder.open_part(part_name(part.epoch), os.O_RDONLY), "rb", buffering=0) as source:
        left = part.length
        while left:
            content = os.read(source.fileno(), min(left, _COPY_BYTES))
            if not content:
                raise ConnectError(
                    f"cannot write {folder.target}: {folder.path / part_name(part.epoch)} was cut meanwhile"
                )
            write_all(to, content)
            left -= len(content)
