"""What tells one input from another, for durable runs that are resumed."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from mainstem.connect.files import file_errors
from mainstem.connect.rows import class_of, shown

_END_BYTES = 64 * 1024


def file_fingerprint(path: Path) -> Mapping[str, Any] | None:
    """Return a file's path, size and time of change, and a hash of its two ends; ``None`` for a pipe or device.

    Raises:
        ConnectError: If it cannot be read.
    """
    with file_errors(path, "read"):
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            return None  # to read from it would take something away
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = sha256(file.read(_END_BYTES))
            file.seek(max(_END_BYTES, status.st_size - _END_BYTES))
            content.update(file.read(_END_BYTES))
    return {
        "path": str(path.absolute()),
        "bytes": status.st_size,
        "changed_ns": status.st_mtime_ns,
        "sha256_of_ends": content.hexdigest(),
    }


def json_value(value: Any) -> Any:
    """Return a value as plain JSON; one that JSON has not as a text that shows it."""
    kind = class_of(value)
    if value is None or kind in (bool, int, str) or (kind is float and math.isfinite(value)):
        return value
    return f"{kind.__name__} {shown(value)}"
