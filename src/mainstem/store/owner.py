"""The process that works on a run: who it is, and whether it is gone."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

from mainstem.store.model import Owner

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def this_process() -> Owner:
    """Return this process."""
    return Owner(host=_host(), pid=os.getpid(), started=_started(os.getpid()) or "")


def is_gone(owner: Owner) -> bool:
    """Whether a process is known to have ended: it was of this machine as it runs now, and is there no more."""
    if owner.host != _host() or not owner.started:
        return False
    return _started(owner.pid) != owner.started


@cache
def _host() -> str:
    """Return the machine's name, with an identity that is new each time it is started, where there is one."""
    try:
        boot = _BOOT.read_text().strip()
    except OSError:
        boot = ""
    return f"{socket.gethostname()} {boot}".strip()


def _started(pid: int) -> str | None:
    """Return when a process started, as the kernel counts; ``None`` if it is gone, empty if that is not to be had."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else ""
    except OSError:
        return ""
    return None if fields[0] in "ZX" else fields[19]
