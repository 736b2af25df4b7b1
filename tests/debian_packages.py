"""Servers that come from Debian's packages: installed where they are not there yet, by one process at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path


def require(program: str, *packages: str) -> str:
    """Return the path of a program, whose packages are installed if it is not there and this is the superuser."""
    found = _found(program)
    if found is not None:
        return found
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise RuntimeError(f"these tests need {program}: apt-get install {' '.join(packages)}")
    with Path(tempfile.gettempdir(), "mainstem-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _found(program) is None:
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            for command in (["update"], ["install", "--no-install-recommends", "-y", *packages]):
                subprocess.run(["apt-get", "-q", *command], check=True, capture_output=True, env=environment)
    found = _found(program)
    assert found is not None, f"{program} is in none of {', '.join(packages)}"
    return found


def _found(program: str) -> str | None:
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
