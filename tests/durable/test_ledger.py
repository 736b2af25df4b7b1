"""The ledger: looking at rejects, mending them, deciding on them, handing them on."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstem import MapStage, NotEncodableError, Pipeline, RejectError, RejectLedger, Secret, open_store
from mainstem.durable.export import ExportFormat, export_rejects
from mainstem.store.model import RejectRecord, RejectState


@dataclass(frozen=True)
class Order:
    number: str
    day: date


@dataclass
class Login:
    user: str
    password: Annotated[str, Secret]


class Opaque:
    def __repr__(self) -> str:
        return "=opaque"


def fail(record: object) -> object:
    raise KeyError(record)


def left_by(folder: Path, *records: Any, run_id: str = "today", name: str = "orders") -> Path:
    """Run a pipeline that rejects all of the records, and return where its store is."""
    store = folder / "store.db"
    pipeline = Pipeline[list[Any], list[Any]](name).add_stage(MapStage(fail, continue_on_error=True))
    assert pipeline.run([*records], store=store, run_id=run_id).success
    return store


@pytest.fixture
def ledger_of(tmp_path: Path) -> Iterator[Callable[..., RejectLedger]]:
    opened: list[RejectLedger] = []

    def make(*records: Any) -> RejectLedger:
        opened.append(RejectLedger(left_by(tmp_path, *records)))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def states(ledger: RejectLedger) -> list[str]:
    return [reject.state.value for reject in ledger.list()]


def test_rejects_are_found_by_run_pipeline_stage_code_and_state(tmp_path: Path) -> None:
    left_by(tmp_path, 1, 2, run_id="a")
    place = left_by(tmp_path, 3, run_id="b", name="others")
    with RejectLedger(place) as ledger:
        assert [ledger.record_of(each) for each in ledger.list()] == [1, 2, 3]
        assert [ledger.record_of(each) for each in ledger.list(run_id="a")] == [1, 2]
        assert [ledger.record_of(each) for each in ledger.list(pipeline="others")] == [3]
        assert ledger.count(stage="MapStage", code="KeyError") == 3
        assert ledger.count(stage="Other") == ledger.count(code="ValueError") == 0
        first, second, _ = ledger.list()
        ledger.discard(first.id)
        assert [each.id for each in ledger.list(states=["discarded"])] == [first.id]
        assert ledger.count(states=[RejectState.OPEN]) == 2
        assert ledger.count(states=[]) == 0
        assert [each.id for each in ledger.list(after=first.id, limit=1)] == [second.id]


def test_each_gives_all_though_there_are_many_pages(ledger_of: Callable[..., RejectLedger]) -> None:
    ledger = ledger_of(*range(1234))
    assert [ledger.record_of(each) for each in ledger.each()] == [*range(1234)]


def test_wrong_questions_are_refused(ledger_of: Callable[..., RejectLedger]) -> None:
    ledger = ledger_of(1)
    with pytest.raises(ValueError, match="there is no state 'opn': there are open, edited"):
        ledger.list(states=["opn"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="limit"):
        ledger.list(limit=0)
    for number in (99, -1, 1 << 80):
        with pytest.raises(RejectError, match=f"reject {number}: there is none of this number in sqlite:") as raised:
            ledger.get(number)
        assert raised.value.reject == number


def test_a_store_that_was_given_open_stays_open(tmp_path: Path) -> None:
    store = open_store(left_by(tmp_path, 1))
    with RejectLedger(store) as ledger:
        assert ledger.store is store
    assert store.runs()
    store.close()


def test_an_edited_record_is_the_one_that_counts(ledger_of: Callable[..., RejectLedger]) -> None:
    ledger = ledger_of(Order("x", date(2026, 1, 2)))
    (reject,) = ledger.list()
    ledger.edit(reject.id, Order("7", date(2026, 1, 2)), by="ada")
    (edited,) = ledger.list()
    assert ledger.record_of(edited) == Order("7", date(2026, 1, 2))
    assert edited.record == reject.record
    assert (edited.state, edited.changed_by) == (RejectState.EDITED, "ada")


def test_who_did_it_is_the_login_name_if_nobody_says(
    ledger_of: Callable[..., RejectLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "grace")
    ledger = ledger_of(1)
    ledger.approve(run_id="today")
    assert ledger.list()[0].changed_by == "grace"


def test_some_fields_are_edited_and_the_others_stay(ledger_of: Callable[..., RejectLedger]) -> None:
    ledger = ledger_of(Order("x", date(2026, 1, 2)), {"number": "x", 5: (1, 2)}, "text")
    of_class, of_dict, of_text = ledger.list()
    ledger.edit_fields(of_class.id, {"day": date(2026, 1, 3)})
    ledger.edit_fields(of_class.id, {"number": "7"})
    ledger.edit_fields(of_dict.id, {"number": 7})
    records = [ledger.record_of(each) for each in ledger.list()]
    assert records == [Order("7", date(2026, 1, 3)), {"number": 7, 5: (1, 2)}, "text"]
    with pytest.raises(RejectError, match="type Order has no field 'nubmer': there are 'number', 'day'"):
        ledger.edit_fields(of_class.id, {"nubmer": 1})
    with pytest.raises(RejectError, match="its record is of type str and has no fields: give it whole"):
        ledger.edit_fields(of_text.id, {"number": 1})


def test_only_plain_data_can_be_an_edited_record(ledger_of: Callable[..., RejectLedger]) -> None:
    ledger = ledger_of({"a": 1})
    (reject,) = ledger.list()
    with pytest.raises(NotEncodableError):
        ledger.edit(reject.id, Opaque())
    with pytest.raises(NotEncodableError):
        ledger.edit_fields(reject.id, {"a": Opaque()})
    assert states(ledger) == ["open"]


def test_a_record_of_which_only_the_repr_is_kept_must_be_given_before_it_is_approved(
    ledger_of: Callable[..., RejectLedger],
) -> None:
    ledger = ledger_of(Opaque())
    (reject,) = ledger.list()
    needs_edit = r"reject 1 \(run 'today', stage 'MapStage', record 0\): its record could not be kept, only its repr"
    for attempt in (
        lambda: ledger.record_of(reject),
        lambda: ledger.approve(reject.id),
        lambda: ledger.edit_fields(reject.id, {"a": 1}),
    ):
        with pytest.raises(RejectError, match=needs_edit):
            attempt()
    assert ledger.approve(run_id="today") == 0
    ledger.edit(reject.id, 5)
    assert ledger.approve(reject.id) == 1
    assert ledger.record_of(ledger.get(reject.id)) == 5


@pytest.mark.parametrize("record", [Login("ada", "hunter22"), {"user": "ada", "password": "hunter22"}])
def test_secrets_that_were_left_out_must_be_supplied_before_it_is_approved(record: Any, tmp_path: Path) -> None:
    pipeline = Pipeline[list[Any], list[Any]]("logins").add_stage(MapStage(fail, continue_on_error=True))
    assert pipeline.run([record], store=tmp_path / "store.db", run_id="a", secret_fields=["password"]).success
    with RejectLedger(tmp_path / "store.db") as ledger:
        (reject,) = ledger.list()
        assert reject.is_redacted
        assert "hunter22" not in reject.record
        with pytest.raises(RejectError, match="secret fields were left out: supply them"):
            ledger.approve(reject.id)
        assert ledger.approve(run_id="a") == 0
        with pytest.raises(RejectError, match="still says <secret> where a secret was left out"):
            ledger.edit(reject.id, {"user": "grace"})
        ledger.edit(reject.id, {"password": "hunter22"})
        assert ledger.approve(reject.id) == 1
        assert ledger.record_of(ledger.get(reject.id)) == record


def test_numbers_are_all_changed_or_none(ledger_of: Callable[..., RejectLedger]) -> None:
    ledger = ledger_of(1, 2, Opaque())
    first, second, third = (each.id for each in ledger.list())
    ledger.discard(second)
    with pytest.raises(RejectError, match="it is discarded: reopen it first; and 1 more: none was changed"):
        ledger.approve(first, second, third)
    with pytest.raises(RejectError, match="reject 99: there is none"):
        ledger.discard(first, 99)
    assert states(ledger) == ["open", "discarded", "open"]
    assert ledger.approve(first, first) == 1
    assert ledger.approve(first) == 0, "it was approved before"


def test_a_filter_means_those_that_can_be_changed(ledger_of: Callable[..., RejectLedger]) -> None:
    ledger = ledger_of(1, 2, Opaque())
    ledger.discard(ledger.list()[1].id)
    assert ledger.approve(run_id="today") == 1
    assert states(ledger) == ["approved", "discarded", "open"]
    assert ledger.discard(code="KeyError") == 2
    assert ledger.reopen(states=["discarded"]) == 3


@pytest.mark.parametrize("change", ["approve", "discard", "reopen"])
def test_nothing_is_changed_unless_it_is_said_what(change: str, ledger_of: Callable[..., RejectLedger]) -> None:
    ledger = ledger_of(1)
    for arguments, which in (((), {}), ((), {"run_id": None}), ((1,), {"run_id": "today"})):
        with pytest.raises(TypeError, match="by their numbers, or by a filter"):
            getattr(ledger, change)(*arguments, **which)
    assert states(ledger) == ["open"]


def test_what_is_reopened_is_what_it_was_before_it_was_decided_on(ledger_of: Callable[..., RejectLedger]) -> None:
    ledger = ledger_of(1, 2)
    first, second = (each.id for each in ledger.list())
    ledger.edit(second, 3)
    assert ledger.approve(first, second) == 2
    assert ledger.reopen(first, second) == 2
    assert states(ledger) == ["open", "edited"]
    assert ledger.record_of(ledger.get(second)) == 3
    assert ledger.reopen(run_id="today") == 0


def test_an_edit_takes_an_approval_back(ledger_of: Callable[..., RejectLedger]) -> None:
    ledger = ledger_of(1)
    ledger.approve(1)
    ledger.edit(1, 2)
    assert states(ledger) == ["edited"]
    ledger.discard(1)
    with pytest.raises(RejectError, match="it is discarded: reopen it first"):
        ledger.edit(1, 3)


STEPS = st.lists(st.tuples(st.sampled_from(["edit", "approve", "discard", "reopen"]), st.integers(0, 2)), max_size=25)


@given(steps=STEPS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_done_in_whatever_order_the_ledger_is_as_a_dict_would_be(
    steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Two rejects that can be replayed as they are, and one of which only the repr is kept."""
    folder = tmp_path_factory.mktemp("ledger")
    model: dict[int, tuple[str, int | None]] = dict.fromkeys((1, 2, 3), ("open", None))
    with RejectLedger(left_by(folder, "a", "b", Opaque())) as ledger:
        for step, (action, at) in enumerate(steps):
            number = at + 1
            expected = expected_state(model[number], action, exact=number != 3)
            try:
                if action == "edit":
                    ledger.edit(number, step)
                else:
                    getattr(ledger, action)(number)
            except RejectError:
                assert expected is None, f"step {step}, {action} of {model[number]}"
            else:
                assert expected is not None, f"step {step}, {action} of {model[number]}"
                model[number] = expected, step if action == "edit" else model[number][1]
        for each in ledger.list():
            state, edited = model[each.id]
            assert each.state.value == state
            assert each.edited == (None if edited is None else str(edited))


