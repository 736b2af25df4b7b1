"""``mainstem run --workers``: the stages of a user's file in worker processes, and wrong numbers of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import factorial
from pathlib import Path

import pytest
from tests.cli.conftest import Run

Write = Callable[[str, str], Path]

FLOWS = """
    from math import factorial
    from threading import Lock

    from mainstem import AggregateStage, MapStage, Pipeline, Sum, create_etl_pipeline

    def extract() -> list[int]:
        return list(range(1500))

    def digits(number: int) -> int:
        return len(str(factorial(1500 + number % 7)))

    def load(counts: list[int]) -> int:
        return sum(counts)

    counted = create_etl_pipeline(extract, digits, load, name="counted")
    local = create_etl_pipeline(extract, lambda number: number, load, name="local")
    lock = Lock()
    locked = create_etl_pipeline(extract, lambda number, lock=lock: number, load, name="locked")
"""


@pytest.mark.slow
def test_workers_give_the_same_and_the_report_says_who_did_the_work(write: Write, mainstem_command: Run) -> None:
    write("flows.py", FLOWS)
    alone, shared = (
        json.loads(mainstem_command("run", "flows.py:counted", "--json", *more).stdout)
        for more in ([], ["--workers", "2"])
    )
    expected = sum(len(str(factorial(1500 + number % 7))) for number in range(1500))
    assert shared["output"] == alone["output"] == expected
    assert shared["status"] == "completed"


def test_a_stage_that_cannot_be_sent_is_refused_by_name(write: Write, mainstem_command: Run) -> None:
    write("flows.py", FLOWS)
    ran = mainstem_command("run", "flows.py:locked", "--workers", "2")
    assert ran.returncode == 1
    assert "stage 'transform', made at" in ran.stderr
    assert "cannot be sent to a worker process" in ran.stderr
    assert "run without workers" in ran.stderr


def test_a_lambda_can_be_sent(write: Write, mainstem_command: Run) -> None:
    write("flows.py", FLOWS)
    ran = mainstem_command("run", "flows.py:local", "--workers", "2", "--json")
    assert json.loads(ran.stdout)["output"] == sum(range(1500)), ran.stderr


@pytest.mark.parametrize("number", ["0", "-1", "two"])
def test_a_wrong_number_of_workers_is_wrong_usage(number: str, write: Write, mainstem_command: Run) -> None:
    write("flows.py", FLOWS)
    ran = mainstem_command("run", "flows.py:counted", "--workers", number)
    assert ran.returncode == 2
    assert ran.stderr.startswith("mainstem: ")
    assert "workers" in ran.stderr
