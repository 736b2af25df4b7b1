"""Files of object stores that are written batch by batch in a durable run, and appear whole when all are there.

Beside the target, under a name that begins with a dot, there are ``manifest``, which says what is committed, and an
object for each batch, ``part-<epoch>-<batch>``. The manifest is only ever replaced on condition that it is still the
one that was read. Whoever takes the run writes their epoch into it; from then on no earlier attempt can replace it, and
a batch is committed by replacing it. So no lock is needed, and a process that was held up keeps nobody waiting.

Source: the conditional writes (``If-Match``) of S3, Google Cloud Storage and Azure; the manifests of table formats such
as Apache Iceberg.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from shutil import copyfileobj
from typing import Any, BinaryIO

from mainstem.connect.batch_folder import folder_name
from mainstem.connect.joined_objects import PiecesReader, pieces_of
from mainstem.connect.object_manifest import ObjectManifest, ObjectState
from mainstem.connect.packing import Packer, packed, packer_for
from mainstem.connect.remote_file import RemoteStore
from mainstem.endpoints import Claim
from mainstem.errors import ConnectError, LeaseLostError, StageContractError
from mainstem.ids import new_id

_READ_AT_ONCE = 1 << 20
_IN_MEMORY = 8 << 20
_ATTEMPTS = 20
"""How often a manifest that others replace meanwhile is read again: each time, an attempt with an epoch has come."""


class ObjectBatches:
    """The batches of a file of an object store.

    Each method may be interrupted anywhere, and done again by a later attempt. What an earlier attempt, held up, still
    does counts for nothing; only one that is held up while it puts the finished file in its place may put the same file
    there once more.

    Args:
        store: Where the file is.
        path: What it is called there. Where it ends in ``.gz`` or ``.zst``, each batch is packed by itself.
        convert: Makes the file of all that the batches wrote, one after the other; by default it is just that.
    """

    def __init__(
        self, store: RemoteStore, path: str, convert: Callable[[io.BufferedReader, BinaryIO], None] | None = None
    ) -> None:
        self._store, self._path, self._convert = store, path, convert
        self.name = store.address + path

    def claim(self, claim: Claim) -> int:
        """Take the run, and return the number of its last batch.

        Raises:
            LeaseLostError: If somebody with a later epoch was here.
            ConnectError: If the store cannot be written, or has no conditional writes.
        """
        if not self._store.has_conditions:
            raise ConnectError(
                f"{self.name} cannot be written by a durable run: its store knows no conditional writes, as s3, gs and "
                "az do; write to a local file, or run without a store"
            )
        for _ in range(_ATTEMPTS):
            found, e_tag = self._read(claim)
            if found.epoch > claim.epoch:
                raise self._lost(claim, found.epoch)
            taken = (
                found if found.epoch == claim.epoch else self._replaced(claim, replace(found, epoch=claim.epoch), e_tag)
            )
            if taken is not None:
                self._sweep(claim, taken)
                return taken.sequence
        raise ConnectError(f"cannot write {self.name}: {self._folder(claim)}manifest never stays the same; try again")

    def begin(self, claim: Claim, sequence: int) -> ObjectPart:
        """Begin a batch.

        Raises:
            LeaseLostError: If somebody with a later epoch was here.
            ConnectError: If the store cannot be read.
            StageContractError: If its number does not follow that of the batch before.
        """
        manifest, e_tag = self._mine(claim)
        if manifest.state is not ObjectState.OPEN or manifest.sequence != sequence - 1:
            raise StageContractError(
                f"{self.name}: batch {sequence} was begun, and the last of the run is {manifest.sequence}"
                + ("" if manifest.state is ObjectState.OPEN else ", with which the file was completed")
            )
        return ObjectPart(self, claim, manifest, e_tag)

    def complete(self, claim: Claim, if_empty: bytes = b"") -> None:
        """Make the file of what is committed. Done again, this does nothing.

        Args:
            claim: Who writes.
            if_empty: What the file holds if no batch wrote anything.

        Raises:
            LeaseLostError: If somebody with a later epoch was here.
            ConnectError: If it cannot be written.
        """
        manifest, e_tag = self._mine(claim)
        if manifest.state is ObjectState.OPEN:
            manifest, e_tag = self.keep(claim, replace(manifest, state=ObjectState.ENDING), e_tag)
        if manifest.state is ObjectState.ENDING:
            self._make(claim, manifest, packed(self._path, if_empty))
            manifest, e_tag = self.keep(claim, replace(manifest, state=ObjectState.MADE, parts=()), e_tag)
        self._sweep(claim, manifest)

    def forget(self, claim: Claim) -> None:
        """Remove what is kept of the run: nobody will claim it again. Done again, this does nothing.

        Raises:
            LeaseLostError: If somebody with a later epoch was here.
            ConnectError: If it cannot be removed.
        """
        found, _ = self._read(claim)
        if found.epoch > claim.epoch:
            raise self._lost(claim, found.epoch)
        self._store.delete([*self._store.list(self._folder(claim).rstrip("/"))])

    def _make(self, claim: Claim, manifest: ObjectManifest, if_empty: bytes) -> None:
        paths = [self._folder(claim) + name for name in manifest.part_names()]
        pieces = pieces_of(self._store, paths) if paths else iter([if_empty])
        with tempfile.TemporaryFile(prefix="mainstem-") as whole:
            parts: io.BufferedReader[Any] = io.BufferedReader(PiecesReader(pieces), _READ_AT_ONCE)
            (self._convert or copyfileobj)(parts, whole)
            whole.seek(0)
            self._store.put(self._path, whole)

    def _folder(self, claim: Claim) -> str:
        above, slash, name = self._path.rpartition("/")
        return f"{above}{slash}{folder_name(name, claim.run)}/"

    def _read(self, claim: Claim) -> tuple[ObjectManifest, str | None]:
        path = self._folder(claim) + "manifest"
        found = self._store.find(path)
        if found is None:
            return ObjectManifest(run=claim.run, target=self._path), None
        content, e_tag = found
        try:
            manifest = ObjectManifest.decode(content)
        except ValueError as error:
            raise ConnectError(
                f"cannot write {self.name}: {self._store.address}{path} cannot be used: {error}"
            ) from error
        if (manifest.run, manifest.target) != (claim.run, self._path):
            raise ConnectError(f"cannot write {self.name}: {path} is of {manifest.run!r}, another run")
        return manifest, e_tag

    def _mine(self, claim: Claim) -> tuple[ObjectManifest, str | None]:
        manifest, e_tag = self._read(claim)
        if manifest.epoch != claim.epoch:
            raise self._lost(claim, manifest.epoch)
        return manifest, e_tag

    def keep(self, claim: Claim, manifest: ObjectManifest, e_tag: str | None) -> tuple[ObjectManifest, str | None]:
        """Put a manifest in the place of the one that was read.

        Raises:
            LeaseLostError: If somebody else has replaced it.
            ConnectError: If that cannot be done, or is not known.
        """
        kept = self._replaced(claim, manifest, e_tag)
        if kept is None:
            now, _ = self._read(claim)
            raise self._lost(claim, now.epoch)
        return self._mine(claim)

    def _replaced(self, claim: Claim, manifest: ObjectManifest, e_tag: str | None) -> ObjectManifest | None:
        """Replace the manifest; return ``None`` if it is not the one that was read any more."""
        manifest = replace(manifest, token=new_id())
        if self._store.put_if(self._folder(claim) + "manifest", manifest.encode(), e_tag):
            return manifest
        # A request whose answer was lost is sent again, and then refused because it has been done.
        now, _ = self._read(claim)
        return now if now.token == manifest.token else None

    def put_part(self, claim: Claim, sequence: int, content: BinaryIO) -> None:
        """Store what a batch wrote; it counts when the manifest names it."""
        self._store.put(f"{self._folder(claim)}part-{claim.epoch}-{sequence}", content)

    def _sweep(self, claim: Claim, manifest: ObjectManifest) -> None:
        """Remove the batches that count for nothing."""
        needed = {"manifest", *manifest.part_names()}
        folder = self._folder(claim)
        found = [path for path in self._store.list(folder.rstrip("/")) if path.rpartition("/")[2] not in needed]
        self._store.delete(found)

    def _lost(self, claim: Claim, epoch: int) -> LeaseLostError:
        if epoch > claim.epoch:
            return LeaseLostError(
                f"{self.name}: run {claim.run!r} was taken by attempt {epoch}, and this is attempt {claim.epoch}; if "
                f"no other works on it, its store was lost: remove {self._store.address}{self._folder(claim)} and "
                "begin anew"
            )
        return LeaseLostError(
            f"{self.name}: somebody has removed {self._store.address}{self._folder(claim)} or what it held of run "
            f"{claim.run!r}; nothing more is written"
        )


class ObjectPart:
    """A batch in the making; made by ``ObjectBatches.begin``.

    Attributes:
        layout: What later batches need to know of earlier ones, as plain JSON values; kept with the batch.
    """

    def __init__(self, batches: ObjectBatches, claim: Claim, manifest: ObjectManifest, e_tag: str | None) -> None:
        self._batches, self._claim, self._manifest, self._e_tag = batches, claim, manifest, e_tag
        self.layout: Mapping[str, Any] | None = manifest.layout
        self._packer: Packer | None = None
        self._file: Any = tempfile.SpooledTemporaryFile(_IN_MEMORY, prefix="mainstem-")  # noqa: SIM115 - see discard()
        self._wrote = False

    def write(self, content: bytes) -> None:
        """Append to the batch, on this machine.

        Raises:
            OSError: If its disk is full.
        """
        if not content:
            return
        if self._packer is None:
            self._packer = packer_for(self._manifest.target)
        self._file.write(content if self._packer is None else self._packer.compress(content))
        self._wrote = True

    def commit(self) -> None:
        """Store the batch, and commit it together with its number.

        Raises:
            LeaseLostError: If somebody with a later epoch was here.
            ConnectError: If it cannot be stored; then it is not committed, or the next claim says so.
        """
        if self._wrote:
            if self._packer is not None:
                self._file.write(self._packer.flush())
            self._file.seek(0)
            self._batches.put_part(self._claim, self._manifest.sequence + 1, self._file)
        self._batches.keep(self._claim, self._manifest.with_batch(self.layout, wrote=self._wrote), self._e_tag)
        self.discard()

    def discard(self) -> None:
        """Let go of the batch."""
        self._file.close()
