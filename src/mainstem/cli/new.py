"""``mainstem new``: a small project to begin with, with a pipeline, its tests, and what runs them."""

from __future__ import annotations

import keyword
import re
import shutil
import sys
from importlib.resources import files
from pathlib import Path
from string import Template
from tempfile import mkdtemp

from rich.text import Text

from mainstem import __version__
from mainstem.cli.escape import plain_console, printable
from mainstem.cli.exit_code import ExitCode
from mainstem.cli.report import print_message
from mainstem.cli.usage import UsageError

_FILES = {
    "README.md": "README.md",
    "pyproject.toml": "pyproject.toml",
    ".gitignore": "gitignore",
    "data/orders.csv": "orders.csv",
    "$package/__init__.py": "__init__.py",
    "$package/pipeline.py": "pipeline.py",
    "tests/test_pipeline.py": "test_pipeline.py",
}
"""What a project is made of, and the template of each file, in the folder ``new_project``."""
_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9]|[-_](?=[A-Za-z0-9]))*")
_TAKEN = {"mainstem", "tests", "data", "pytest", "anyio"}


def new_project(name: str) -> int:
    """Write a project into a new folder of the working folder.

    Args:
        name: The project's name, and the folder's; its package's, with underscores.

    Returns:
        0; 1 if it cannot be written.

    Raises:
        UsageError: If ``name`` will not do, or there is something of that name already.
    """
    package = _package_of(name)
    folder = Path(name)
    if folder.is_symlink() or folder.exists():
        raise UsageError(f"{name} is there already, and nothing is overwritten: take another name, or another folder")
    try:
        made = _write(folder, {"name": name, "package": package, "version": __version__})
    except OSError as error:
        print_message(plain_console(stderr=True), f"{name} cannot be written: {error}", style="bold red")
        return ExitCode.FAILED
    console = plain_console()
    for each in made:
        console.print(Text(printable(f"{name}/{each}"), style="dim"), soft_wrap=True)
    console.print(
        Text(f"\nnext:\n  cd {name}\n  pip install -e '.[dev]'\n  pytest\n  mainstem run {package}.pipeline:pipeline"),
        soft_wrap=True,
    )
    return ExitCode.COMPLETED


def _package_of(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            f"{name!r} is no name of a project: it begins with a letter, and goes on with letters, digits, and "
            "single - or _ between them"
        )
    package = name.lower().replace("-", "_")
    if package in sys.stdlib_module_names or package in _TAKEN or keyword.iskeyword(package):
        raise UsageError(f"a project cannot be called {name!r}: its package would hide Python's, or one it needs")
    return package


def _write(folder: Path, values: dict[str, str]) -> list[str]:
    """Write all files into a folder of another name, which gets its own when it is complete.

    Returns:
        The files, as paths in the folder.

    Raises:
        OSError: If they cannot be written, or somebody made something of that name meanwhile; nothing is left then.
    """
    templates = files("mainstem.cli") / "new_project"
    unfinished = Path(mkdtemp(prefix=f".{folder.name}-", dir="."))
    made: list[str] = []
    try:
        unfinished.chmod(0o755)
        for path, template in _FILES.items():
            made.append(Template(path).substitute(values))
            file = unfinished / made[-1]
            file.parent.mkdir(exist_ok=True)
            text = (templates / f"{template}.template").read_text(encoding="utf-8")
            file.write_text(Template(text).substitute(values), encoding="utf-8", newline="\n")
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished)
        raise
    return made
