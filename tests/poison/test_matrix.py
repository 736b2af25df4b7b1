"""A part of the matrix: each kind for each target, all positions and manners."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from tests.connect.poison import CSV, POSITIONS
from tests.poison import cells
from tests.poison.cells import KINDS, TARGETS, WAYS, Cell, Target, check, some_cells

from mainstem.connect import CsvSink
from mainstem.endpoints import SinkTransaction

pytestmark = [pytest.mark.extras, pytest.mark.timeout(120)]


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("with_workers", [False, True], ids=["here", "workers"])
def test_each_poison_is_one_reject_and_its_neighbours_are_loaded_once(
    target: str, with_workers: bool, tmp_path: Path, postgres_url: str
) -> None:
    wrong: list[str] = []
    for number, cell in enumerate(some_cells()):
        if cell.target == target and (cell.way == "workers") == with_workers:
            folder = tmp_path / str(number)
            folder.mkdir()
            wrong += [f"{cell}: {what}" for what in check(cell, folder, postgres_url)]
    assert not wrong


def test_the_part_holds_every_kind_position_and_manner() -> None:
    part = list(some_cells())
    assert {(cell.kind, cell.target) for cell in part} == set(product(KINDS, TARGETS))
    assert {(cell.position, cell.target) for cell in part} == set(product(POSITIONS, TARGETS))
    assert {(cell.target, cell.way, cell.durable) for cell in part} == set(product(TARGETS, WAYS, (False, True)))


class SinkThatDropsNeighbours(CsvSink):
    """A sink that keeps nothing of a chunk but what is bad in it."""

    async def begin(self, context: Any) -> SinkTransaction[Any]:
        transaction = await super().begin(context)
        write = transaction.write

        async def write_the_bad(records: Sequence[Any]) -> Any:
            bad = [each for each in records if isinstance(each["text"], set)]
            return await write(bad or records)

        transaction.write = write_the_bad  # type: ignore[method-assign]
        return transaction


def test_a_sink_that_drops_the_neighbours_of_a_bad_record_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(folder: Path, _: str) -> Any:
        return SinkThatDropsNeighbours(folder / "target.csv", columns=("id", "text"), continue_on_error=True)

    monkeypatch.setitem(cells.TARGETS, CSV, Target(make, TARGETS[CSV].ids))
    wrong = check(Cell("a set", "in the middle", CSV, "memory", durable=False), tmp_path, "")
    assert any("of the neighbours, [] are there" in each for each in wrong)


def test_the_command_reports_what_it_has_run(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.poison", "--only", "NUL alone, last, into csv, durable, memory"]
    subprocess.run([*command, "--report", str(report)], cwd=Path(__file__).parents[2], check=True, capture_output=True)
    entry = json.loads(report.read_text())["poison matrix"]
    assert (entry["cells"], entry["failed"], entry["failures"]) == (1, 0, [])