def expected_state(before: tuple[str, int | None], action: str, *, exact: bool) -> str | None:
    state, edited = before
    if action == "reopen":
        return "open" if edited is None else "edited"
    if action == "discard":
        return "discarded"
    if state == "discarded":
        return None
    if action == "edit":
        return "edited"
    return "approved" if exact or edited is not None or state == "approved" else None


def test_json_has_the_whole_of_each_reject(ledger_of: Callable[..., RejectLedger], tmp_path: Path) -> None:
    ledger = ledger_of({"a": 1}, date(2026, 1, 2))
    assert ledger.export(tmp_path / "rejects.jsonl") == 2
    assert ledger.export(tmp_path / "rejects.json", "json") == 2
    lines = [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    assert lines == json.loads((tmp_path / "rejects.json").read_text())
    assert [each["record"] for each in lines] == [{"a": 1}, {"~date": "2026-01-02"}]
    first = ledger.get(1)
    assert (lines[0]["id"], lines[0]["state"], lines[0]["at"]) == (1, "open", first.at.isoformat())
    assert lines[0].keys() == set(RejectRecord.__dataclass_fields__)


def test_an_export_of_nothing_is_a_file_of_nothing(ledger_of: Callable[..., RejectLedger]) -> None:
    ledger = ledger_of(1)
    texts: dict[str, str] = {}
    formats: list[ExportFormat] = ["jsonl", "json", "csv"]
    for name in formats:
        stream = io.StringIO()
        assert ledger.export(stream, name, run_id="none") == 0
        texts[name] = stream.getvalue()
    assert (texts["jsonl"], json.loads(texts["json"])) == ("", [])
    assert len(texts["csv"].splitlines()) == 1


def exported_cells(record_text: str, *, escape: bool = True) -> dict[str, str]:
    from datetime import datetime, timezone

    reject = RejectRecord(
        id=-5,
        pipeline=record_text,
        run_id="a",
        stage="s",
        index=None,
        origin=None,
        error_type="KeyError",
        message=record_text,
        code="KeyError",
        record=json.dumps(record_text),
        is_exact=True,
        is_redacted=False,
        attempts=1,
        at=datetime.now(timezone.utc),
        state=RejectState.OPEN,
        edited=None,
        replays=0,
        is_settled=True,
        changed_at=None,
        changed_by=None,
    )
    stream = io.StringIO()
    export_rejects([reject], stream, "csv", escape_formulas=escape)
    stream.seek(0)
    (row,) = csv.DictReader(stream)
    return row


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1+1",
        "-1+1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff20a",
        "-",
        "=x\n",
    ],
)
def test_cells_that_a_spreadsheet_would_run_get_an_apostrophe(text: str) -> None:
    assert exported_cells(text)["message"] == f"'{text}"
    assert exported_cells(text, escape=False)["message"] == text


@pytest.mark.parametrize("text", ["-5", "+3.25", "-1e-9", "5", "a=b", " ", "'"])
def test_plain_numbers_and_other_cells_stay_as_they_are(text: str) -> None:
    row = exported_cells(text)
    assert row["message"] == row["pipeline"] == text
    assert row["id"] == "-5"
    assert json.loads(row["record"]) == text


def test_a_file_appears_whole_or_not_at_all(ledger_of: Callable[..., RejectLedger], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "rejects.csv"
    target.write_text("before")

    def broken() -> Iterator[RejectRecord]:
        yield ledger_of(1).get(1)
        raise OSError("the store is gone")

    with pytest.raises(OSError, match="the store is gone"):
        export_rejects(broken(), target, "csv")
    assert target.read_text() == "before"
    assert [*target.parent.iterdir()] == [target]


def test_an_unknown_format_is_refused(ledger_of: Callable[..., RejectLedger], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="format is one of 'jsonl', 'json', 'csv', not 'xml'"):
        ledger_of(1).export(tmp_path / "x", "xml")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
