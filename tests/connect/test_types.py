"""What type checkers accept and refuse of sources and sinks, both in their strict modes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.test_typing import Found, run_mypy, run_pyright

FOLDER = Path(__file__).parent / "typing"
FILES = [FOLDER / "accept_connect.py", FOLDER / "refuse_connect.py"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def wanted(*, pyright: bool) -> Found:
    found: Found = set()
    for number, line in enumerate(FILES[1].read_text().splitlines(), start=1):
        if match := re.search(r"# expect: (.+)$", line):
            codes = {code.strip() for code in match[1].split(",")}
            found |= {(FILES[1].name, number, code) for code in codes if code.startswith("report") == pyright}
    assert len(found) >= 10
    return found


def test_mypy_accepts_what_is_right_and_refuses_what_is_wrong(tmp_path: Path) -> None:
    assert run_mypy(FILES, tmp_path) == wanted(pyright=False)


def test_pyright_accepts_what_is_right_and_refuses_what_is_wrong(tmp_path: Path) -> None:
    assert run_pyright(FILES, tmp_path) == wanted(pyright=True)
