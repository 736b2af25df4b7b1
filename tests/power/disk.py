"""What a power cut leaves of files: images of a folder, drawn from a recording of what was done in it.

The model takes from a file system only what POSIX promises. What was written to a file since its last ``fsync`` is
kept, dropped or torn at sectors of 512 bytes, each write by itself and in any order; what a file has grown by without
being written may be zeros or anything. A name that was made, removed or moved since the last ``fsync`` of its folder
is so or is not, but each of these is one step: a move is never half there. What an ``fsync`` that failed was asked
to make durable is perhaps lost for good, even if the next one succeeds: that is what Linux does.

Source: the models of ALICE (Pillai et al., 2014) and of SQLite's own tests of power cuts; of a failed ``fsync``:
Rebello et al., "Can applications recover from fsync failures?", 2020.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from random import Random
from typing import TypeAlias

from tests.power.recorder import Operation
from tests.power.recording import Entry

SECTOR = 512
_ROOT = 0

Tree: TypeAlias = dict[tuple[int, str], int]
"""The node that each name in each folder stands for."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something written at an offset; or, without content, the file's new length."""

    at: int
    offset: int
    content: bytes | None

    def apply(self, file: bytearray) -> None:
        content, offset = self.content, self.offset
        if content is None:
            del file[offset:]
            content = b""
        if len(file) < offset:
            file.extend(bytes(offset - len(file)))
        file[offset : offset + len(content)] = content


@dataclass(slots=True)
class File:
    """What was written to a file, and what of it was durable when.

    Attributes:
        changes: All of them, in order.
        moments: When it was synced.
        durable: Its content after that, in which all that was synced in vain is gone, and the same where it is there.
        counted: How many of the changes that content stands for.
    """

    changes: list[Change] = field(default_factory=lambda: list[Change]())
    moments: list[int] = field(default_factory=lambda: [-1])
    durable: list[tuple[bytes, bytes]] = field(default_factory=lambda: [(b"", b"")])
    counted: list[int] = field(default_factory=lambda: [0])

    def sync(self, at: int, *, succeeds: bool) -> None:
        without, whole = map(bytearray, self.durable[-1])
        for change in self.changes[self.counted[-1] :]:
            change.apply(whole)
            if succeeds:
                change.apply(without)
        self.moments.append(at)
        self.durable.append((bytes(without), bytes(whole)))
        self.counted.append(len(self.changes))

    def draw(self, cut: int, fate: Fate) -> bytes:
        """Return what is there after a power cut before the entry ``cut``."""
        last = bisect_right(self.moments, cut - 1) - 1
        content = self.durable[last][fate.whole]
        first = self.counted[last]
        if first == len(self.changes) or self.changes[first].at >= cut:
            return content
        left = [change for change in self.changes[first:] if change.at < cut]
        file = bytearray(content)
        for change in fate.in_order(left):
            fate.befall(change, file)
        return bytes(file)


