"""The benchmarks run, and end where an answer is wrong. No time is looked at, and no peer is needed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.extras


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("script", "contestants"),
    [
        ("records", 9),
        ("async_map", 3),
        ("async_overhead", 3),
        ("fixed_cost", 2),
        ("memory", 5),
        ("processes", 8),
        ("csv_files", 2),
        ("durable", 6),
        ("observe", 18),
        ("web_page", 17),
    ],
)
def test_each_script_measures_its_contestants(script: str, contestants: int) -> None:
    done = run(f"benchmarks.{script}", "--rounds=1", "--scale=0.002", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert len({(row["figure"], row["contestant"], row["records"]) for row in rows}) == len(rows) == contestants
    # A process of little memory may peak no higher than the bare interpreter: only times are sure to be above nothing.
    assert all(row["amount"] > 0 for row in rows if row["clock"])


def test_everything_comes_into_one_aligned_table() -> None:
    done = run("benchmarks", "fixed_cost", "csv_files", "--rounds=1", "--scale=0.002")
    assert done.returncode == 0, done.stderr
    about, empty, *table = done.stdout.splitlines()
    assert f"CPython {sys.version.split()[0]}" in about
    assert "cores" in about
    assert empty == ""
    assert len({len(line) for line in table}) == 1, done.stdout
    assert [line.split("|")[1].strip() for line in table[2:]] == ["3-stage run of one record"] * 2 + ["CSV to CSV"] * 2


def test_a_name_that_is_no_benchmark_is_refused_with_those_there_are() -> None:
    done = run("benchmarks", "rekords")
    assert done.returncode == 2
    assert "there is no rekords" in done.stderr
    assert "csv_files, durable, observe, web_page, streamable" in done.stderr


def test_a_wrong_answer_ends_the_benchmark() -> None:
    from benchmarks.measure import Contestant, Figure, Settings, WrongAnswerError, compare

    figure = Figure("sum", 10, lambda count: list(range(count)), Contestant("sum", sum))
    assert [row.contestant for row in compare(figure, [Contestant("the same", sum)], Settings(rounds=1))] == [
        "the same"
    ]
    with pytest.raises(WrongAnswerError, match="sum: last gave 9, and not 45"):
        compare(figure, [Contestant("last", max)], Settings(rounds=1))


def test_what_is_seen_of_an_answer_is_compared_in_its_place() -> None:
    from benchmarks.measure import Contestant, Figure, Settings, WrongAnswerError, compare

    table: list[int] = []

    def filled(records: list[int], *, by: int) -> int:
        table[:] = [record * by for record in records]
        return by

    def contestant(by: int) -> Contestant:
        return Contestant(f"times {by}", lambda records: filled(records, by=by), seen=lambda _: [*table])

    figure = Figure("fill", 3, lambda count: list(range(count)), contestant(1))
    assert len(compare(figure, [contestant(1)], Settings(rounds=2))) == 1
    with pytest.raises(WrongAnswerError, match=r"fill: times 2 gave \[0, 2, 4\], and not \[0, 1, 2\]"):
        compare(figure, [contestant(2)], Settings(rounds=1))


def test_slow_contestants_get_fewer_records_beside_a_base_that_gets_as_few() -> None:
    from benchmarks.measure import Contestant, Figure, Settings, compare

    given: list[tuple[str, int]] = []

    def note(name: str, records: list[int]) -> int:
        given.append((name, len(records)))
        return 0

    figure = Figure("note", 10, lambda count: [0] * count, Contestant("base", lambda records: note("base", records)))
    quick = Contestant("quick", lambda records: note("quick", records))
    slow = Contestant("slow", lambda records: note("slow", records), records=5)
    rows = compare(figure, [quick, slow], Settings(rounds=2), show_base=True)
    quick_rounds = [("base", 10), ("quick", 10), ("quick", 10), ("base", 10)]  # each begins with another one
    assert given == [*quick_rounds, ("base", 5), ("slow", 5), ("slow", 5), ("base", 5)]
    assert [(row.contestant, row.records) for row in rows] == [("base", 10), ("quick", 10), ("slow", 5)]


def test_a_row_says_whether_each_target_is_met_and_survives_the_way_between_processes() -> None:
    from benchmarks.row import Row, Target, from_json, to_json
    from benchmarks.table import markdown

    targets = (Target(1.15), Target(0.3, of="amount"))
    row = Row("records", "x", "1.0", 1_000_000, 1.2, 1.1, 1.3, "CPU", 0.25, "µs a record", targets)
    assert from_json(to_json([row])) == [row]
    assert "≤ 1.15: missed, ≤ 0.3 µs: met" in markdown([row])
    assert re.search(r"\| +1M \| +1\.20 \| +1\.10 to 1\.30 \| CPU +\| 0\.25 µs a record \|", markdown([row]))


def test_every_peer_has_its_module_and_its_pinned_requirements() -> None:
    from benchmarks.environments import GROUPS, PEERS

    modules = {path.stem for path in (ROOT / "benchmarks" / "peers").glob("*.py")} - {"__init__", "__main__"}
    assert set(PEERS) == modules
    makefile = (ROOT / "Makefile").read_text()
    assert f"PEER_GROUPS := {' '.join(GROUPS)}\n" in makefile
    for group in GROUPS:
        assert "--hash=sha256:" in (ROOT / "requirements" / f"benchmark-{group}.txt").read_text()


def test_every_peer_that_loads_the_flights_has_its_module_and_its_pinned_requirements() -> None:
    from benchmarks.environments import FLIGHTS_GROUPS, FLIGHTS_PEERS

    modules = {path.stem for path in (ROOT / "benchmarks" / "flights_peers").glob("*.py")} - {"__init__", "__main__"}
    assert set(FLIGHTS_PEERS) == modules
    for group in FLIGHTS_GROUPS:
        assert "--hash=sha256:" in (ROOT / "requirements" / f"benchmark-{group}.txt").read_text()
