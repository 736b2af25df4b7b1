"""The peak memory of this process."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_memory() -> int:
    """Return the most memory, in bytes, that was resident at any time since this program was started.

    Linux hands ``ru_maxrss`` on from the process that started this one, even to another program, so a large parent
    would hide what a small child takes. ``VmHWM`` is the program's own.
    """
    if STATUS.exists():
        found = re.search(r"^VmHWM:\s*(\d+) kB$", STATUS.read_text(), re.MULTILINE)
        if found is None:
            raise OSError(f"{STATUS} does not say VmHWM")
        return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