class Fate:
    """How a power cut treats what was under way: drawn anew for each image.

    Attributes:
        whole: Whether what was synced in vain is there.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._kept = random.choice((0.0, 0.3, 0.6, 0.9, 1.0))
        self._torn = random.choice((0.0, 0.0, 0.2, 0.7))
        self._shuffles = random.random() < 0.5
        self.whole = random.random() < 0.5

    def keeps(self) -> bool:
        return self._random.random() < self._kept

    def in_order(self, changes: list[Change]) -> list[Change]:
        if self._shuffles:
            self._random.shuffle(changes)
        return changes

    def befall(self, change: Change, file: bytearray) -> None:
        """Apply a change, or a part of it, or none of it."""
        random = self._random
        if change.content is not None and random.random() < self._torn:
            for part in self._sectors(change, file):
                part.apply(file)
        elif self.keeps():
            change.apply(file)

    def _sectors(self, change: Change, file: bytearray) -> Iterator[Change]:
        """Give the sectors of a write that are there; those that are not may have made the file longer."""
        random, content = self._random, change.content or b""
        end = change.offset + len(content)
        if len(file) < end and random.random() < 0.5:
            stale = random.randbytes if random.random() < 0.3 else bytes
            file.extend(stale(end - len(file)))
        at = change.offset
        while at < end:
            stop = min(end, (at // SECTOR + 1) * SECTOR)
            if random.random() < 0.5:
                yield Change(change.at, at, content[at - change.offset : stop - change.offset])
            at = stop


@dataclass(slots=True)
class Naming:
    """A change of names: ``node`` is taken from one name, given to another, or both.

    Attributes:
        durable: From which entry on it is sure to be there.
    """

    at: int
    node: int
    taken: tuple[int, str] | None
    given: tuple[int, str] | None
    durable: int | None = None

    def apply(self, tree: Tree) -> None:
        if self.taken is not None:
            if tree.get(self.taken) != self.node:
                return
            del tree[self.taken]
        if self.given is not None:
            tree[self.given] = self.node

    def is_in(self, folder: int) -> bool:
        return any(place is not None and place[0] == folder for place in (self.taken, self.given))


class Disk:
    """A recording, replayed.

    Args:
        entries: The recording, of a folder that was empty at its beginning.

    Attributes:
        marks: The marks, and where in the recording they are.
        length: How many entries there are.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.length = len(entries)
        self.marks: list[tuple[int, str]] = []
        self._files: dict[int, File] = {}
        self._nodes: dict[int, int] = {}
        """The node that an inode's number stands for now: numbers are used again."""
        self._live: Tree = {}
        self._namings: list[Naming] = []
        self._pending: list[Naming] = []
        self._settled: list[tuple[int, int, Tree]] = [(-1, 0, {})]
        """Moments at which all names were durable, how many changes of names there had been, and the names."""
        self._next_node = _ROOT + 1
        for at, entry in enumerate(entries):
            self._replay(at, entry)

    def image(self, cut: int, random: Random) -> dict[str, bytes | None]:
        """Draw what a power cut before the entry ``cut`` leaves: the content of each file, ``None`` for a folder."""
        fate = Fate(random)
        paths = {_ROOT: ""}
        found: dict[str, bytes | None] = {}
        left = self._names_after(cut, fate)
        while left:
            below = {place: node for place, node in left.items() if place[0] in paths}
            for (folder, name), node in below.items():
                path = f"{paths[folder]}{name}"
                if node in self._files:
                    found[path] = self._files[node].draw(cut, fate)
                else:
                    found[path] = None
                    paths[node] = f"{path}/"
            left = {place: node for place, node in left.items() if place not in below} if below else {}
        return found

    def present(self) -> dict[str, bytes]:
        """Return the files as they were at the end for who looked, without a power cut."""
        folders = {_ROOT: ""}
        found: dict[str, bytes] = {}
        for (folder, name), node in self._live.items():
            if node not in self._files:
                folders[node] = f"{folders[folder]}{name}/"
                continue
            content = bytearray()
            for change in self._files[node].changes:
                change.apply(content)
            found[f"{folders[folder]}{name}"] = bytes(content)
        return found

    def _names_after(self, cut: int, fate: Fate) -> Tree:
        last = bisect_right(self._settled, cut - 1, key=lambda each: each[0]) - 1
        _, first, tree = self._settled[last]
        tree = dict(tree)
        for naming in self._namings[first:]:
            if naming.at >= cut:
                break
            is_durable = naming.durable is not None and naming.durable < cut
            if is_durable or fate.keeps():
                naming.apply(tree)
        return tree

    def _replay(self, at: int, entry: Entry) -> None:
        operation = entry.operation
        if operation is Operation.MARK:
            self.marks.append((at, entry.path))
        elif operation is Operation.WRITE:
            self._file(entry).changes.append(Change(at, entry.offset, entry.content))
        elif operation is Operation.TRUNCATE:
            self._file(entry).changes.append(Change(at, entry.offset, None))
        elif operation is Operation.SYNC:
            node = self._nodes.get(entry.inode, _ROOT)
            if node in self._files:
                self._files[node].sync(at, succeeds=not entry.error)
            elif not entry.error:
                self._sync_folder(at, node)
        else:
            self._rename(at, entry)

    def _file(self, entry: Entry) -> File:
        return self._files[self._nodes[entry.inode]]

    def _rename(self, at: int, entry: Entry) -> None:
        operation, place = entry.operation, self._place(entry.path)
        if operation in (Operation.CREATE, Operation.MKDIR):
            node = self._nodes[entry.inode] = self._next_node
            self._next_node += 1
            if operation is Operation.CREATE:
                self._files[node] = File()
            naming = Naming(at, node, None, place)
        elif operation is Operation.RENAME:
            naming = Naming(at, self._live[place], place, self._place(entry.other))
        else:
            naming = Naming(at, self._live[place], place, None)
        naming.apply(self._live)
        self._namings.append(naming)
        self._pending.append(naming)

    def _place(self, path: str) -> tuple[int, str]:
        *folders, name = PurePosixPath(path).parts
        folder = _ROOT
        for each in folders:
            folder = self._live[folder, each]
        return folder, name

    def _sync_folder(self, at: int, folder: int) -> None:
        """Make names durable: those in the folder, and all that was done before to what has such a name."""
        nodes = {naming.node for naming in self._pending if naming.is_in(folder)}
        for naming in self._pending:
            if naming.is_in(folder) or naming.node in nodes:
                naming.durable = at
        self._pending = [naming for naming in self._pending if naming.durable is None]
        if not self._pending:
            self._settled.append((at, len(self._namings), dict(self._live)))
