"""What type checkers must accept, and what they must refuse, both in their strict modes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "typing"
ROOT = FOLDER.parent.parent
ACCEPTED = sorted(FOLDER.glob("accept/*.py"))
REFUSED = sorted(FOLDER.glob("refuse/*.py"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

Found = set[tuple[str, int, str]]
"""File name, line and error code."""


def copied(files: list[Path], folder: Path) -> list[str]:
    """Copy the files to where no configuration of ours is found."""
    return [shutil.copy(file, folder / file.name) for file in files]


def run_mypy(files: list[Path], folder: Path) -> Found:
    config = folder / "mypy.ini"
    config.write_text(f"[mypy]\nstrict = True\nmypy_path = {ROOT / 'src'}:{FOLDER / 'accept'}\n")
    command = [sys.executable, "-m", "mypy", "--config-file", str(config), "--no-error-summary", "--no-pretty"]
    ran = subprocess.run([*command, *copied(files, folder)], capture_output=True, text=True, check=False, cwd=folder)
    assert ran.returncode in (0, 1), ran.stdout + ran.stderr
    found: Found = set()
    for line in ran.stdout.splitlines():
        if match := re.match(r"(?P<file>.+?):(?P<line>\d+): error: .*\[(?P<code>[\w-]+)\]$", line):
            found.add((Path(match["file"]).name, int(match["line"]), match["code"]))
        else:
            assert ": note: " in line, line
    return found


def run_pyright(files: list[Path], folder: Path) -> Found:
    config = {
        "include": ["."],
        "extraPaths": [str(ROOT / "src"), str(FOLDER / "accept")],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
        "enableTypeIgnoreComments": False,
        "reportUnusedExpression": "none",
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    copied(files, folder)
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    report: dict[str, Any] = json.loads(ran.stdout)
    assert report["summary"]["filesAnalyzed"] >= len(files)
    return {
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1, each["rule"])
        for each in report["generalDiagnostics"]
    }


def expected(files: list[Path], *, pyright: bool) -> Found:
    wanted: Found = set()
    for file in files:
        for number, line in enumerate(file.read_text().splitlines(), start=1):
            if match := re.search(r"# expect: (.+)$", line):
                codes = {code.strip() for code in match[1].split(",")}
                wanted |= {(file.name, number, code) for code in codes if code.startswith("report") == pyright}
    assert len(wanted) > 50
    return wanted


def test_mypy_accepts_every_correct_use(tmp_path: Path) -> None:
    assert run_mypy(ACCEPTED, tmp_path) == set()


def test_pyright_accepts_every_correct_use(tmp_path: Path) -> None:
    assert run_pyright(ACCEPTED, tmp_path) == set()


def test_mypy_refuses_exactly_the_wrong_lines(tmp_path: Path) -> None:
    assert run_mypy(REFUSED, tmp_path) == expected(REFUSED, pyright=False)


def test_pyright_refuses_exactly_the_wrong_lines(tmp_path: Path) -> None:
    assert run_pyright(REFUSED, tmp_path) == expected(REFUSED, pyright=True)
