"""Records a subject, cuts the power at random moments, and has each image judged."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

import anyio
from anyio.to_thread import run_sync
from tests.power.disk import Disk
from tests.power.recorder import run_recorded
from tests.power.recording import read_recording
from tests.power.subject import Subject
from tests.power.subjects import SUBJECTS
from tests.power.violations import Violation, judged

IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""What a power cut does is drawn, so a disk would only make it slow."""
KEPT = Path(gettempdir(), "mainstem-power-recordings")
"""Where the recording of a bad image is kept."""


@dataclass
class Found:
    """What came of many images.

    Attributes:
        images: How many there were.
        violations: How many were wrong, by how they were.
        first: Of each kind, the first that was wrong, and how to repeat it.
    """

    images: int = 0
    violations: Counter[str] = field(default_factory=lambda: Counter[str]())
    first: dict[str, str] = field(default_factory=lambda: dict[str, str]())


def record(name: str, library: Path, log: Path, breakage: str = "") -> None:
    """Record a subject, in as many processes as it takes.

    Raises:
        RuntimeError: If it failed.
    """
    subject = SUBJECTS[name]
    with TemporaryDirectory(dir=IN_MEMORY) as folder:
        root = Path(folder).resolve()
        for attempt in range(subject.attempts):
            ended = run_recorded(library, root, log, "tests.power.recorded", name, str(attempt), breakage)
            wanted = 0 if attempt == subject.attempts - 1 else -signal.SIGKILL
            if ended.returncode != wanted:
                raise RuntimeError(f"attempt {attempt} at {name!r} ended with {ended.returncode}: {ended.stdout}")


def cut_power(name: str, log: Path, seed: int, images: range) -> Found:
    """Draw images of a recording, and judge them.

    Args:
        name: The subject.
        log: The recording.
        seed: What the images are drawn with, each by its number.
        images: The numbers of the images.
    """
    subject = SUBJECTS[name]
    disk = Disk(read_recording(log))
    subject.know([mark for _, mark in disk.marks])
    found = Found()

    async def judge_all() -> None:
        for number in images:
            try:
                await _judge(subject, disk, number, seed)
            except Violation as violation:
                found.violations[violation.kind.value] += 1
                found.first.setdefault(violation.kind.value, f"{violation}\n{_how_to_repeat(name, log, seed, number)}")
            found.images += 1

    with TemporaryDirectory(dir=IN_MEMORY) as folder, chdir(folder), _without_threads():
        anyio.run(judge_all)
    return found


@contextmanager
def _without_threads() -> Generator[None]:
    """Have done at once what is done in threads: here nobody else waits, and handing it over takes most of the time."""
    modules = [module for name, module in sys.modules.items() if name.startswith("mainstem.")]
    changed = [module for module in modules if getattr(module, "run_sync", None) is run_sync]

    async def run_here(function: Callable[..., Any], *arguments: Any, **_: Any) -> Any:
        return function(*arguments)

    for module in changed:
        module.run_sync = run_here  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in changed:
            module.run_sync = run_sync  # type: ignore[attr-defined]


async def _judge(subject: Subject, disk: Disk, number: int, seed: int) -> None:
    random = Random(f"{seed}/{number}")
    cut = random.randrange(disk.length + 1)
    _lay_out(disk.image(cut, random))
    with judged():
        await subject.check(
            [mark for at, mark in disk.marks if at < cut], deep=subject.depth > 0 and number % subject.depth == 0
        )


def _lay_out(image: dict[str, bytes | None]) -> None:
    """Make the current folder what an image says."""
    for entry in os.scandir():
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)  # noqa: PTH108 - hundreds of thousands of times
    for path, content in image.items():
        if content is None:
            os.mkdir(path, 0o700)  # noqa: PTH102
        else:
            with open(path, "wb", buffering=0) as file:  # noqa: PTH123
                file.write(content)


def _how_to_repeat(name: str, log: Path, seed: int, number: int) -> str:
    """Keep the recording, and return the command that makes the image again."""
    content = log.read_bytes()
    kept = KEPT / f"{sha256(content).hexdigest()[:16]}.log"
    KEPT.mkdir(exist_ok=True)
    kept.write_bytes(content)
    return f"to repeat it: python -m tests.power --subject {name!r} --recording {kept} --seed {seed} --image {number}"
