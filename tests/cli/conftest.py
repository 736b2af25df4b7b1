"""Running the real command on pipelines written into a test's folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import mainstem
from mainstem.cli.main import main

SOURCE = str(Path(mainstem.__file__).parents[1])
Run = Callable[..., subprocess.CompletedProcess[str]]
Write = Callable[[str, str], Path]


def environment(**more: str) -> dict[str, str]:
    """The environment of a command: the package is importable, and the terminal's settings are the test's."""
    kept = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "NO_COLOR", "COLUMNS")}
    return {**kept, "PYTHONPATH": SOURCE, "PYTHONDONTWRITEBYTECODE": "1", "TERM": "xterm-256color", **more}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mainstem", *arguments]


@contextmanager
def started(folder: Path, *arguments: str, **streams: Any) -> Iterator[subprocess.Popen[Any]]:
    """Start the command; when the ``with`` block is left, however it is left, it has ended."""
    more = streams.pop("more", {})
    process = subprocess.Popen(command(*arguments), cwd=folder, env=environment(**more), **streams)
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a file of Python code into the test's folder."""

    def write_file(name: str, code: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(code), encoding="utf-8")
        return path

    return write_file


@pytest.fixture
def mainstem_command(tmp_path: Path) -> Run:
    """Run the command in the test's folder and return what came of it."""

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            cwd=tmp_path,
            env=environment(COLUMNS="120", **more),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=30,
            check=False,
        )

    return run


@pytest.fixture
def mainstem_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Do the same in this process, for tests that need no process of their own: that is many times as fast."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        for name, text in more.items():
            monkeypatch.setenv(name, text)
        capsys.readouterr()
        before = {*sys.modules}
        code = main(arguments)
        for name in {*sys.modules} - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
                del sys.modules[name]  # as in a new process
        written = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, written.out, written.err)

    return run
