"""Every code block of the README and the docs is run, and prints what the page says; so are all docstrings."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import mainstem

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
EXCERPT = re.compile(r"# from (?P<file>examples/\S+)\n+")
"""The first line of a block that shows a part of an example, which is tested where examples are."""
MODULES = ["mainstem", *(each.name for each in pkgutil.walk_packages(mainstem.__path__, "mainstem."))]


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_a_page_runs_and_prints_what_the_page_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Python blocks of a page are one program; a ``text`` block is what the block before it prints.

    A block that says which example it is from is a part of that, and not run here.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    names: dict[str, object] = {"__name__": "page"}
    printed = ""
    for block in BLOCK.finditer(page.read_text()):
        language, code = block["language"], block["code"]
        excerpt = EXCERPT.match(code)
        if excerpt is not None:
            assert code[excerpt.end() :] in (ROOT / excerpt["file"]).read_text(), f"not in {excerpt['file']}:\n{code}"
        elif language == "python":
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile(code, str(page), "exec", dont_inherit=True), names)
            printed = output.getvalue()
        elif language == "console":
            printed = run_console(code)
        elif language == "text":
            assert printed == code
        else:
            pytest.fail(f"{page.name} has a block of {language}, which nothing runs")


def run_console(code: str) -> str:
    """Run the lines that begin with ``$``; commands that set up a machine are only looked up in the Makefile."""
    printed = ""
    for line in code.splitlines():
        if not line.startswith("$ "):
            continue
        command = shlex.split(line.removeprefix("$ "), comments=True)
        if command[0] == "make":
            assert re.search(rf"^{command[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line
        elif command[0] == "mainstem":
            ran = subprocess.run(
                [sys.executable, "-m", "mainstem", *command[1:]], capture_output=True, text=True, check=True
            )
            printed += ran.stdout
        else:
            assert command[:2] in (["pip", "install"], ["git", "clone"]), line
    return printed


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_in_docstrings_run(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if module != "mainstem.__main__":
        assert doctest.testmod(importlib.import_module(module)).failed == 0


def test_every_public_class_and_function_has_an_example_or_is_described_by_one_that_has() -> None:
    """Errors, results of others and bases are shown where they are used."""
    without = {
        name
        for name in mainstem.__all__
        if callable(value := getattr(mainstem, name))
        and isinstance(value.__doc__, str)
        and ">>>" not in value.__doc__
        and not (isinstance(value, type) and issubclass(value, Exception))
    }
    assert without == {
        "Claim",
        "CompositeResult",
        "EventType",
        "FanOutStage",
        "Guarantee",
        "LoadReport",
        "PipelineResult",
        "PipelineStream",
        "Position",
        "RecordFate",
        "RecordStep",
        "RecordTrace",
        "SinkTransaction",
        "SourceChunk",
        "StageError",
        "StageKind",
        "StageProgress",
        "Store",
        "Subscription",
        "WindowKind",
    }
