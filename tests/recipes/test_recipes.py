"""The recipes that need nothing beyond our own environment: a web application, cron, systemd. Others: check_*.py."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from prices import PRICES, loaded_in, status_of, write_prices
from tests.debian_packages import require
from web_app import RECIPES, check_web_app

import mainstem
from mainstem.cli.exit_code import ExitCode

pytestmark = [pytest.mark.extras, pytest.mark.slow, pytest.mark.timeout(180)]

ROOT = RECIPES.parents[1]
SOURCE = Path(mainstem.__file__).parents[1]


def today() -> str:
    return datetime.now(timezone.utc).date().isoformat()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A folder as the recipes for cron and systemd have it, with the prices of today."""
    folder = tmp_path / "srv"
    (folder / ".venv" / "bin").mkdir(parents=True)
    command = folder / ".venv" / "bin" / "mainstem"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{SOURCE}" exec "{sys.executable}" -m mainstem "$@"\n')
    command.chmod(0o755)
    shutil.copy(RECIPES / "daily_import.py", folder)
    write_prices(folder, day=today())
    before = today()
    yield folder
    assert before == today(), "midnight has gone by: run it again"


def loaded_today() -> list[tuple[str, str, int]]:
    return [(today(), "tea", 150), (today(), "salt", 80)]


def run_shell(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a service is run: with next to nothing in its environment."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "TZ": "UTC", "SHELL": "/bin/sh"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )


def test_a_starlette_application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(SOURCE), str(RECIPES)]))
    check_web_app("starlette_app", tmp_path)


def cron_line() -> tuple[str, dict[str, str], str]:
    """Read the crontab as crontab(5) says: when, the variables that are set, and the command."""
    lines = [line for line in (RECIPES / "crontab").read_text().splitlines() if line and not line.startswith("#")]
    variables = dict(line.split("=", 1) for line in lines[:-1])
    *when, command = lines[-1].split(maxsplit=5)
    assert "%" not in command.replace(r"\%", ""), "an % that is not escaped is the end of a line for cron"
    return " ".join(when), variables, command.replace(r"\%", "%")


def test_the_line_for_cron_imports_the_day_once(site: Path) -> None:
    when, variables, command = cron_line()
    assert re.fullmatch(r"(\d+|\*)(,\d+)* (\d+|\*)(,\d+)* (\*) (\*) (\*)", when)
    assert variables == {"SHELL": "/bin/sh", "FOLDER": "/srv/prices"}
    script = ["/bin/sh", "-c", f"FOLDER={shlex.quote(str(site))}\n{command}"]
    first = run_shell(script, site.parent)
    assert first.returncode == 0, first.stderr
    assert "could not convert string to float: 'free'" in first.stderr, "which cron hands on as a mail"
    assert loaded_in(site) == loaded_today()
    second = run_shell(script, site.parent)
    assert (second.returncode, loaded_in(site)) == (0, loaded_today())


def test_what_failed_at_first_is_imported_at_the_second_time(site: Path) -> None:
    _, _, command = cron_line()
    script = ["/bin/sh", "-c", f"FOLDER={shlex.quote(str(site))}\n{command}"]
    write_prices(site, 'product,price\ntea,1.50\nsalt,"0.8', day=today())
    assert run_shell(script, site.parent).returncode == ExitCode.FAILED
    assert status_of(site, today()) == "failed"
    write_prices(site, PRICES, day=today())
    assert run_shell(script, site.parent).returncode == 0
    assert loaded_in(site) == loaded_today()


def test_the_service_and_its_timer_are_what_systemd_takes() -> None:
    analyze = require("systemd-analyze", "systemd")
    units = [str(RECIPES / name) for name in ("daily-import.service", "daily-import.timer")]
    checked = subprocess.run([analyze, "verify", *units], capture_output=True, text=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    # From 0, which is safe, to 100: anything above 20 would be a service that may do what it need not.
    exposed = [analyze, "security", "--offline=true", "--threshold=20", "--no-pager", units[0]]
    assert subprocess.run(exposed, capture_output=True).returncode == 0


def test_the_command_of_the_service_imports_the_day(site: Path) -> None:
    unit = (RECIPES / "daily-import.service").read_text()
    (line,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    command = shlex.split(line.replace("%%", "%"))
    assert command[0] == "/bin/sh"
    ran = run_shell(command, site)
    assert ran.returncode == 0, ran.stderr
    assert loaded_in(site) == loaded_today()


def test_the_service_is_not_begun_again_where_that_would_not_help() -> None:
    unit = (RECIPES / "daily-import.service").read_text()
    hopeless = re.findall(r"^RestartPreventExitStatus=(\d+) (\d+)$", unit, re.MULTILINE)
    assert hopeless == [(str(int(ExitCode.WRONG_USAGE)), str(int(ExitCode.REFUSED)))]
    assert f"\nSuccessExitStatus={int(ExitCode.TERMINATED)}\n" in unit


def test_each_recipe_is_on_the_page_and_each_environment_has_a_check() -> None:
    page = (ROOT / "docs" / "recipes.md").read_text()
    for recipe in RECIPES.iterdir():
        if recipe.is_file():
            assert f"examples/recipes/{recipe.name}" in page, recipe.name
    checks = {path.stem.removeprefix("check_") for path in Path(__file__).parent.glob("check_*.py")}
    for suffix in (".in", ".txt"):
        named = {path.stem.removeprefix("recipe-") for path in (ROOT / "requirements").glob(f"recipe-*{suffix}")}
        assert named == checks
