"""``mainstem runs``: where each run stands, and going on with one."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from tests.cli.conftest import Run, Write, started
from tests.cli.durable_shop import LOADED, ORDERS, REJECTED, SHOP, loaded, write_orders

from mainstem import Pipeline

STOPPED = ["run", "shop.py:daily", "--run-id", "monday", "--commit-every", "100", "--max-rejects", "5"]


@pytest.fixture(autouse=True)
def _shop(write: Write, tmp_path: Path) -> None:
    write("shop.py", SHOP)
    write_orders(tmp_path)


def test_a_killed_run_is_listed_as_interrupted_and_resumed_by_its_name(mainstem_here: Run, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    arguments = [*STOPPED[:-2], "--set", "hold=true"]
    with started(tmp_path, *arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        active = mainstem_here("runs", "list", "--json")
        refused = mainstem_here("runs", "resume", "monday")
        process.kill()
    assert [each["state"] for each in json.loads(active.stdout)] == ["running"]
    assert (refused.returncode, "is being worked on" in refused.stderr) == (4, True)
    (tmp_path / "hold").unlink()
    listed = mainstem_here("runs", "list", "--status", "interrupted")
    assert "interrupted" in listed.stdout
    assert "to go on   mainstem runs resume monday" in mainstem_here("runs", "show", "monday").stdout
    resumed = mainstem_here("runs", "resume", "monday")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stderr.startswith("mainstem run shop.py:daily --set hold=true --run-id monday\n")
    assert "resumed after batch " in resumed.stdout
    assert loaded(tmp_path) == sorted(LOADED)
    again = mainstem_here("runs", "resume", "monday")
    assert (again.returncode, again.stdout) == (0, "")
    assert "has completed on" in again.stderr
    assert mainstem_here("runs", "list", "--status", "interrupted").stdout == "there are no such runs\n"


def test_a_run_is_shown_with_its_counts_over_all_attempts(mainstem_here: Run) -> None:
    mainstem_here(*STOPPED)
    failed = mainstem_here("runs", "show", "monday").stdout
    assert "state      failed" in failed
    assert "error      RejectLimitError: 6 records are rejected" in failed
    assert mainstem_here(*STOPPED[:-2]).returncode == 0
    shown = mainstem_here("runs", "show", "monday").stdout
    assert "attempts   2, the last by process" in shown
    assert f"committed  21 batches, {ORDERS:,} records read" in shown
    assert f"rejects    {len(REJECTED)} open" in shown
    assert "target     shop.py:daily" in shown
    document = json.loads(mainstem_here("runs", "show", "monday", "--json").stdout)
    assert (document["state"], document["rejects"]) == ("completed", {"open": len(REJECTED)})
    assert document["counts"]["parse"]["records_in"] == ORDERS


def test_settings_that_were_secret_have_to_be_given_again(mainstem_here: Run, tmp_path: Path) -> None:
    mainstem_here(*STOPPED, "--set", "password=hunter2hunter2")
    refused = mainstem_here("runs", "resume", "monday")
    assert (refused.returncode, "give --set password=... again" in refused.stderr) == (2, True)
    resumed = mainstem_here("runs", "resume", "monday", "--set", "password=hunter2hunter2")
    assert resumed.returncode == 0, resumed.stderr
    assert "hunter2" not in resumed.stderr
    assert loaded(tmp_path) == sorted(LOADED)


def test_a_run_that_was_not_started_from_the_command_line_says_how(mainstem_here: Run, tmp_path: Path) -> None:
    pipeline = Pipeline[list[str], list[int]]("digits").map(int)
    pipeline.run(["x"], store=tmp_path / "mainstem.db", run_id="digits of x")
    pipeline.run(["x"], store=tmp_path / "mainstem.db", run_id="ada's", target="ada's digits")
    for name in ("digits of x", "ada's"):
        refused = mainstem_here("runs", "resume", name)
        assert refused.returncode == 2
        assert f"mainstem run TARGET --run-id {shlex.quote(name)}" in refused.stderr


def test_a_replay_that_was_ended_is_gone_on_with_as_one(mainstem_here: Run, tmp_path: Path) -> None:
    mainstem_here(*STOPPED, "--store", "runs.db")
    mainstem_here(*STOPPED[:-2], "--store", "runs.db", "--quiet")
    (tmp_path / "orders.db").rename(tmp_path / "gone.db")
    (tmp_path / "orders.db").mkdir()
    replayed = mainstem_here("rejects", "replay", "--run", "monday", "--state", "open", "--store", "runs.db")
    assert replayed.returncode != 0
    again = "mainstem rejects replay --run monday --store runs.db"
    assert f"to go on   {again}\n" in mainstem_here("runs", "show", "monday (replay)", "--store", "runs.db").stdout
    refused = mainstem_here("runs", "resume", "monday (replay)", "--store", "runs.db")
    assert (refused.returncode, f"is a replay, which {again} goes on with" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["show", "mondy"], 1, "there is no run 'mondy' in sqlite:///mainstem.db; did you mean 'monday'?"),
        (["resume", "mondy"], 1, "did you mean 'monday'?"),
        (["show", "monday", "--pipeline", "weekly"], 1, "there is no run 'monday' of pipeline 'weekly'"),
        (["show", "-x"], 1, "there is no run '-x'"),
        (["list", "--status", "done"], 2, "--status: no run is 'done'"),
        (["list", "--limit", "0"], 2, "--limit"),
        (["list", "--store", "none.db"], 1, "there is no store 'none.db'"),
        (["list", "--store", "shop.py"], 1, "not a database"),
        (["resume"], 2, "requires an argument"),
    ],
)
def test_wrong_input_is_one_clear_message(mainstem_here: Run, arguments: list[str], code: int, message: str) -> None:
    mainstem_here(*STOPPED)
    ran = mainstem_here("runs", *arguments)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr


def test_runs_of_one_name_are_told_apart_by_their_pipeline(mainstem_here: Run, write: Write) -> None:
    mainstem_here(*STOPPED)
    write("weekly.py", SHOP.replace('"daily"', '"weekly"'))
    mainstem_here("run", "weekly.py:daily", "--run-id", "monday", "--set", "database=sqlite:///weekly.db", "--quiet")
    both = mainstem_here("runs", "show", "monday")
    assert (both.returncode, "say which with --pipeline ('weekly', 'daily')" in both.stderr) == (2, True)
    assert "state      completed" in mainstem_here("runs", "show", "monday", "--pipeline", "weekly").stdout
