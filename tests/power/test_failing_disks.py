"""A disk that is full or fails, at every point there is: the run says so, and later nothing is lost or doubled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.power.recorder import run_recorded

pytestmark = [pytest.mark.extras, pytest.mark.timeout(300)]

FILES = ("store.db", "target.db", "out.csv")


def reports(recorder: Path, folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """What came of the runs."""
    ended = run_recorded(recorder, folder, None, "tests.power.failing", *arguments)
    assert ended.returncode == 0, ended.stdout
    return [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "trouble", "least"),
    [
        ("table", "write", 30),
        ("table", "sync", 20),
        ("table", "sync for good", 20),
        ("table", "create", 8),
        ("table", "unlink", 4),
        ("table", "full disk", 10),
        ("table", "file size limit", 5),
        ("table", "full target", 4),
        ("table", "full store", 2),
        ("csv", "write", 30),
        ("csv", "sync", 20),
        ("csv", "create", 10),
        ("csv", "rename", 8),
        ("csv", "unlink", 4),
        ("csv", "full disk", 10),
    ],
)
def test_a_disk_in_trouble_loses_and_doubles_nothing(
    kind: str, trouble: str, least: int, recorder: Path, tmp_path: Path
) -> None:
    found = reports(recorder, tmp_path, kind, trouble)
    for report in found:
        assert not report["problem"], report
        assert report["success"] or any(name in report["error"] for name in FILES), report
    assert sum(not report["success"] for report in found) >= least
    assert found[-1]["success"]


def test_rows_that_are_committed_apart_from_their_number_are_found_out(recorder: Path, tmp_path: Path) -> None:
    found = reports(recorder, tmp_path, "table", "sync", "two transactions")
    assert any(report["problem"] for report in found)
