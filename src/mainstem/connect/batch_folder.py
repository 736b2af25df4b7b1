"""The hidden folder beside a target file, in which a durable run gathers its batches.

It holds, with the number of an attempt (its epoch) in every name:

- ``epoch-7``, empty: attempt 7 has the right to write. Taking the run renames it, and nothing ever makes a second one;
- ``manifest-7``: what is committed, as attempt 7 knows it. A batch is committed when the next one is put in its place;
- ``part-7``: what attempt 7 has appended;
- ``whole-7``: all parts joined, by attempt 7.

No lock is needed, so a process that was stopped in the middle keeps nobody waiting. An attempt writes under its own
names only. Whoever takes the run first renames the epoch and then reads the last manifest; whoever commits first puts
the manifest in its place and then looks whether the epoch is still theirs. If it is, the later attempt reads that
manifest. If not, it is the later attempt that decides, and the commit fails.

Source: the fencing of writers by an epoch, as in Kafka's transactions, here with the atomic rename of POSIX.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from mainstem.connect.batch_manifest import FileState, Manifest
from mainstem.connect.private_folder import FOLDER_FLAGS, NO_LINK, make_private, open_private, remove_unborn
from mainstem.endpoints import Claim
from mainstem.errors import ConnectError, LeaseLostError

_ENTRY = re.compile(r"(epoch|manifest|part|whole)-([0-9]+)(\.new)?")
_LISTINGS = 1000
"""How often an epoch is looked for that others rename meanwhile: each time, somebody with a later one has come."""


def folder_name(target: str, run: str) -> str:
    """Return the folder's name: safe and of one length, whatever the target and the run are called."""
    key = f"{len(target)}:{target}{run}".encode("utf-8", "surrogatepass")
    return f".mainstem-{sha256(key).hexdigest()[:32]}"


def part_name(epoch: int) -> str:
    return f"part-{epoch}"


def write_all(handle: int, content: bytes) -> None:
    """Write it all, however little the system takes at a time."""
    left = memoryview(content)
    while left:
        left = left[os.write(handle, left) :]


