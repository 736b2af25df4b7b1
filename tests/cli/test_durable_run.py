"""``mainstem run --run-id``: ended and started again, at whatever moment, it loads each record once."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from pathlib import Path

import pytest
from tests.cli.conftest import Run, Write, started
from tests.cli.durable_shop import LOADED, ORDERS, REJECTED, SHOP, loaded, write_orders

from mainstem.store.model import RejectQuery, RejectState, RunStatus
from mainstem.store.open import open_store

PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
DAILY = ["run", "shop.py:daily", "--run-id", "monday", "--commit-every", "100"]


@pytest.fixture(autouse=True)
def _shop(write: Write, tmp_path: Path) -> None:
    write("shop.py", SHOP)
    write_orders(tmp_path)


def rejected(folder: Path) -> list[int | None]:
    store = open_store(folder / "mainstem.db")
    try:
        return sorted(each.index for each in store.rejects(RejectQuery()) if each.index is not None)
    finally:
        store.close()


def status(folder: Path) -> RunStatus:
    store = open_store(folder / "mainstem.db")
    try:
        return store.runs(run_id="monday")[0].status
    finally:
        store.close()


def test_the_closing_lines_say_the_guarantee_the_store_and_how_to_look_at_the_rejects(mainstem_here: Run) -> None:
    ran = mainstem_here(*DAILY, "--guarantee", "exactly-once")
    assert ran.returncode == 0, ran.stderr
    assert "durable: run monday, exactly-once, 21 batches committed, kept in sqlite:///mainstem.db" in ran.stdout
    assert f"{len(REJECTED)} rejected ({len(REJECTED)} open)" in ran.stdout
    assert "to look at them: mainstem rejects list --run monday" in ran.stdout
    assert "to go on" not in ran.stdout


def test_a_run_that_has_completed_is_exit_code_0_and_loads_nothing(mainstem_here: Run, tmp_path: Path) -> None:
    mainstem_here(*DAILY)
    again = mainstem_here(*DAILY)
    assert (again.returncode, again.stdout) == (0, "")
    assert "run 'monday' of pipeline 'daily' has completed on 20" in again.stderr
    assert "give another --run-id" in again.stderr
    assert loaded(tmp_path) == sorted(LOADED)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_the_run_and_the_command_that_it_shows_goes_on(
    mainstem_command: Run, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    (tmp_path / "hold").touch()
    with started(tmp_path, *DAILY, "--set", "hold=true", preexec_fn=_heed_interrupts, **PIPES) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        process.send_signal(number)
        (tmp_path / "hold").unlink()
        stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, "Traceback" in stderr) == (code, False), stderr
    assert status(tmp_path) is RunStatus.CANCELLED
    assert "daily: cancelled in" in stdout
    command = "mainstem run shop.py:daily --set hold=true --run-id monday --commit-every 100"
    assert f"to go on after the last batch: {command}\n" in stdout
    kept = len(loaded(tmp_path))
    resumed = mainstem_command(*command.split()[1:])
    assert resumed.returncode == 0, resumed.stderr
    assert 0 < kept < len(LOADED)
    assert "resumed after batch " in resumed.stdout
    assert ["total", f"{ORDERS:,}", f"{len(LOADED):,}"] in [line.split()[:3] for line in resumed.stdout.splitlines()]
    assert loaded(tmp_path) == sorted(LOADED)
    assert rejected(tmp_path) == sorted(REJECTED)


def test_a_second_sigterm_ends_a_function_that_blocks(mainstem_command: Run, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    with started(tmp_path, *DAILY, "--set", "hold=true", **PIPES) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "holding\n"
        process.send_signal(signal.SIGTERM)
        for line in process.stderr:
            if "again stops at once" in line:
                break
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=20)
    assert (process.returncode, "Traceback" in stderr) == (143, False), stderr
    assert status(tmp_path) is RunStatus.CANCELLED
    (tmp_path / "hold").unlink()
    assert mainstem_command(*DAILY).returncode == 0
    assert loaded(tmp_path) == sorted(LOADED)


def test_signals_at_random_times_lose_and_double_nothing(mainstem_command: Run, tmp_path: Path) -> None:
    seed = int(os.environ.get("MAINSTEM_SEED") or random.SystemRandom().randrange(1 << 32))
    again = f"MAINSTEM_SEED={seed} python -m pytest tests/cli/test_durable_run.py -k random_times"
    times = random.Random(seed)
    ends: list[int] = []
    for _ in range(8):
        number = times.choice([signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
        with started(tmp_path, *DAILY, "--quiet", preexec_fn=_heed_interrupts, **PIPES) as process:
            try:
                process.wait(times.uniform(0.1, 0.8))
            except subprocess.TimeoutExpired:
                process.send_signal(number)
            process.communicate(timeout=20)
        ends.append(process.returncode)
    ended = mainstem_command(*DAILY)
    assert ended.returncode == 0, (again, ends, ended.stderr)
    assert loaded(tmp_path) == sorted(LOADED), (again, ends)
    assert rejected(tmp_path) == sorted(REJECTED), (again, ends)


def _heed_interrupts() -> None:
    """A test that was itself started in the background ignores Ctrl-C, and its children would."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_run_that_somebody_works_on_is_exit_code_4(mainstem_command: Run, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    with started(tmp_path, *DAILY, "--set", "hold=true", **PIPES) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        second = mainstem_command(*DAILY)
    assert (second.returncode, second.stdout) == (4, "")
    assert f"is being worked on by process {process.pid}" in second.stderr


