"""Rejects on the page: found, looked at, edited, decided on, exported."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.web.serving import FORM, Served, serving
from tests.web.shop import REJECTED, ROWS, Code, Login, loaded, logins, run_orders

from mainstem.durable.ledger import RejectLedger

pytestmark = pytest.mark.extras


@pytest.fixture
def ledger(tmp_path: Path, served: Served) -> Iterator[RejectLedger]:
    with RejectLedger(tmp_path / "runs.db") as opened:
        yield opened


def numbers(text: str) -> list[int]:
    return [int(each) for each in re.findall(r'id="reject-(\d+)"', text)]


def states(ledger: RejectLedger) -> list[str]:
    return [each.state.value for each in ledger.list()]


def seen(served: Served, reject: int) -> str:
    found = re.search(r'name="seen" value="([^"]*)"', served.get(f"/rejects/{reject}").text)
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [4, 3, 2, 1]),
        ("?run=1", [1, 2, 3, 4]),
        ("?run=1&past=2", [3, 4]),
        ("?stage=parse&code=ValueError", [4, 3, 2, 1]),
        ("?stage=load", []),
        ("?state=discarded", []),
        ("?state=open&run=1&text=13", [2]),
        ("?text=NOT+CONVERT", [4, 3, 2, 1]),
    ],
)
def test_they_are_found(served: Served, query: str, expected: list[int]) -> None:
    assert numbers(served.get(f"/rejects{query}").text) == expected


def test_one_is_shown_with_its_reason_its_record_and_the_next(served: Served) -> None:
    text = served.get("/rejects/2").text
    assert "could not convert string to float: &#39;x&#39;" in text
    assert "&#39;13&#39;" in text
    assert 'href="/rejects/3" rel="next"' in text
    assert served.get("/rejects/99").status == 404


def test_an_edit_is_kept_and_approved(served: Served, ledger: RejectLedger) -> None:
    answer = served.post("/rejects/1/edit", **{"f.amount": "1.5", "seen": seen(served, 1), "then": "approve"})
    assert (answer.status, answer.location) == (303, "/rejects/1?done=approved")
    reject = ledger.get(1)
    assert (reject.state.value, ledger.record_of(reject)) == ("approved", {"id": "3", "amount": "1.5"})
    assert reject.changed_by is not None
    assert reject.changed_by.endswith("(page)")
    assert "&#39;1.5&#39;" in served.get("/rejects/1").text


def test_an_edit_of_what_somebody_else_has_changed_is_refused(served: Served, ledger: RejectLedger) -> None:
    before = seen(served, 1)
    ledger.edit(1, {"id": "3", "amount": "9"}, by="ada")
    answer = served.post("/rejects/1/edit", **{"f.amount": "1.5", "seen": before})
    assert answer.status == 422
    assert "somebody else has changed this reject meanwhile" in answer.text
    assert ">\n1.5</textarea>" in answer.text  # what was typed is not lost
    assert ledger.record_of(ledger.get(1))["amount"] == "9"


def test_a_discarded_one_is_reopened_before_it_is_edited(served: Served, ledger: RejectLedger) -> None:
    assert served.post("/rejects/1/discard").location == "/rejects/1?done=discarded"
    assert 'action="/rejects/1/edit"' not in served.get("/rejects/1").text
    answer = served.post("/rejects/1/edit", **{"f.amount": "1", "seen": f"discarded {0} 0"})
    assert answer.status == 422
    assert served.post("/rejects/1/reopen").status == 303
    assert states(ledger) == ["open"] * 4


def test_what_is_checked_is_not_kept(served: Served, ledger: RejectLedger) -> None:
    answer = json.loads(served.post("/rejects/1/check", **{"f.amount": "1.5"}).text)
    assert answer == {"good": True, "changed": True, "problem": None, "errors": {}, "notices": {}}
    assert ledger.get(1).edited is None


def test_those_that_are_ticked_are_decided_on(served: Served, ledger: RejectLedger) -> None:
    answer = served.post("/rejects/some/approve", id=[1, 3], run=1, stage="parse")
    assert answer.location == "/rejects?run=1&stage=parse&done=approved&count=2"
    assert "2 approved." in served.get(answer.location).text
    assert states(ledger) == ["approved", "open", "approved", "open"]
    assert served.post("/rejects/some/discard").status == 400
    assert served.post("/rejects/some/discard", id=[1, 99]).status == 409
    assert states(ledger) == ["approved", "open", "approved", "open"]


def test_all_of_a_filter_are_decided_on_after_a_question(served: Served, ledger: RejectLedger) -> None:
    assert "Discard all of these rejects?" in served.get("/rejects/all/discard?run=1&code=ValueError").text
    assert states(ledger) == ["open"] * 4
    answer = served.post("/rejects/all/discard", run=1, code="ValueError")
    assert "count=4" in answer.location
    assert states(ledger) == ["discarded"] * 4
    assert served.post("/rejects/all/reopen", state="discarded").status == 303
    assert states(ledger) == ["open"] * 4
    for fields in ({}, {"text": "x"}, {"run": 1, "text": "x"}):
        assert served.post("/rejects/all/discard", **fields).status == 400
    assert states(ledger) == ["open"] * 4


def test_they_are_exported_as_they_are_filtered(served: Served) -> None:
    answer = served.get("/rejects/export?format=jsonl&run=1")
    assert answer.headers["content-disposition"] == 'attachment; filename="rejects.jsonl"'
    assert [json.loads(line)["record"]["id"] for line in answer.text.splitlines()] == [str(n) for n in REJECTED]
    table = [*csv.DictReader(io.StringIO(served.get("/rejects/export?format=csv&text=13").text))]
    assert [each["id"] for each in table] == ["2"]
    assert len(json.loads(served.get("/rejects/export?format=json").text)) == len(REJECTED)
    assert served.get("/rejects/export?format=../../etc/passwd").status == 400


def test_cells_of_an_export_are_no_formulas(tmp_path: Path) -> None:
    run_orders(tmp_path, [{"id": "=1+1", "amount": "@x"}], run_id="=cmd|' /C calc'!A0")
    with serving(tmp_path / "runs.db") as served:
        (row,) = csv.DictReader(io.StringIO(served.get("/rejects/export?format=csv").text))
        assert row["run_id"] == "'=cmd|' /C calc'!A0"


def test_secrets_are_shown_to_nobody_and_can_be_supplied(tmp_path: Path) -> None:
    rows = [Login("ada", -1, "hunter22-canary"), Login("bob", 3, "other-canary")]
    assert logins(tmp_path).run(rows, store=tmp_path / "runs.db", run_id="secret").success
    with serving(tmp_path / "runs.db", [Code(tmp_path)]) as served:
        supplied = {"f.age": "36", "f.password": "supplied-canary", "seen": seen(served, 1), "then": "approve"}
        assert served.post("/rejects/1/edit", **{**supplied, "f.password": ""}).status == 422
        assert served.post("/rejects/1/edit", **supplied).status == 303
        again = {"f.age": "37", "f.password": "", "seen": seen(served, 1), "then": "approve"}
        assert served.post("/rejects/1/edit", **again).status == 303
        exports = [f"/rejects/export?format={form}" for form in ("csv", "json", "jsonl")]
        for path in ("/", "/runs/1", "/rejects", "/rejects?text=supplied", "/rejects/1", "/runs/1/why", *exports):
            for token in (served.full, served.read):
                answer = served.get(path, token)
                assert answer.status == 200
                assert "canary" not in answer.text, path
        with RejectLedger(tmp_path / "runs.db") as ledger:
            assert ledger.record_of(ledger.get(1)) == Login("ada", 37, "supplied-canary")
        served.post("/runs/1/replay")
        text = served.wait_for("/runs/1", "1 replayed")
        assert "canary" not in text


def test_a_record_is_tried_as_it_was_typed_and_nothing_is_kept_or_loaded(
    served: Served, ledger: RejectLedger, tmp_path: Path
) -> None:
    before = loaded(tmp_path)
    text = served.post("/rejects/1/try", **{"f.amount": "x1"}).text
    assert "<b>parse</b>" in text
    assert "rejects it: ValueError: could not convert string to float: &#39;x1&#39;" in text
    assert ">\nx1</textarea>" in text
    text = served.post("/rejects/1/try", **{"f.amount": "2.5"}).text
    assert "gives <code>{&#39;id&#39;: 3, &#39;amount&#39;: 2.5}</code>" in text
    assert re.search(r"<b>load</b>\s+is given <code>.*</code> ; nothing was loaded", text)
    assert "rejects it: ValueError" in served.post("/rejects/1/try").text  # as it is
    assert (ledger.get(1).edited, states(ledger)) == (None, ["open"] * 4)
    assert loaded(tmp_path) == before


def test_what_is_tried_shows_no_secret(tmp_path: Path) -> None:
    rows = [Login("ada", -1, "hunter22-canary")]
    assert logins(tmp_path).run(rows, store=tmp_path / "runs.db", run_id="secret").success
    with serving(tmp_path / "runs.db", [Code(tmp_path)]) as served:
        answer = served.post("/rejects/1/try", **{"f.age": "-5", "f.password": "typed-canary"})
        assert answer.status == 200
        assert "ada is not born yet" in answer.text
        assert "canary" not in answer.text
        assert served.post("/rejects/1/try", **{"f.age": "old"}).status == 422
    with serving(tmp_path / "runs.db") as served:
        assert served.post("/rejects/1/try", **{"f.age": "5"}).status == 409


def test_a_mended_record_is_replayed_once(served: Served, tmp_path: Path) -> None:
    served.post("/rejects/1/edit", **{"f.amount": "1.5", "seen": seen(served, 1), "then": "approve"})
    for _ in range(2):
        assert served.post("/runs/1/replay").location == "/runs/1#replay"
        served.wait_for("/runs/1", r'class="state completed">completed</span> at[\s\S]*replayed')
    assert [row for row in loaded(tmp_path) if row[0] == 3] == [(3, 1.5)]
    assert len(loaded(tmp_path)) == len(ROWS) - len(REJECTED) + 1


PATHS = ["/", "/rejects", "/rejects/export", "/rejects/all/approve", "/runs/1/why", "/rejects/1", "/runs/1"]
NAMES = ["run", "stage", "code", "state", "text", "past", "before", "format", "done", "count", "position"]
TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["1", "0", "-1", "9" * 18, "9" * 30, "1e9", "%", "\0", "\ud800", "../../etc/passwd", "open", "csv"]
    ),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(PATHS), query=st.dictionaries(st.sampled_from(NAMES), TEXTS, max_size=4))
def test_whatever_is_asked_is_answered(served: Served, path: str, query: dict[str, str]) -> None:
    answer = served.get(f"{path}?{urlencode(query, errors='surrogatepass')}")
    assert answer.status in (200, 400, 404), (path, query, answer)


FIELDS = st.dictionaries(
    st.one_of(
        st.sampled_from(["f.id", "f.amount", "seen", "then", "state", "id", "key", "position"]), st.text(max_size=9)
    ),
    TEXTS,
    max_size=5,
)
FORMS = [
    "/rejects/1/check",
    "/rejects/1/edit",
    "/rejects/1/try",
    "/runs/1/why",
    "/rejects/some/approve",
    "/rejects/all/discard",
]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(FORMS), fields=FIELDS)
def test_whatever_is_sent_is_answered(served: Served, path: str, fields: dict[str, str]) -> None:
    body = urlencode(fields, errors="surrogatepass").encode()
    headers = [("Authorization", f"Bearer {served.full}"), ("Content-Type", FORM)]
    answer = served.send("POST", path, headers, body)
    assert answer.status in (200, 303, 400, 404, 409, 422), (path, fields, answer)