class BatchFolder:
    """The folder, opened by one attempt; made by ``open_folder``.

    Attributes:
        target: The file that is written, links resolved.
        claim: Who writes.
        name: The folder's name.
        parent: A handle of the folder that it and the target are in.
        handle: A handle of the folder.
    """

    def __init__(self, target: Path, claim: Claim, parent: int) -> None:
        self.target, self.claim, self.parent = target, claim, parent
        self.name = folder_name(target.name, claim.run)
        self.handle = -1

    @property
    def path(self) -> Path:
        return self.target.parent / self.name

    @staticmethod
    def exists(target: Path, claim: Claim) -> bool:
        """Whether there is such a folder."""
        return os.path.lexists(target.parent / folder_name(target.name, claim.run))

    def close(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)
        os.close(self.parent)

    def open(self, *, make: bool) -> None:
        """Open it, and make it where it is missing and ``make`` says so."""
        try:
            self.handle = open_private(self.path, self.parent)
        except FileNotFoundError:
            if not make:
                raise LeaseLostError(self._gone()) from None
            with suppress(FileNotFoundError):  # removed as a remnant by a later attempt, which take() will meet
                make_private(self.path, self.parent, self._unborn(self.claim.epoch), "epoch-0")
            for epoch in range(1, self.claim.epoch):  # attempts that were killed while they made it
                remove_unborn(self._unborn(epoch), self.parent, "epoch-0")
            try:
                self.handle = open_private(self.path, self.parent)
            except FileNotFoundError:
                raise LeaseLostError(self._gone()) from None

    def _unborn(self, epoch: int) -> Path:
        return self.path.with_name(f"{self.name}.{epoch}")

    def take(self) -> None:
        """Take the right to write from whoever had it.

        Raises:
            LeaseLostError: If somebody with a later epoch was here.
            ConnectError: If what is there is damaged.
        """
        mine = self.claim.epoch
        for _ in range(_LISTINGS):
            held = max((epoch for kind, epoch, _ in self.entries() if kind == "epoch"), default=None)
            if held is None:  # renamed while it was looked for
                continue
            if held > mine:
                raise LeaseLostError(
                    f"{self.target}: run {self.claim.run!r} was taken by attempt {held}, and this is attempt {mine}; "
                    f"if no other works on it, its store was lost: remove {self.path} and begin anew"
                )
            if held < mine:
                try:
                    os.rename(f"epoch-{held}", f"epoch-{mine}", src_dir_fd=self.handle, dst_dir_fd=self.handle)
                except FileNotFoundError:  # somebody else took it at the same moment
                    continue
            break
        else:
            if not BatchFolder.exists(self.target, self.claim):
                raise LeaseLostError(self._gone())
            raise ConnectError(f"cannot write {self.target}: {self.path} has no epoch; remove it and begin anew")

    def adopt(self) -> Manifest:
        """Return what all attempts so far have committed, once the right to write is taken.

        Raises:
            LeaseLostError: If somebody with a later epoch was here.
            ConnectError: If what is there is damaged.
        """
        manifest = self._latest()
        self.keep(manifest)
        self.sweep(manifest, below=self.claim.epoch)  # not of this attempt, of which a batch may be open
        return manifest

    def _latest(self) -> Manifest:
        for epoch in range(self.claim.epoch, 0, -1):
            try:
                return self._read(f"manifest-{epoch}")
            except FileNotFoundError:  # that attempt was killed before it had one
                continue
        if any(kind == "part" for kind, _, _ in self.entries()):
            raise ConnectError(f"cannot write {self.target}: {self.path} has lost its manifest; remove it, begin anew")
        return Manifest(run=self.claim.run, target=self.target.name)

    def manifest(self) -> Manifest:
        """Return what is committed, as this attempt knows it.

        Raises:
            LeaseLostError: If somebody with a later epoch was here.
        """
        self.check()
        try:
            return self._read(f"manifest-{self.claim.epoch}")
        except FileNotFoundError:
            raise LeaseLostError(self._gone()) from None

    def _read(self, name: str) -> Manifest:
        handle = os.open(name, os.O_RDONLY | NO_LINK, dir_fd=self.handle)
        with os.fdopen(handle, "rb") as file:
            content = file.read()
        try:
            manifest = Manifest.decode(content)
        except ValueError as error:
            raise ConnectError(f"cannot write {self.target}: {self.path / name} cannot be used: {error}") from error
        if (manifest.run, manifest.target) != (self.claim.run, self.target.name):
            raise ConnectError(f"cannot write {self.target}: {self.path / name} is of {manifest.run!r}, another run")
        return manifest

    def keep(self, manifest: Manifest) -> None:
        """Put a manifest in the place of the last one, durably.

        Raises:
            LeaseLostError: If somebody with a later epoch was here; only they can tell whether it counts.
        """
        name = f"manifest-{self.claim.epoch}"
        handle = self.create(f"{name}.new")
        try:
            write_all(handle, manifest.encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(f"{name}.new", name, src_dir_fd=self.handle, dst_dir_fd=self.handle)
        os.fsync(self.handle)
        self.check()

    def check(self) -> None:
        """Look whether the right to write is still this attempt's.

        Raises:
            LeaseLostError: If it is not.
        """
        try:
            os.stat(f"epoch-{self.claim.epoch}", dir_fd=self.handle, follow_symlinks=False)
        except FileNotFoundError:
            raise LeaseLostError(self._gone()) from None

    @contextmanager
    def fenced(self) -> Generator[None]:
        """Blame what went wrong on a later attempt, if there is one: it removes what earlier ones leave.

        Raises:
            LeaseLostError: In place of another error.
        """
        try:
            yield
        except (FileNotFoundError, ConnectError):
            self.check()
            raise

    def _gone(self) -> str:
        return (
            f"{self.target}: somebody else has taken run {self.claim.run!r} from attempt {self.claim.epoch}, or "
            f"removed {self.path}; nothing more is written"
        )

    def create(self, name: str) -> int:
        """Create a file that must be new; one of this name that an interrupted step left is removed."""
        self.remove(name)
        return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_LINK, 0o600, dir_fd=self.handle)

    def open_part(self, name: str, flags: int, mode: int = 0o600) -> int:
        """Open a file of the folder, and not what a link leads to."""
        return os.open(name, flags | NO_LINK, mode, dir_fd=self.handle)

    def length_of(self, name: str) -> int:
        """Return a file's length; -1 if it is missing, or no file."""
        try:
            found = os.stat(name, dir_fd=self.handle, follow_symlinks=False)
        except FileNotFoundError:
            return -1
        return found.st_size if stat.S_ISREG(found.st_mode) else -1

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.handle)

    def entries(self) -> list[tuple[str, int, str]]:
        """Return the kind, epoch and name of all that is in it."""
        found = [(_ENTRY.fullmatch(name), name) for name in os.listdir(self.handle)]  # noqa: PTH208 - a handle
        return [(match[1], int(match[2]), name) for match, name in found if match]

    def sweep(self, manifest: Manifest, *, below: int) -> None:
        """Remove what is not needed any more of attempts below an epoch.

        What a later attempt needs is needed by each before it, too, so a process that wakes up late removes none of it.
        """
        needed = {f"manifest-{self.claim.epoch}", manifest.whole}
        if manifest.state is FileState.OPEN:
            needed |= {part_name(part.epoch) for part in manifest.parts}
        for kind, epoch, name in self.entries():
            if kind != "epoch" and epoch < below and name not in needed:
                self.remove(name)

    def clear(self) -> None:
        """Remove the folder, the epoch last."""
        names = [name for kind, _, name in self.entries() if kind != "epoch"]
        for name in [*names, f"epoch-{self.claim.epoch}"]:
            self.remove(name)
        os.rmdir(self.name, dir_fd=self.parent)
        os.fsync(self.parent)


@contextmanager
def open_folder(target: Path, claim: Claim, *, make: bool = False) -> Generator[BatchFolder]:
    """Open the folder of a run beside its target.

    Raises:
        ConnectError: If it cannot be.
        LeaseLostError: If it is not there, and ``make`` does not ask for it.
    """
    parent = os.open(target.parent, FOLDER_FLAGS)
    folder = BatchFolder(target, claim, parent)
    try:
        folder.open(make=make)
        yield folder
    finally:
        folder.close()
