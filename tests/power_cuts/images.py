"""Images of the files after a power cut, and what must be true of each."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.power_cuts.recording import ACKNOWLEDGED, BATCH, BATCHES, REFUSED, Operation

from mainstem.store.model import RejectQuery, RunRequest
from mainstem.store.owner import this_process
from mainstem.store.sqlite import SqliteStore

SECTOR = 512
"""Bytes that a disk writes whole or not at all."""


@dataclass(slots=True)
class Found:
    """What was wrong with the images."""

    images: int = 0
    corrupt: int = 0
    inconsistent: int = 0
    lost: int = 0
    first: str = ""
    """How to make the first image again that was wrong."""

    @property
    def is_clean(self) -> bool:
        return not (self.corrupt or self.inconsistent or self.lost)


class Disk:
    """What is on the disk for sure, and what may be."""

    def __init__(self) -> None:
        self._synced: dict[str, bytearray] = {}
        self._pending: dict[str, list[Operation]] = {}
        self._entries: dict[str, bool] = {}
        """Files whose names are on the disk; ``False`` if the file was unlinked since, which may not be."""
        self._present: dict[str, None] = {}
        """Files as they are for who looks now."""
        self.acknowledged = 0

    def do(self, operation: Operation) -> None:
        """Take note of an operation."""
        kind, file = operation.kind, operation.file
        if file == ACKNOWLEDGED:
            if kind == "W":
                self.acknowledged = int(operation.content)
        elif kind == "D":
            self._entries = dict.fromkeys(self._present, True)
            for name in list(self._synced):
                if name not in self._entries:
                    self._synced.pop(name)
        elif kind == "C":
            self._present[file] = None
            self._synced[file], self._pending[file] = bytearray(), []
        elif kind == "U":
            self._present.pop(file, None)
            if file in self._entries:
                self._entries[file] = False
            else:
                self._synced.pop(file, None)
        elif kind == "S":
            for each in self._pending.get(file, []):
                _apply(self._synced[file], each, each.content)
            self._pending[file] = []
            self._entries[file] = True  # a file that is synced is found again under its name
        else:
            self._pending.setdefault(file, []).append(operation)
            self._synced.setdefault(file, bytearray())
            self._present.setdefault(file, None)

    def image(self, chance: random.Random) -> dict[str, bytes]:
        """Return the files as they may be after a power cut now."""
        files: dict[str, bytes] = {}
        for name in dict.fromkeys([*self._present, *self._entries]):
            if not self._is_there(name, chance):
                continue
            content = bytearray(self._synced.get(name, b""))
            pending = list(self._pending.get(name, []))
            chance.shuffle(pending)
            how = chance.random()
            for each in pending:
                if how < 0.2 or (how < 0.8 and chance.random() < 0.5):
                    continue
                _apply(content, each, _torn(each.content, chance) if chance.random() < 0.2 else each.content)
            files[name] = bytes(content)
        return files

    def _is_there(self, name: str, chance: random.Random) -> bool:
        on_disk = self._entries.get(name)
        if name in self._present:
            return on_disk is not None or chance.random() < 0.5
        return on_disk is False and chance.random() < 0.5


def _apply(content: bytearray, operation: Operation, written: bytes) -> None:
    if operation.kind == "T":
        del content[operation.at :]
        content.extend(bytes(operation.at - len(content)))
        return
    end = operation.at + len(written)
    content.extend(bytes(max(0, end - len(content))))
    content[operation.at : end] = written


def _torn(content: bytes, chance: random.Random) -> bytes:
    """Cut a write off after some of its sectors."""
    sectors = len(content) // SECTOR
    return content[: chance.randrange(sectors + 1) * SECTOR] if sectors else content


def examine(operations: Sequence[Operation], images: int, seed: int, folder: Path) -> Found:
    """Make so many images of power cuts at random moments, and look at each."""
    found = Found()
    chance = random.Random(seed)
    wanted = sorted(chance.randrange(1, len(operations)) for _ in range(images))
    disk, done = Disk(), 0
    for at, moment in enumerate(wanted):
        for operation in operations[done:moment]:
            disk.do(operation)
        done = moment
        image_seed = chance.randrange(2**32)
        files = disk.image(random.Random(image_seed))
        problem = _problem_with(files, disk.acknowledged, folder, resumes=at % 20 == 0)
        found.images += 1
        if problem:
            setattr(found, problem[0], getattr(found, problem[0]) + 1)
            found.first = found.first or f"operation {moment}, image seed {image_seed}: {problem[1]}"
    return found


def _problem_with(files: dict[str, bytes], acknowledged: int, folder: Path, *, resumes: bool) -> tuple[str, str] | None:
    """Say what is wrong with an image, in a word and in words; ``None`` if nothing is."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    try:
        target, rows, numbers = _target(folder / "target.db")
        store = _store(folder / "store.db")
    except (sqlite3.Error, AssertionError) as error:
        return "corrupt", repr(error)
    if rows != (BATCH - 1) * min(target, BATCHES) or numbers != rows:  # the last batch is empty
        return "inconsistent", f"{rows} rows, {numbers} of them distinct, and the batch is {target}"
    if target < acknowledged:
        return "lost", f"batch {acknowledged} was committed, and the target is at {target}"
    if store is None:
        return None if not target else ("inconsistent", f"the target is at batch {target}, and there is no store")
    prepared, committed, rejects = store
    if not target <= prepared <= target + 1 or committed > target:
        return "inconsistent", f"the target is at batch {target}, the store at {committed}, prepared {prepared}"
    if rejects != min(prepared, BATCHES):
        return "inconsistent", f"{rejects} rejects, and batch {prepared} is prepared"
    return _problem_with_resuming(folder, target) if resumes and prepared else None