def test_a_changed_input_is_refused_until_it_is_forced(mainstem_here: Run, tmp_path: Path) -> None:
    assert mainstem_here(*DAILY, "--max-rejects", "5").returncode == 1
    orders = tmp_path / "orders.csv"
    orders.write_text(orders.read_text().replace("1,0.5", "1,0.7"))
    refused = mainstem_here(*DAILY)
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "the input is not the one that run 'monday' of pipeline 'daily' began with" in refused.stderr
    assert "go on all the same with --force" in refused.stderr
    assert mainstem_here(*DAILY, "--force").returncode == 0
    assert loaded(tmp_path) == sorted(LOADED)


def test_a_changed_pipeline_is_refused_with_the_difference(mainstem_here: Run) -> None:
    mainstem_here(*DAILY, "--max-rejects", "5")
    refused = mainstem_here(*DAILY, "--set", "database=sqlite:///other.db")
    assert refused.returncode == 3
    assert "stage 'load': table.path is 'other.db'; it was 'orders.db'" in refused.stderr


def test_a_guarantee_that_cannot_be_given_is_refused(mainstem_here: Run, write: Write) -> None:
    write("loads.py", "from mainstem import create_etl_pipeline\nflow = create_etl_pipeline(lambda: [1], int, print)")
    refused = mainstem_here("run", "loads.py:flow", "--run-id", "x", "--guarantee", "exactly-once")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "cannot run exactly-once" in refused.stderr


def test_what_is_no_store_is_refused(mainstem_here: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("milk, bread\n" * 100)
    for place, message in [
        ("notes.db", "notes.db: file is not a database"),
        ("missing/runs.db", "there is no folder"),
        ("mysql://host/runs", "the scheme 'mysql' is none of these"),
        (":memory:", "a store in memory is gone when the process ends"),
    ]:
        refused = mainstem_here(*DAILY, "--store", place)
        assert (refused.returncode, refused.stdout) == (3, "")
        assert message in refused.stderr
        assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--commit-every", "2 days"], "--commit-every is a number of records, such as 10000, or a time"),
        (["--commit-every", "0"], "--commit-every must be"),
        (["--commit-every", "0s"], "--commit-every must be longer than nothing"),
        (["--commit-every", "999999999999h"], "longer than Python can count"),
        (["--max-rejects=-1"], "--max-rejects"),
        (["--max-reject-rate", "2"], "--max-reject-rate"),
        (["--run-id", ""], "--run-id must have between 1 and 200 characters"),
        (["--run-id", "a\x1b[31m"], "--run-id cannot have control characters"),
        (["--guarantee", "twice"], "twice"),
    ],
)
def test_options_that_are_out_of_range_are_wrong_usage(mainstem_here: Run, options: list[str], message: str) -> None:
    named = [] if options[0] == "--run-id" else ["--run-id", "monday"]
    ran = mainstem_here("run", "shop.py:daily", *named, *options)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert message in ran.stderr
    assert "\x1b" not in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("option", [["--force"], ["--commit-every", "10"], ["--guarantee", "exactly-once"]])
