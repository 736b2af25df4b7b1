"""``mainstem rejects``: from a record that was rejected to the same record, mended, in the target."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Run, Write
from tests.cli.durable_shop import LOADED, REJECTED, SHOP, loaded, write_orders

FIRST = min(REJECTED)


@pytest.fixture(autouse=True)
def _run(write: Write, tmp_path: Path, mainstem_here: Run) -> None:
    write("shop.py", SHOP)
    write_orders(tmp_path)
    ran = mainstem_here("run", "shop.py:daily", "--run-id", "monday", "--quiet")
    assert ran.returncode == 0, ran.stderr


def listed(run: Run, *options: str) -> list[dict[str, object]]:
    ran = run("rejects", "list", "--json", *options)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)  # type: ignore[no-any-return]


def test_a_mended_reject_is_loaded_once_and_the_others_stay_open(mainstem_here: Run, tmp_path: Path) -> None:
    edited = mainstem_here("rejects", "edit", "1", "--set", "amount=-1.5", "--by", "ada")
    assert edited.returncode == 0, edited.stderr
    assert "reject 1: {'id': '3', 'amount': '-1.5'}" in edited.stdout
    assert "1 reject approved" in mainstem_here("rejects", "approve", "1").stdout
    replayed = mainstem_here("rejects", "replay", "--run", "monday")
    assert replayed.returncode == 0, replayed.stderr
    assert "1 replayed" in replayed.stdout
    assert loaded(tmp_path) == sorted({*LOADED, FIRST})
    again = mainstem_here("rejects", "replay", "--run", "monday")
    assert (again.returncode, "there is nothing to replay" in again.stdout) == (0, True)
    assert loaded(tmp_path) == sorted({*LOADED, FIRST})
    assert [each["state"] for each in listed(mainstem_here, "--limit", "2")] == ["replayed", "open"]
    shown = mainstem_here("rejects", "show", "1").stdout
    assert "state     replayed since" in shown
    assert "edited    {'id': '3', 'amount': '-1.5'}" in shown


def test_what_fails_again_is_exit_code_1_and_stays_open(mainstem_here: Run) -> None:
    mainstem_here("rejects", "approve", "1-3")
    replayed = mainstem_here("rejects", "replay", "--run", "monday")
    assert replayed.returncode == 1
    assert "3 failed again, and are open" in replayed.stdout


def test_a_mended_pipeline_is_given_as_target(mainstem_here: Run, write: Write, tmp_path: Path) -> None:
    write("shop.py", SHOP.replace('float(row["amount"])', 'float(row["amount"].replace("x", "0"))'))
    replayed = mainstem_here("rejects", "replay", "shop.py:daily", "--run", "monday", "--state", "open")
    assert replayed.returncode == 0, replayed.stderr + replayed.stdout
    dropped = {number for number in REJECTED if number % 5 == 0}
    assert f"{len(REJECTED)} replayed, {len(dropped)} of them dropped on the way" in replayed.stdout
    assert loaded(tmp_path) == sorted(LOADED | REJECTED - dropped)


def test_a_changed_pipeline_is_exit_code_3_until_it_is_forced(mainstem_here: Run, write: Write) -> None:
    write("shop.py", SHOP.replace('name="keep"', 'name="choose"'))
    replay = ["rejects", "replay", "--run", "monday", "--state", "open"]
    refused = mainstem_here(*replay)
    assert refused.returncode == 3
    assert "stage 3 is named 'choose'; it was 'keep'" in refused.stderr
    assert "go on all the same with --force" in refused.stderr
    assert "failed again" in mainstem_here(*replay, "--force").stdout


def test_filters_and_numbers_say_which_are_meant(mainstem_here: Run) -> None:
    assert len(listed(mainstem_here)) == len(REJECTED)
    assert len(listed(mainstem_here, "--ids", "1,3-5")) == 4
    assert listed(mainstem_here, "--stage", "parse", "--code", "ValueError", "--pipeline", "daily", "--limit", "1")
    assert f"{len(REJECTED)} rejects discarded" in mainstem_here("rejects", "discard", "--run", "monday").stdout
    assert listed(mainstem_here, "--state", "open") == []
    assert "2 rejects reopened" in mainstem_here("rejects", "reopen", "2", "4").stdout
    assert [each["id"] for each in listed(mainstem_here, "--state", "open")] == [2, 4]
    table = mainstem_here("rejects", "list", "--limit", "3").stdout
    assert f"{len(REJECTED)} rejects, of which the first 3 are shown (--limit)" in table
    assert "there are no such rejects" in mainstem_here("rejects", "list", "--stage", "load").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["show", "999"], 1, "reject 999: there is none of this number"),
        (["show", "one"], 2, "the number of a reject is one such as 3, and several are 3,5 or 10-20, not 'one'"),
        (["show", "1-2"], 2, "one reject is meant"),
        (["approve"], 2, "say which rejects are meant"),
        (["approve", "1", "--run", "monday"], 2, "either by their numbers or by a filter, not both"),
        (["approve", "9-2"], 2, "is no range"),
        (["approve", "1-999999999"], 2, "is no range of at most"),
        (["approve", "1", "999"], 1, "reject 999"),
        (["list", "--state", "opne"], 2, "there is no state 'opne'; did you mean 'open'?"),
        (["list", "--run", "mondy"], 1, "there is no run 'mondy' in sqlite:///mainstem.db; did you mean 'monday'?"),
        (["list", "--run", "-x"], 1, "there is no run '-x'"),
        (["export", "--run", "mondy"], 1, "did you mean 'monday'?"),
        (["discard", "--run", "mondy"], 1, "did you mean 'monday'?"),
        (["list", "--limit", "0"], 2, "--limit is a number of rejects, at least 1, not 0"),
        (["list", "--store", "none.db"], 1, "there is no store 'none.db'"),
        (["edit", "1", "--set", "colour"], 2, "--set takes field=value, and was given 'colour'"),
        (["edit", "1", "--record", "{"], 2, "--record is no JSON"),
        (["edit", "1", "--record", '{"~t": 3}'], 2, "--record cannot be kept"),
        (["edit", "1", "--record", "NaN"], 2, "--record cannot be kept"),
        (["edit", "1-2", "--set", "id=1"], 2, "one reject is meant, not '1-2'"),
        (["edit", "1", "--record", "{}", "--set", "id=1"], 2, "either --set, for single fields, or --record"),
        (["edit", "1"], 2, "set EDITOR to edit it in"),
        (["edit", "999", "--set", "id=1"], 1, "reject 999"),
        (["export", "--format", "xml"], 2, "xml"),
        (["export", "--output", "no/such/folder.csv"], 1, "folder"),
        (["replay"], 2, "say whose rejects are replayed: --run"),
        (["replay", "--run", "mondy"], 1, "there is no run 'mondy' in sqlite:///mainstem.db; did you mean 'monday'?"),
        (["replay", "--run", "monday", "--ids", "1"], 2, "approve those of these numbers"),
        (["replay", "shop.py:dayly", "--run", "monday", "--state", "open"], 2, "did you mean 'daily'?"),
        (["replay", "--run", "monday", "--state", "discarded"], 0, ""),
        (["mend"], 2, "mend"),
    ],
)
def test_wrong_input_is_one_clear_message(mainstem_here: Run, arguments: list[str], code: int, message: str) -> None:
    ran = mainstem_here("rejects", *arguments, VISUAL="", EDITOR="")
    assert ran.returncode == code, ran.stderr
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr
    said = [line for line in ran.stderr.splitlines() if not line.startswith("with shop.py:")]
    assert len(said) == (1 if code else 0), ran.stderr


def test_a_whole_record_may_be_given_and_values_may_begin_with_a_dash(mainstem_here: Run) -> None:
    ran = mainstem_here("rejects", "edit", "1", "--record", '{"id": "3", "amount": "1"}')
    assert "reject 1: {'id': '3', 'amount': '1'}" in ran.stdout
    assert "reject 2: -5" in mainstem_here("rejects", "edit", "2", "--record", "-5").stdout
    assert "reject 3: '-x'" in mainstem_here("rejects", "edit", "3", '--record="-x"').stdout


def test_a_field_that_was_not_there_may_be_misspelt(mainstem_here: Run) -> None:
    ran = mainstem_here("rejects", "edit", "1", "--set", "amuont=1", "--set", "amount=2")
    assert (ran.returncode, "{'id': '3', 'amount': '2', 'amuont': 1}" in ran.stdout) == (0, True)
    assert ran.stderr == "mainstem: the record had no field 'amuont', and has one now; did you mean 'amount'?\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["edit", "1", "--set", "amount=1", "--target", "broken.py:daily"],
        ["replay", "broken.py:daily", "--run", "monday", "--state", "open"],
    ],
)
def test_what_the_users_code_raises_is_shown_without_our_frames(
    mainstem_here: Run, write: Write, arguments: list[str]
) -> None:
    write("broken.py", "raise LookupError('no such shop')")
    ran = mainstem_here("rejects", *arguments)
    assert ran.returncode == 1
    assert "LookupError: no such shop" in ran.stderr
    assert ran.stderr.count('File "') == 1
    assert ran.stderr.endswith("of libraries left out; --traceback shows everything)\n")
    assert mainstem_here("rejects", *arguments, "--traceback").stderr.count('File "') > 1


def test_a_target_that_is_another_pipeline_is_refused(mainstem_here: Run, write: Write) -> None:
    write("weekly.py", SHOP.replace('"daily"', '"weekly"'))
    ran = mainstem_here("rejects", "replay", "weekly.py:daily", "--run", "monday", "--state", "open")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "weekly.py:daily is pipeline 'weekly', and run 'monday' is of pipeline 'daily'" in ran.stderr


def test_a_record_is_edited_in_the_users_editor(mainstem_here: Run, write: Write, tmp_path: Path) -> None:
    write(
        "editor.py",
        """
        import os, stat, sys
        from pathlib import Path

        file = Path(sys.argv[-1])
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        Path("edited-file").write_text(str(file))
        file.write_text(file.read_text().replace('"x"', '"7"'))
        """,
    )
    ran = mainstem_here("rejects", "edit", "1", VISUAL="", EDITOR=f"{sys.executable} editor.py")
    assert ran.returncode == 0, ran.stderr
    assert "reject 1: {'id': '3', 'amount': '7'}" in ran.stdout
    assert not Path((tmp_path / "edited-file").read_text()).exists()
    same = mainstem_here("rejects", "edit", "2", VISUAL="", EDITOR="true")
    assert (same.returncode, same.stdout) == (0, "nothing was changed\n")
    failed = mainstem_here("rejects", "edit", "2", VISUAL="", EDITOR="false")
    assert (failed.returncode, "ended with code 1: nothing was changed" in failed.stderr) == (2, True)
    missing = mainstem_here("rejects", "edit", "2", VISUAL="", EDITOR="no-such-editor")
    assert (missing.returncode, "cannot be started" in missing.stderr) == (2, True)
    assert [each["state"] for each in listed(mainstem_here, "--ids", "2")] == ["open"]


def test_rejects_are_exported_whole(mainstem_here: Run, tmp_path: Path) -> None:
    lines = mainstem_here("rejects", "export").stdout.splitlines()
    assert [json.loads(line)["index"] for line in lines] == sorted(REJECTED)
    table = mainstem_here("rejects", "export", "--format", "csv", "--ids", "1-2").stdout
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [json.loads(row["record"]) for row in rows] == [{"id": "3", "amount": "x"}, {"id": "100", "amount": "x"}]
    ran = mainstem_here("rejects", "export", "--format", "json", "--output", "-out.json")
    assert f"{len(REJECTED)} rejects written into -out.json" in ran.stderr
    assert len(json.loads((tmp_path / "-out.json").read_text())) == len(REJECTED)


def test_records_of_a_class_are_edited_once_the_class_is_loaded(mainstem_here: Run, write: Write) -> None:
    write(
        "dated.py",
        """
        from dataclasses import dataclass
        from datetime import date
        from decimal import Decimal
        from mainstem import create_etl_pipeline

        @dataclass
        class Sale:
            day: date
            price: Decimal
            note: str | None

        def refuse(sale: Sale) -> Sale:
            raise LookupError("no such shop")

        flow = create_etl_pipeline(
            lambda: [Sale(date(2026, 1, 2), Decimal("1.50"), None)], refuse, print, name="sales", continue_on_error=True
        )
        """,
    )
    mainstem_here("run", "dated.py:flow", "--run-id", "sales", "--store", "sales.db")
    unknown = mainstem_here("rejects", "edit", "1", "--set", "price=2", "--store", "sales.db")
    assert (unknown.returncode, "--target module:attribute" in unknown.stderr) == (1, True)
    edit = ["rejects", "edit", "1", "--store", "sales.db", "--target", "dated.py:flow"]
    wrong = mainstem_here(*edit, "--set", "day=tomorrow")
    assert (wrong.returncode, "it is a date, and this is none" in wrong.stderr) == (2, True)
    edited = mainstem_here(*edit, "--set", "price=2.25", "--set", "day=2026-03-04", "--set", "note=late")
    assert "Sale(2026-03-04, Decimal('2.25'), 'late')" in edited.stdout, edited.stderr


def test_escape_sequences_in_records_are_shown_escaped(mainstem_here: Run, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("id,amount\n1,\x1b]52;c;aGk=\x07\u202e\n")
    mainstem_here("run", "shop.py:daily", "--run-id", "escape", "--store", "escape.db", "--quiet")
    for form in (
        ["list"],
        ["list", "--json"],
        ["show", "1"],
        ["show", "1", "--json"],
        ["edit", "1", "--set", "id=\x1b"],
    ):
        ran = mainstem_here("rejects", *form, "--store", "escape.db")
        assert ran.returncode == 0, ran.stderr
        assert not set("\x1b\x07\u202e") & set(ran.stdout + ran.stderr), form


def test_a_look_leaves_no_files(mainstem_here: Run, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    mainstem_here("rejects", "list")
    assert sorted(tmp_path.iterdir()) == before
