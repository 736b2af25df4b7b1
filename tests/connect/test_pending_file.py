"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mainstem import ConnectError
from mainstem.connect.pending_file import PendingFile

# The rest of what written files keep to is in test_conformance.py and test_csv_sink.py.


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_stands_beside_the_target_until_it_is_committed(tmp_path: Path) -> None:
    target = tmp_path / "w"
    target.write_text("before")
    pending = PendingFile(target)
    pending.write(b"after")
    temporary = [name for name in names_in(tmp_path) if name != "w"]
    assert len(temporary) == 1
    assert temporary[0].startswith(".mainstem-")
    assert target.read_text() == "before"
    pending.commit()
    assert (target.read_text(), names_in(tmp_path)) == ("after", ["w"])


def test_the_rights_of_the_file_that_is_replaced_are_kept(tmp_path: Path) -> None:
    target = tmp_path / "w"
    target.write_text("")
    target.chmod(0o604)
    pending = PendingFile(target)
    pending.commit()
    assert stat.S_IMODE(target.stat().st_mode) == 0o604


def test_a_new_file_has_the_rights_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    pending = PendingFile(tmp_path / "w")
    pending.commit()
    assert (tmp_path / "w").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_link_stays_one_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder/w")
    pending = PendingFile(tmp_path / "link")
    pending.write(b"x")
    pending.commit()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "w").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["n" * 255, " ", "it's", "ü\u2028"])
def test_any_name_that_the_file_system_takes_will_do(tmp_path: Path, name: str) -> None:
    pending = PendingFile(tmp_path / name)
    pending.write(b"x")
    pending.commit()
    assert names_in(tmp_path) == [name]


def test_what_cannot_be_committed_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    pending = PendingFile(tmp_path / "folder" / "w")
    (tmp_path / "folder").rename(tmp_path / "elsewhere")
    with pytest.raises(ConnectError, match=r"cannot write .*folder/w"):
        pending.commit()
    pending.discard()


@pytest.mark.parametrize("name", ["w", "w.gz"])
def test_a_full_disk_is_an_error_that_says_so_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    """The limit on the size of a file stands for the disk; it holds for a whole process."""
    script = f"""
import os, resource, signal
from pathlib import Path
from mainstem import ConnectError
from mainstem.connect.pending_file import PendingFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, unlimited[1]))
pending = PendingFile(Path({str(tmp_path / name)!r}))
try:
    for _ in range(1000):
        pending.write(os.urandom(100))
    pending.commit()
except ConnectError as error:
    print(error)
pending.discard()
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert f"cannot write {tmp_path / name}: File too large" in ran.stdout
    assert ran.stderr == ""
    assert names_in(tmp_path) == []


def test_a_link_in_its_place_is_never_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    monkeypatch.setattr(secrets, "token_hex", lambda _: "guessed")
    (tmp_path / ".mainstem-guessed.tmp").symlink_to(victim)
    with pytest.raises(ConnectError, match="File exists"):
        PendingFile(tmp_path / "w")
    assert victim.read_text() == "precious"


def test_the_content_is_on_the_disk_before_it_takes_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def watched_fsync(handle: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else f"{os.fstat(handle).st_size} bytes")
        fsync(handle)

    def watched_replace(path: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "replace", watched_replace)
    pending = PendingFile(tmp_path / "w")
    pending.write(b"12345")
    pending.commit()
    assert steps == ["5 bytes", "rename", "folder"]


def test_while_it_is_made_nobody_else_can_read_it(tmp_path: Path) -> None:
    target = tmp_path / "w"
    target.write_text("secret")
    target.chmod(0o600)
    pending = PendingFile(target)
    (temporary,) = [path for path in tmp_path.iterdir() if path != target]
    assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
    pending.discard()