def test_options_of_durable_runs_need_a_run_to_be_durable(mainstem_here: Run, option: list[str]) -> None:
    ran = mainstem_here("run", "shop.py:daily", *option)
    assert ran.returncode == 2
    assert f"{option[0]} is for a durable run: give a --run-id, a --store or both" in ran.stderr


def test_rejects_beyond_the_limit_fail_the_run_and_show_how_to_go_on(mainstem_here: Run) -> None:
    ran = mainstem_here(*DAILY, "--max-rejects", "5")
    assert ran.returncode == 1
    assert "6 records are rejected, and max_rejects is 5" in ran.stderr
    command = "mainstem run shop.py:daily --run-id monday --commit-every 100 --max-rejects 5"
    assert f"to go on after the last batch: {command}\n" in ran.stdout


def test_secrets_are_neither_shown_nor_kept(mainstem_here: Run, tmp_path: Path) -> None:
    secrets = ["--set", "password=hunter2hunter2", "--max-rejects", "5"]
    ran = mainstem_here(*DAILY, *secrets)
    assert "--set 'password=<secret>'" in ran.stdout
    assert "hunter2" not in ran.stdout + ran.stderr
    for file in tmp_path.glob("mainstem.db*"):
        assert b"hunter2" not in file.read_bytes()


def test_json_says_where_the_run_stands(mainstem_command: Run) -> None:
    failed = json.loads(mainstem_command(*DAILY, "--max-rejects", "5", "--json").stdout)["durable"]
    assert (failed["status"], failed["attempt"], failed["resumed_after_batch"]) == ("failed", 1, None)
    assert failed["resume_command"].startswith("mainstem run shop.py:daily --run-id monday")
    resumed = json.loads(mainstem_command(*DAILY, "--json").stdout)
    durable = resumed["durable"]
    assert (durable["run_id"], durable["status"], durable["attempt"]) == ("monday", "completed", 2)
    assert durable["resumed_after_batch"] == failed["batches_committed"] > 0
    assert durable["records_read_before"] == 100 * failed["batches_committed"]
    assert durable["rejects"] == {"open": len(REJECTED)}
    assert (durable["guarantee"], durable["resume_command"]) == ("exactly-once", None)
    assert resumed["records_in"] == ORDERS


def test_more_rejects_than_are_held_in_memory_are_counted_exactly(mainstem_here: Run, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("id,amount\n" + "".join(f"{number},x\n" for number in range(12_345)))
    ran = mainstem_here("run", "shop.py:daily", "--run-id", "monday")
    assert ran.returncode == 0, ran.stderr
    assert "12,345 rejected (12,345 open)" in ran.stdout
    assert "of the first 10,000" in ran.stdout


def test_records_that_hold_escape_sequences_are_shown_escaped(mainstem_here: Run, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("id,amount\n1,\x1b]52;c;aGk=\x07\u202e\n")
    ran = mainstem_here(*DAILY)
    assert ran.returncode == 0
    assert not set("\x1b\x07\u202e") & set(ran.stdout + ran.stderr)
    assert "1 rejected (1 open)" in ran.stdout


def test_replayed_rejects_are_told_from_open_ones(mainstem_here: Run, tmp_path: Path) -> None:
    mainstem_here(*DAILY, "--max-rejects", "5")
    store = open_store(tmp_path / "mainstem.db")
    store.change_rejects(RejectQuery(ids=[1]), RejectState.DISCARDED, among=[RejectState.OPEN])
    store.close()
    ran = mainstem_here(*DAILY)
    assert f"{len(REJECTED)} rejected ({len(REJECTED) - 1} open, 1 discarded)" in ran.stdout
