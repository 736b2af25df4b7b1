"""Whatever a power cut leaves: it can be read, all of it belongs together, and nothing acknowledged is lost."""

from __future__ import annotations

import json
import random
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.power.cuts import cut_power, record
from tests.power.subjects import SUBJECTS

pytestmark = [pytest.mark.extras, pytest.mark.timeout(300)]

IMAGES = 20_000 // len(SUBJECTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", SUBJECTS)
def test_after_any_power_cut_all_that_was_acknowledged_is_there(name: str, recorder: Path, tmp_path: Path) -> None:
    record(name, recorder, tmp_path / "log")
    found = cut_power(name, tmp_path / "log", random.randrange(2**32), range(IMAGES))
    assert found.images == IMAGES
    assert not found.violations, "\n".join(found.first.values())


@pytest.mark.parametrize(
    ("name", "breakage", "kind"),
    [
        ("table", "target off", "corrupt"),
        ("table", "target normal", "lost"),
        ("table", "target full", "lost"),
        ("table, write-ahead log", "target normal", "lost"),
        ("table", "two transactions", "inconsistent"),
        ("store", "store normal", "lost"),
        ("run into a table", "store normal", "inconsistent"),
        ("run into a table", "two transactions", "inconsistent"),
        ("csv file", "files not synced", "inconsistent"),
        ("csv file", "folders not synced", "lost"),
        ("json lines file", "folders not synced", "lost"),
    ],
)
def test_what_waits_less_for_the_disk_is_found_out(
    name: str, breakage: str, kind: str, recorder: Path, tmp_path: Path
) -> None:
    record(name, recorder, tmp_path / "log", breakage)
    assert cut_power(name, tmp_path / "log", 1, range(150)).violations[kind] > 10


def test_a_bad_image_says_by_which_command_it_is_made_again(recorder: Path, tmp_path: Path) -> None:
    record("table", recorder, tmp_path / "log", "two transactions")
    found = cut_power("table", tmp_path / "log", 7, range(40))
    assert found.violations.total() > 1
    command = shlex.split(found.first["inconsistent"].partition("to repeat it: ")[2])
    again = subprocess.run([sys.executable, *command[1:]], check=False, capture_output=True, text=True)
    assert again.returncode == 1, again.stderr
    report = json.loads(again.stdout)
    assert (report["images"], report["inconsistent"]) == (1, 1)
