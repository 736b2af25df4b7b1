"""``mainstem why``: the fate of one record, from the ledger or by going its way again."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from tests.cli.conftest import Run, Write
from tests.cli.durable_shop import LOADED, ORDERS, SHOP, loaded, write_orders

from mainstem import BatchStage, DedupeStage, MapStage, Pipeline, TraceError, open_store
from mainstem.connect import JsonLinesSource
from mainstem.durable.why import RecordFate, RecordTrace, explain_record


@pytest.fixture
def _run(write: Write, tmp_path: Path, mainstem_here: Run) -> None:
    write("shop.py", SHOP)
    write_orders(tmp_path)
    with (tmp_path / "orders.csv").open("a") as file:
        file.write("7,1.0\n")
    assert mainstem_here("run", "shop.py:daily", "--run-id", "monday", "--quiet").returncode == 0


@pytest.mark.usefixtures("_run")
@pytest.mark.parametrize(
    ("which", "lines"),
    [
        (["--position", "3"], ["  parse rejected it: ValueError: could not", "  it is reject 1, open"]),
        (["--position", "5"], ["  parse gave Order(id=5, amount=2.5)", "  keep dropped it"]),
        (["--key", "id=1999"], ["record 1,999: ", "  load is given Order(id=1999", "so it is loaded"]),
        (["--position", "2000"], ["  keep passed it on", "  once dropped it"]),
    ],
)
def test_each_record_has_its_story(mainstem_here: Run, which: list[str], lines: list[str]) -> None:
    ran = mainstem_here("why", "--run", "monday", *which)
    assert ran.returncode == 0, ran.stderr
    for line in lines:
        assert line in ran.stdout
    assert "reads the source of shop.py:daily again, and may call its functions" in ran.stderr


@pytest.mark.usefixtures("_run")
def test_the_story_is_given_as_json(mainstem_here: Run) -> None:
    document = json.loads(mainstem_here("why", "--run", "monday", "--position", "5", "--json").stdout)
    assert [(each["stage"], each["fate"]) for each in document["steps"]] == [("parse", "gave"), ("keep", "dropped")]
    rejected = json.loads(mainstem_here("why", "--run", "monday", "--position", "3", "--json").stdout)
    assert (rejected["rejects"], rejected["functions_called_again"]) == ([1], False)


@pytest.mark.usefixtures("_run")
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--run", "monday"], 2, "say which record is meant: --position N, or --key FIELD=VALUE"),
        (["--run", "monday", "--position", "1", "--key", "id=1"], 2, "say which record is meant"),
        (["--run", "monday", "--position", "90000"], 1, "has no record 90000: it has 2,001, counted from 0"),
        (["--run", "monday", "--position=-1"], 1, "a position counts from 0"),
        (["--run", "monday", "--key", "id"], 2, "--key takes FIELD=VALUE"),
        (["--run", "monday", "--key", "id=none"], 1, "has no such record among its 2,001"),
        (["--run", "mondy", "--position", "1"], 1, "did you mean 'monday'?"),
        (["--position", "1"], 2, "--run"),
    ],
)
def test_wrong_input_is_one_clear_message(mainstem_here: Run, arguments: list[str], code: int, message: str) -> None:
    ran = mainstem_here("why", *arguments)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.usefixtures("_run")
def test_other_pipelines_and_broken_code_are_told(mainstem_here: Run, write: Write) -> None:
    write("weekly.py", SHOP.replace('"daily"', '"weekly"'))
    other = mainstem_here("why", "weekly.py:daily", "--run", "monday", "--position", "1")
    assert (other.returncode, other.stdout) == (2, "")
    assert "weekly.py:daily is pipeline 'weekly', and run 'monday' is of pipeline 'daily'" in other.stderr
    write("broken.py", "raise LookupError('no such shop')")
    broken = mainstem_here("why", "broken.py:daily", "--run", "monday", "--position", "1")
    assert (broken.returncode, broken.stdout, broken.stderr.count('File "')) == (1, "", 1)
    assert "LookupError: no such shop" in broken.stderr


def test_a_record_of_a_run_that_has_not_completed_is_loaded_if_it_is_in_a_committed_batch(
    write: Write, tmp_path: Path, mainstem_here: Run
) -> None:
    write("shop.py", SHOP)
    write_orders(tmp_path)
    mainstem_here("run", "shop.py:daily", "--run-id", "monday", "--commit-every", "100", "--max-rejects", "5")
    read = json.loads(mainstem_here("runs", "show", "monday", "--json").stdout)["counts"]["CsvSource"]["records_in"]
    last, next_ = loaded(tmp_path)[-1], next(number for number in range(read, ORDERS) if number in LOADED)
    assert 0 < last < read <= next_
    committed = mainstem_here("why", "--run", "monday", "--position", f"{last}").stdout
    assert f"the first {read:,} records of the source are committed, so it is loaded" in committed
    later = mainstem_here("why", "--run", "monday", "--position", f"{next_}").stdout
    assert f"the store knows of {read:,} records of the source that are committed, and it is not among them" in later


def numbers(folder: Path, *lines: str) -> JsonLinesSource[dict[str, int]]:
    path = folder / "numbers.jsonl"
    path.write_text("\n".join(lines))
    return JsonLinesSource(path, continue_on_error=True)


def explained(pipeline: Pipeline[None, object], position: int) -> RecordTrace:
    async def explain() -> RecordTrace:
        return await explain_record(pipeline, position=position)

    return anyio.run(explain)


def value(row: dict[str, int]) -> int:
    return row["n"]


def test_positions_count_what_the_source_could_not_read(tmp_path: Path) -> None:
    source = numbers(tmp_path, '{"n": 1}', "broken", '{"n": 3}')
    pipeline = Pipeline[None, object]("numbers").add_stage(source).map(value)
    read = explained(pipeline, 2)
    assert (read.record, read.steps[0].given) == ({"n": 3}, [3])
    unreadable = explained(pipeline, 1)
    assert [step.fate for step in unreadable.steps] == [RecordFate.REJECTED]
    assert unreadable.steps[0].error is not None


def test_positions_are_right_in_every_chunk(tmp_path: Path) -> None:
    source = numbers(tmp_path, *("broken" if number in (3, 1500) else f'{{"n": {number}}}' for number in range(2500)))
    pipeline = Pipeline[None, object]("numbers").add_stage(source).map(value)
    for position in (0, 4, 999, 1000, 1001, 1002, 1501, 2499):
        assert explained(pipeline, position).record == {"n": position}
    assert explained(pipeline, 1500).steps[0].fate is RecordFate.REJECTED


def test_a_stage_that_remembers_has_seen_the_records_before(tmp_path: Path) -> None:
    source = numbers(tmp_path, '{"n": 1}', '{"n": 2}', '{"n": 1}')
    calls: list[int] = []

    def noted(row: dict[str, int]) -> int:
        calls.append(row["n"])
        return row["n"]

    pipeline = Pipeline[None, object]("numbers").add_stage(source).map(noted).add_stage(DedupeStage[int]())
    assert [step.fate for step in explained(pipeline, 2).steps] == [RecordFate.GAVE, RecordFate.DROPPED]
    assert calls == [1, 2, 1]


def test_without_such_a_stage_only_the_record_goes_through(tmp_path: Path) -> None:
    source = numbers(tmp_path, '{"n": 1}', '{"n": 2}', '{"n": 3}')
    calls: list[int] = []
    pipeline = Pipeline[None, object]("numbers").add_stage(source).map(value).map(calls.append)
    explained(pipeline, 2)
    assert calls == [3]


def test_a_record_that_waits_for_others_is_kept(tmp_path: Path) -> None:
    source = numbers(tmp_path, '{"n": 1}', '{"n": 2}', '{"n": 3}')
    pipeline = Pipeline[None, object]("numbers").add_stage(source).map(value).add_stage(BatchStage[int](2))
    assert [step.fate for step in explained(pipeline, 2).steps] == [RecordFate.GAVE, RecordFate.KEPT]
    assert explained(pipeline, 1).steps[1].given == [[1, 2]]


def test_a_pipeline_without_a_source_cannot_be_traced() -> None:
    with pytest.raises(TraceError, match="begins with no source"):
        explained(Pipeline[None, object]("none"), 0)


def test_a_reject_of_a_later_stage_is_found_by_its_record_without_the_secrets(tmp_path: Path) -> None:
    source = numbers(tmp_path, *(f'{{"n": {number}, "pin": {1000 + number}}}' for number in range(1200)))

    def refuse(row: dict[str, int]) -> dict[str, int]:
        raise ValueError("no")

    passed = Pipeline[None, object]("pins").add_stage(source).tap(len)
    pipeline = passed.add_stage(MapStage(refuse, continue_on_error=True))
    store = open_store(tmp_path / "runs.db")
    pipeline.run(store=store, run_id="x", secret_fields={"pin"})

    async def explain() -> RecordTrace:
        return await explain_record(pipeline, position=1100, store=store, run_id="x")

    trace = anyio.run(explain)
    store.close()
    assert [(step.stage, step.fate) for step in trace.steps][-1] == ("MapStage", RecordFate.REJECTED)
    assert [(each.index, each.is_redacted) for each in trace.rejects] == [(1100, True)]
