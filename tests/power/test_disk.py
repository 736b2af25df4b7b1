"""The model of a disk: what may be left after a power cut, and what must be."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.power.disk import SECTOR, Disk
from tests.power.recorder import Operation, run_recorded
from tests.power.recording import Entry, read_recording
from tests.power.subjects import SUBJECTS

pytestmark = pytest.mark.extras

ROOT, FILE, OTHER = 1, 2, 3


def create(name: str, inode: int = FILE) -> Entry:
    return Entry(Operation.CREATE, inode=inode, path=name)


def write(content: bytes, offset: int = 0) -> Entry:
    return Entry(Operation.WRITE, inode=FILE, offset=offset, content=content)


def sync(inode: int = FILE, error: int = 0) -> Entry:
    return Entry(Operation.SYNC, inode=inode, error=error)


def images(*entries: Entry, cut: int | None = None) -> list[dict[str, bytes | None]]:
    """Every image that there is, but for very unlikely ones."""
    disk = Disk(entries)
    found = [disk.image(len(entries) if cut is None else cut, random.Random(seed)) for seed in range(600)]
    return [image for at, image in enumerate(found) if image not in found[:at]]


def contents(*entries: Entry) -> set[bytes | None]:
    return {image.get("file") for image in images(*entries)}


def test_what_is_synced_with_its_name_is_always_there() -> None:
    assert images(create("file"), write(b"a"), sync(), sync(ROOT)) == [{"file": b"a"}]


def test_what_was_written_after_that_is_there_or_is_not() -> None:
    settled = (create("file"), write(b"aa"), sync(), sync(ROOT))
    assert contents(*settled, write(b"b"), write(b"c", 1)) == {b"aa", b"ba", b"ac", b"bc"}
    assert contents(*settled, Entry(Operation.TRUNCATE, inode=FILE, offset=1)) == {b"aa", b"a"}


def test_a_name_may_be_lost_before_its_folder_is_synced_though_the_file_is() -> None:
    assert contents(create("file"), write(b"a"), sync()) == {None, b"a"}


def test_a_removed_name_may_come_back() -> None:
    settled = (create("file"), write(b"a"), sync(), sync(ROOT), Entry(Operation.UNLINK, path="file"))
    assert contents(*settled) == {None, b"a"}
    assert contents(*settled, sync(ROOT)) == {None}


def test_a_move_is_done_or_not_done() -> None:
    entries = (create("file"), sync(), create("new", OTHER), sync(ROOT))
    moved = (*entries, Entry(Operation.RENAME, path="new", other="file"))
    assert sorted(map(sorted, images(*moved))) == [["file"], ["file", "new"]]
    assert [sorted(image) for image in images(*moved, sync(ROOT))] == [["file"]]


def test_a_write_is_torn_at_sectors() -> None:
    sectors = b"".join(bytes([letter]) * SECTOR for letter in b"abc")
    found = contents(create("file"), write(bytes(len(sectors))), sync(), sync(ROOT), write(sectors))
    assert len(found) == 8
    assert all(content is not None and set(content[:SECTOR]) in ({0}, {ord("a")}) for content in found)


def test_what_a_failed_sync_was_asked_for_may_be_lost_for_good() -> None:
    settled = (create("file"), write(b"aa"), sync(), sync(ROOT))
    assert contents(*settled, write(b"b"), sync(error=5), write(b"c", 1), sync()) == {b"ac", b"bc"}


def test_a_folder_that_is_lost_takes_along_what_is_in_it() -> None:
    made = (Entry(Operation.MKDIR, inode=9, path="folder"), create("folder/file"), sync(), sync(9))
    assert sorted(map(sorted, images(*made))) == [[], ["folder", "folder/file"]]
    assert images(*made, sync(ROOT)) == [{"folder": None, "folder/file": b""}]


def test_before_the_first_entry_there_is_nothing() -> None:
    assert images(create("file"), sync(), sync(ROOT), cut=0) == [{}]


@pytest.mark.parametrize("name", ["table", "table, write-ahead log", "store", "csv file"])
def test_a_recording_replays_to_the_files_that_are_there(name: str, recorder: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    assert SUBJECTS[name].attempts == 1
    ended = run_recorded(recorder, root, tmp_path / "log", "tests.power.recorded", name, "0", "")
    assert ended.returncode == 0, ended.stdout
    files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert files
    assert Disk(read_recording(tmp_path / "log")).present() == files


def test_what_the_recorder_does_not_understand_is_refused(recorder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    root = tmp_path / "root"
    root.mkdir()
    assert run_recorded(recorder, root, log, "tests.power.links").returncode == 0
    with pytest.raises(ValueError, match="does not understand"):
        read_recording(log)
