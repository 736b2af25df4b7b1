"""The main job from the command line, killed again and again: the same table, rejects and counts as undisturbed."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
import pytest
from examples.flights_import import flights_csv

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.extras, pytest.mark.slow, pytest.mark.timeout(300)]
LINES, KILLS = 40_000, 6


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first lines of the file."""
    path = tmp_path_factory.mktemp("flights") / "flights.csv"
    with flights_csv().open() as whole, path.open("w") as part:
        part.writelines(islice(whole, LINES + 1))
    return path


def command(flights: Path, store: str, database: str) -> list[str]:
    target = [sys.executable, "-m", "mainstem", "run", "examples/flights_import.py:pipeline"]
    settings = ["--set", f"database={database}", "--set", f"flights={flights}"]
    return [*target, "--run-id", "a", "--store", store, *settings, "--commit-every", "2000", "--json"]


def run(flights: Path, store: str, database: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(flights, store, database), cwd=ROOT, capture_output=True, check=True, text=True)


def rows_of(database: str) -> Counter[Any]:
    query = "SELECT * FROM flights"
    if database.startswith("sqlite"):
        connection = sqlite3.connect(database.removeprefix("sqlite:///"))
        try:
            return Counter(connection.execute(query).fetchall())
        finally:
            connection.close()
    with psycopg.connect(database) as postgres:
        return Counter(postgres.execute(query).fetchall())


def rejects_of(store: str) -> Counter[Any]:
    listed = subprocess.run(
        [sys.executable, "-m", "mainstem", "rejects", "export", "--run", "a", "--store", store, "--format", "json"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    rejects: list[dict[str, Any]] = json.loads(listed.stdout)
    return Counter((each["stage"], each["index"], each["message"], json.dumps(each["record"])) for each in rejects)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_killed_at_any_time_it_ends_as_if_nothing_had_happened(
    kind: str, flights: Path, tmp_path: Path, postgres_server: Any
) -> None:
    def place(name: str) -> str:
        return postgres_server.new_database() if kind == "postgres" else f"sqlite:///{tmp_path}/{name}.db"

    calm_database, calm_store = place("calm"), place("calm-store")
    calm = subprocess.run(
        command(flights, calm_store, calm_database), cwd=ROOT, capture_output=True, check=True, text=True
    )
    database, store = place("killed"), place("killed-store")
    seed = random.randrange(2**32)
    chance, kills = random.Random(seed), 0
    while kills < KILLS:
        process = subprocess.Popen(command(flights, store, database), cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            process.wait(chance.uniform(0.5, 2.5))
            break  # it was quicker
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
    last = run(flights, store, database)
    assert rows_of(database) == rows_of(calm_database), f"seed {seed}"
    assert rejects_of(store) == rejects_of(calm_store), f"seed {seed}"
    if kills == KILLS:
        undisturbed, resumed = json.loads(calm.stdout), json.loads(last.stdout)
        for count in ("records_in", "records_passed", "records_filtered", "records_failed"):
            assert resumed[count] == undisturbed[count], f"seed {seed}"
            assert [each[count] for each in resumed["stages"]] == [each[count] for each in undisturbed["stages"]]
    again = run(flights, store, database)
    assert "has completed" in again.stderr