def _target(path: Path) -> tuple[int, int, int]:
    """Return the number of the target's last batch, and how many rows it has, at all and distinct."""
    if not path.exists():
        return 0, 0, 0
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        sequence = rows = distinct = 0
        if "mainstem_progress" in tables:
            ((sequence,),) = connection.execute("SELECT coalesce(max(sequence), 0) FROM mainstem_progress")
        if "numbers" in tables:
            ((rows, distinct),) = connection.execute("SELECT count(*), count(DISTINCT id) FROM numbers")
        return sequence, rows, distinct
    finally:
        connection.close()


def _store(path: Path) -> tuple[int, int, int] | None:
    """Return the store's last prepared and committed batch, and how many rejects it has."""
    if not path.exists():
        return None
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return None
        prepared = connection.execute("SELECT coalesce(max(sequence), 0) FROM checkpoints").fetchone()[0]
        committed = connection.execute("SELECT coalesce(max(committed), 0) FROM runs").fetchone()[0]
        rejects = connection.execute("SELECT count(*) FROM rejects").fetchone()[0]
        return prepared, committed, rejects
    finally:
        connection.close()


def _problem_with_resuming(folder: Path, target: int) -> tuple[str, str] | None:
    """Go on from the image as a run does: checkpoint and rejects must be those of the target's batches."""
    store = SqliteStore(folder / "store.db")
    try:
        (run,) = store.runs()
        if run.status.value == "completed":
            return None
        owner = this_process()
        request = RunRequest(pipeline=run.pipeline, run_id=run.run_id, shape=run.shape, source=run.source, owner=owner)
        lease = store.begin(request)
        checkpoint = store.settle(lease, target)
        if checkpoint is None or not checkpoint.is_last:
            position = None if checkpoint is None else checkpoint.position
            if position != ({"record": BATCH * target} if target else None):
                return "inconsistent", f"batch {target} is resumed at {position}"
        settled = [each.index for each in store.rejects(RejectQuery()) if each.is_settled]
        if settled != [REFUSED + BATCH * batch for batch in range(min(target, len(settled)))]:
            return "inconsistent", f"batch {target} has the rejects {settled}"
        return None
    finally:
        store.close()
