"""The flights benchmark: every contestant leaves the same table, and one that does not is not measured.

No peer is needed: what stands for one here is a module of the benchmark's own interpreter.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

pytestmark = [pytest.mark.extras, pytest.mark.timeout(120)]
ROOT = Path(__file__).parent.parent
PEER = """
import psycopg
NAME, PACKAGE, TABLE = "by hand", "psycopg", "flights"
def load(flights, database, folder):
    from benchmarks.by_hand.flights import rows_into_postgres
    loaded = rows_into_postgres(database)(flights)
    with psycopg.connect(database) as connection:
        connection.execute({statement!r})
    return {rejects}
"""
UNTOUCHED = "SELECT 1"


@pytest.fixture
def database(postgres_url: str) -> str:
    from benchmarks.by_hand.flights import TABLE

    with psycopg.connect(postgres_url) as connection:
        connection.execute(f"CREATE TABLE flights ({TABLE})")
    return postgres_url


def measured(folder: Path, database: str, *, statement: str, rejects: int) -> subprocess.CompletedProcess[str]:
    """Measure a peer that is made of the loop by hand, a statement after it, and what it says it rejected."""
    from benchmarks.by_hand.flights import columns_by_hand, write_flights
    from benchmarks.flights import psql
    from examples.flights_import import flights_csv

    flights = folder / "flights.csv"
    write_flights(flights_csv(), flights, 2000)
    columns_by_hand(flights, lambda frame: frame.write_csv(flights.with_suffix(".clean"), include_header=False))
    (folder / "handmade.py").write_text(PEER.format(statement=statement, rejects=rejects))
    start = (
        "import runpy, sys, benchmarks.flights_peers as peers; "
        f"peers.__path__.append({str(folder)!r}); runpy.run_module('benchmarks.flights_peers', run_name='__main__')"
    )
    options = {"database": database, "flights": flights, "records": 2000, "rejected": 4, "psql": psql(), "rounds": 1}
    command = [sys.executable, "-c", start, "handmade", *(f"--{name}={value}" for name, value in options.items())]
    return subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_peer_is_measured_beside_copy(tmp_path: Path, database: str) -> None:
    done = measured(tmp_path, database, statement=UNTOUCHED, rejects=4)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["contestant"], row["records"]) == ("by hand", 2000)
    assert row["ratio"] > 0


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM flights WHERE ctid = '(0,1)'",
        "UPDATE flights SET departed = departed + interval '1 s' WHERE ctid = '(0,1)'",
        "UPDATE flights SET miles_per_hour = miles_per_hour + 0.1 WHERE ctid = '(0,1)'",
        "UPDATE flights SET tail_number = 'x' WHERE ctid = '(0,1)'",
    ],
)
def test_a_peer_that_leaves_another_table_is_not_measured(tmp_path: Path, database: str, statement: str) -> None:
    done = measured(tmp_path, database, statement=statement, rejects=4)
    assert done.returncode == 1
    assert "WrongAnswerError" in done.stderr
    assert "by hand gave" in done.stderr


def test_a_peer_that_loses_a_reject_is_not_measured(tmp_path: Path, database: str) -> None:
    done = measured(tmp_path, database, statement=UNTOUCHED, rejects=3)
    assert done.returncode == 1
    assert "handmade kept 3 rejects, and not 4" in done.stderr


def test_whoever_loads_postgres_here_leaves_the_same_table(tmp_path: Path, database: str) -> None:
    from benchmarks.by_hand.flights import write_flights
    from benchmarks.flight_table import contents
    from benchmarks.flights import contestants
    from examples.flights_import import flights_csv

    flights = tmp_path / "flights.csv"
    write_flights(flights_csv(), flights, 5000)
    with flights.open(newline="") as file:
        departed = sum(line["dep_time"] not in ("", "NA") for line in csv.DictReader(file))
    assert 0 < departed < 5000
    left = set[object]()
    for contestant in contestants(database, tmp_path).values():
        with psycopg.connect(database) as connection:
            connection.execute("TRUNCATE flights")
        assert contestant.run(flights) == departed, contestant.name
        left.add(contents(database, "flights"))
    assert len(left) == 1


def test_the_script_measures_its_contestants() -> None:
    command = [sys.executable, "-W", "error", "-m", "benchmarks.flights", "--rounds=1", "--scale=0.001", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert len({(row["figure"], row["contestant"]) for row in rows}) == len(rows) == 11
    assert all(row["amount"] > 0 for row in rows)


def test_a_peer_that_fails_is_named_with_what_it_wrote_and_the_others_are_measured() -> None:
    """Here the interpreter of the peers is this one, in which bytewax is not installed."""
    start = (
        "import sys, benchmarks.environments as environments, pathlib; "
        "environments.flights_interpreter_of = lambda peer: pathlib.Path(sys.executable); "
        "import benchmarks.flights as flights; flights.main()"
    )
    options = ["--peers", "bytewax", "--peer-records=2000", "--rounds=1", "--json"]
    command = [sys.executable, "-W", "error", "-c", start, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "bytewax is not measured: it failed" in done.stderr
    assert "No module named 'bytewax'" in done.stderr
    assert [row["contestant"] for row in json.loads(done.stdout)][:2] == [
        r"psql \copy of the clean rows",
        "mainstem, frames",
    ]


def test_an_environment_that_is_not_there_is_named_with_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import environments

    monkeypatch.setattr(environments, "ROOT", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"run `make \.peers/flights-beam/\.ready`"):
        environments.flights_interpreter_of("beam")
