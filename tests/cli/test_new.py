"""``mainstem new``: the project passes its tests and types, and does what its README says; nothing is overwritten."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import SOURCE, Run, environment

import mainstem
from mainstem.cli import new

FILES = {
    ".gitignore",
    "README.md",
    "data/orders.csv",
    "order_import/__init__.py",
    "order_import/pipeline.py",
    "pyproject.toml",
    "tests/test_pipeline.py",
}


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def run_in(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a module of Python as a command there."""
    command = [sys.executable, "-m", *arguments]
    settings = environment(COLUMNS="120", **more)
    return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, timeout=110, check=False)


@pytest.fixture
def project(mainstem_command: Run, tmp_path: Path) -> Path:
    made = mainstem_command("new", "Order-Import")
    assert made.returncode == 0, made.stderr
    assert "  cd Order-Import\n" in made.stdout
    return tmp_path / "Order-Import"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_it_passes_its_tests_and_its_types_and_does_what_its_readme_says(project: Path) -> None:
    """Each command of the README is run, in order, but for those that need something from outside."""
    readme = (project / "README.md").read_text()
    done: list[str] = []
    for line in re.findall(r"^    (.+)$", readme, re.MULTILINE):
        name, *arguments = shlex.split(line)
        if name == "pip" or "s3://" in line:
            continue
        more = {"MYPYPATH": SOURCE} if name == "mypy" else {}
        ran = run_in(project, name, *arguments, **more)
        assert ran.returncode == 0, f"{line}\n{ran.stdout}{ran.stderr}"
        done.append(f"{line}\n{ran.stdout}")
    tested, checked, imported, durable, listed, *_, replayed = done
    assert re.search(r"\b6 passed\b", tested)
    assert "Success: no issues found in 3 source files" in checked
    assert "4 in = 3 loaded + 1 rejected" in imported
    assert "exactly-once" in durable
    assert "pepper" in listed
    assert "1 replayed" in replayed


def test_its_files_bear_its_name_and_no_trace_of_how_they_were_made(project: Path) -> None:
    assert files_in(project) == FILES
    assert names_in(project.parent) == ["Order-Import"]
    settings = tomllib.loads((project / "pyproject.toml").read_text())
    assert settings["project"]["name"] == "Order-Import"
    assert settings["project"]["dependencies"] == [f"mainstem[cli,models,types]>={mainstem.__version__}"]
    for name in FILES:
        text = (project / name).read_bytes()
        assert b"$" not in text
        assert b"\r" not in text
    assert (project.stat().st_mode & 0o777, (project / "README.md").stat().st_mode & 0o777) == (0o755, 0o644)


@pytest.mark.parametrize("there", ["a folder", "an empty folder", "a file", "a link that leads nowhere"])
def test_nothing_is_overwritten(tmp_path: Path, mainstem_here: Run, there: str) -> None:
    path = tmp_path / "orders"
    if there == "a file":
        path.write_text("mine")
    elif there.startswith("a link"):
        path.symlink_to("nowhere")
    else:
        path.mkdir()
        if there == "a folder":
            (path / "README.md").write_text("mine")
    before = files_in(tmp_path)
    ran = mainstem_here("new", "orders")
    assert ran.returncode == 2
    assert "orders is there already, and nothing is overwritten" in ran.stderr
    assert files_in(tmp_path) == before
    assert names_in(tmp_path) == ["orders"]


def test_nor_is_what_comes_up_meanwhile_and_nothing_unfinished_is_left(
    tmp_path: Path, mainstem_here: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename: Any = Path.rename

    def rename_late(self: Path, target: Path) -> Any:
        target.mkdir()
        (target / "README.md").write_text("mine")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_late)
    ran = mainstem_here("new", "orders")
    assert ran.returncode == 1
    assert "orders cannot be written: " in ran.stderr
    assert files_in(tmp_path) == {"orders/README.md"}
    assert (tmp_path / "orders" / "README.md").read_text() == "mine"
    assert names_in(tmp_path) == ["orders"]


@pytest.mark.parametrize("name", ["", "7days", "a b", "../up", "a/b", "-a", "a-", "a--b", "é", "a.b", "a\n", "$x"])
def test_what_is_no_name_is_refused(tmp_path: Path, mainstem_here: Run, name: str) -> None:
    ran = mainstem_here("new", "--", name)
    assert ran.returncode == 2
    assert "is no name of a project" in ran.stderr
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("name", ["json", "Mainstem", "tests", "class", "data"])
def test_a_name_that_would_hide_another_package_is_refused(tmp_path: Path, mainstem_here: Run, name: str) -> None:
    ran = mainstem_here("new", name)
    assert ran.returncode == 2
    assert "would hide" in ran.stderr
    assert names_in(tmp_path) == []


def test_every_template_is_one_of_its_files() -> None:
    templates = {path.name for path in (Path(new.__file__).parent / "new_project").iterdir()}
    assert templates == {f"{template}.template" for template in new._FILES.values()}  # pyright: ignore[reportPrivateUsage]
