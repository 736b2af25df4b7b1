"""What may be left of a folder after a power cut: a model of a disk, filled from the calls that a program makes.

What a file was given is certain once the file was synchronised, and a change of a folder once that folder was. Of the
rest any selection may have arrived, and the last write to a file only in part.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Write:
    start: int
    content: bytes

    def apply(self, before: bytes) -> bytes:
        end = self.start + len(self.content)
        return before[: self.start].ljust(self.start, b"\0") + self.content + before[end:]


@dataclass(frozen=True)
class Cut:
    length: int

    def apply(self, before: bytes) -> bytes:
        return before[: self.length].ljust(self.length, b"\0")


@dataclass(eq=False)
class File:
    content: bytes = b""
    pending: list[Write | Cut] = field(default_factory=list)

    def image(self, random: Random) -> bytes:
        content = self.content
        for change in self.pending:
            if isinstance(change, Write) and random.random() < 0.3:
                change = Write(change.start, change.content[: random.randint(0, len(change.content))])
            if random.random() < 0.6:
                content = change.apply(content)
        return content

    def settle(self) -> None:
        for change in self.pending:
            self.content = change.apply(self.content)
        self.pending.clear()


@dataclass(eq=False)
class Folder:
    entries: dict[str, Node] = field(default_factory=dict)


Node: TypeAlias = File | Folder


@dataclass(eq=False)
class Change:
    """A change of names, which arrives as a whole or not at all."""

    removed: tuple[Folder, str] | None
    added: tuple[Folder, str, Node] | None

    def apply(self) -> None:
        if self.removed is not None:
            self.removed[0].entries.pop(self.removed[1], None)
        if self.added is not None:
            self.added[0].entries[self.added[1]] = self.added[2]

    def is_settled_by(self, folder: Folder) -> bool:
        changed = self.added or self.removed
        return changed is not None and changed[0] is folder


class Disk:
    """Follows the calls; a watcher of ``os_calls.watched``.

    Args:
        root: The folder that is looked at, with what is in it now.
        takes: Whether a call to synchronise a ``"folder"`` or ``"file"`` does anything; broken variants leave some out.

    Attributes:
        acknowledged: What the program was told to be durable, for whoever looks at an image.
        on_cut: Is called with the disk at each moment at which the power may be cut.
    """

    def __init__(self, root: Path, *, takes: Callable[[str], bool] = lambda _: True) -> None:
        self.takes = takes
        self.acknowledged: Any = None
        self.on_cut: Callable[[Disk], None] = lambda _: None
        self._pending: list[Change] = []
        self._nodes: dict[int, Node] = {}
        self._now: dict[int, dict[str, Node]] = {}
        """By folder: what the running program sees."""
        self.root = Folder()
        self._enter(root, self.root)
        for path in root.iterdir():
            known = File(path.read_bytes())
            self._nodes[path.stat().st_ino] = known
            self.root.entries[path.name] = self._seen(self.root)[path.name] = known

    def _enter(self, path: Any, folder: Folder, **options: Any) -> None:
        self._nodes[os.stat(path, **options).st_ino] = folder  # noqa: PTH116 - relative to a handle

    def _seen(self, folder: Folder) -> dict[str, Node]:
        return self._now.setdefault(id(folder), {})

    def _folder(self, handle: int) -> Folder:
        found = self._nodes[os.fstat(handle).st_ino]
        assert isinstance(found, Folder)
        return found

    def _file(self, handle: int) -> File:
        found = self._nodes[os.fstat(handle).st_ino]
        assert isinstance(found, File)
        return found

    def __call__(self, name: str, call: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        self.on_cut(self)
        return getattr(self, f"_{name}")(call, arguments, options)

    def _change(self, change: Change) -> None:
        if change.removed is not None:
            self._seen(change.removed[0]).pop(change.removed[1])
        if change.added is not None:
            self._seen(change.added[0])[change.added[1]] = change.added[2]
        self._pending.append(change)

    def _mkdir(self, call: Any, arguments: Any, options: Any) -> None:
        call(*arguments, **options)
        made = Folder()
        self._enter(arguments[0], made, dir_fd=options["dir_fd"])
        self._change(Change(None, (self._folder(options["dir_fd"]), arguments[0], made)))

    def _open(self, call: Any, arguments: Any, options: Any) -> int:
        folder = self._folder(options["dir_fd"])
        handle: int = call(*arguments, **options)
        if arguments[0] not in self._seen(folder):
            made = File()
            self._nodes[os.fstat(handle).st_ino] = made
            self._change(Change(None, (folder, arguments[0], made)))
        return handle

    def _write(self, call: Any, arguments: Any, options: Any) -> int:
        handle, content = arguments[0], bytes(arguments[1])
        start = os.lseek(handle, 0, os.SEEK_CUR)
        count: int = call(handle, content)
        self._file(handle).pending.append(Write(start, content[:count]))
        return count

    def _ftruncate(self, call: Any, arguments: Any, options: Any) -> None:
        call(*arguments)
        self._file(arguments[0]).pending.append(Cut(arguments[1]))

    def _fchmod(self, call: Any, arguments: Any, options: Any) -> None:
        call(*arguments)

    def _fsync(self, call: Any, arguments: Any, options: Any) -> None:
        node = self._nodes[os.fstat(arguments[0]).st_ino]
        if not self.takes("folder" if isinstance(node, Folder) else "file"):
            return
        if isinstance(node, File):
            node.settle()
            return
        for change in [each for each in self._pending if each.is_settled_by(node)]:
            change.apply()
            self._pending.remove(change)

    def _replace(self, call: Any, arguments: Any, options: Any) -> None:
        source, target = self._folder(options["src_dir_fd"]), self._folder(options["dst_dir_fd"])
        node = self._seen(source).get(arguments[0])
        call(*arguments, **options)
        assert node is not None
        self._change(Change((source, arguments[0]), (target, arguments[1], node)))

    _rename = _replace

    def _unlink(self, call: Any, arguments: Any, options: Any) -> None:
        call(*arguments, **options)
        self._change(Change((self._folder(options["dir_fd"]), arguments[0]), None))

    _rmdir = _unlink

    def leave(self, to: Path, random: Random) -> None:
        """Put into ``to`` what a power cut may leave now."""
        root, pending = deepcopy((self.root, self._pending))
        for change in pending:
            if random.random() < 0.5:
                change.apply()
        _write_out(root, to, random)


def _write_out(folder: Folder, to: Path, random: Random) -> None:
    for name, node in folder.entries.items():
        if isinstance(node, Folder):
            (to / name).mkdir(mode=0o700)
            _write_out(node, to / name, random)
        else:
            (to / name).write_bytes(node.image(random))
