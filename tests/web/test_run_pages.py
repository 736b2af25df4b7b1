"""Runs on the page: the list, one run, replays, and what became of a record."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from tests.store.records import GONE, batch, reject, request
from tests.web.serving import Served, serving
from tests.web.shop import ROWS, Code, loaded, orders, run_orders, to_row

from mainstem import MapStage, Pipeline
from mainstem.connect import CsvSource, TableSink
from mainstem.store.model import RunRecord, RunStatus
from mainstem.store.sqlite import SqliteStore
from mainstem.web.code import GivenPipeline, RunnablePipeline

pytestmark = pytest.mark.extras


def test_runs_are_listed_the_latest_first_with_what_they_did(served: Served, tmp_path: Path) -> None:
    run_orders(tmp_path, [{"id": "100", "amount": "1"}], run_id="tuesday")
    text = served.get("/").text
    assert re.findall(r'id="run-(\d+)"', text) == ["2", "1"]
    assert "4 open" in text
    assert re.findall(r'id="run-(\d+)"', served.get("/?text=TUES").text) == ["2"]
    assert re.findall(r'id="run-(\d+)"', served.get("/?state=failed").text) == []
    assert re.findall(r'id="run-(\d+)"', served.get("/?before=2").text) == ["1"]
    assert served.get("/?state=broken").status == 400


def test_a_run_is_shown_with_its_stages_and_their_counts(served: Served) -> None:
    text = served.get("/runs/1").text
    for part in ("monday", "parse", "MapStage", "load", "TableSink", "exactly-once", "ValueError", "the run began"):
        assert part in text
    parse = text.partition("<h3>parse</h3>")[2].partition("</li>")[0]
    assert re.findall(r"<dd>([\d,]+)</dd>", parse) == ["40", "36", "4"]
    assert served.get("/runs/99").status == 404
    assert served.get(f"/runs/{'9' * 18}").status == 404
    assert served.get(f"/runs/{'9' * 19}").status == 404


def test_a_run_whose_process_is_gone_is_interrupted_and_one_that_failed_says_why(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "runs.db")
    store.begin(replace(request("gone"), owner=GONE))
    failed = store.begin(request("failed"))
    store.finish(failed, RunStatus.FAILED, error="RuntimeError: the disk is full")
    store.close()
    with serving(tmp_path / "runs.db") as served:
        assert "interrupted" in served.get("/runs/1").text
        assert re.findall(r'id="run-(\d+)"', served.get("/?state=interrupted").text) == ["1"]
        assert re.findall(r'id="run-(\d+)"', served.get("/?state=running").text) == []
        assert "RuntimeError: the disk is full" in served.get("/runs/2").text


def test_without_code_nothing_is_replayed_or_followed(tmp_path: Path) -> None:
    run_orders(tmp_path, ROWS)
    with serving(tmp_path / "runs.db") as served:
        assert "without the code of this pipeline" in served.get("/runs/1").text
        assert served.post("/runs/1/replay").status == 409
        assert served.post("/runs/1/why", position=3).status == 409


def test_no_code_is_named_by_a_request_or_by_the_store(tmp_path: Path) -> None:
    """A run may say that it was started as anything: only what the page was given is code."""
    store = SqliteStore(tmp_path / "runs.db")
    lease = store.begin(replace(request("evil"), target="os:system --set command=id"))
    store.prepare(lease, batch(1, reject(0), is_last=True))
    store.settle(lease, 1)
    store.finish(lease, RunStatus.COMPLETED)
    store.close()
    with serving(tmp_path / "runs.db", [Code(tmp_path)]) as served:
        answer = served.post("/runs/1/replay?target=os:system", target="os:system", code="os:system")
        assert answer.status == 409


class SlowCode(Code):
    """The code of a pipeline that is made when it is let go."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.begun, self.go = threading.Event(), threading.Event()

    async def pipeline_of(self, record: RunRecord) -> RunnablePipeline:
        self.begun.set()
        assert self.go.wait(20)
        return await super().pipeline_of(record)


def test_one_replay_of_a_run_goes_on_at_a_time_and_pages_are_answered_meanwhile(tmp_path: Path) -> None:
    run_orders(tmp_path, ROWS)
    code = SlowCode(tmp_path)
    with serving(tmp_path / "runs.db", [code]) as served:
        assert served.post("/runs/1/replay", state=["open", "approved"]).status == 303
        assert code.begun.wait(20)
        assert "running</span> since" in served.get("/runs/1").text
        again = served.post("/runs/1/replay")
        assert again.status == 409
        assert "are being replayed already" in again.text
        code.go.set()
        assert "4 failed again" in served.wait_for("/runs/1", "failed again")
        assert served.post("/runs/1/replay", state="discarded").status == 400


def test_what_the_code_raises_is_shown(tmp_path: Path) -> None:
    class BrokenCode(Code):
        async def pipeline_of(self, record: RunRecord) -> RunnablePipeline:
            raise RuntimeError("the module <b>has gone</b>")

    run_orders(tmp_path, ROWS)
    with serving(tmp_path / "runs.db", [BrokenCode(tmp_path)]) as served:
        served.post("/runs/1/replay")
        text = served.wait_for("/runs/1", "failed</span> at")
        assert "RuntimeError: the module &lt;b&gt;has gone&lt;/b&gt;" in text
        assert "has gone" in served.post("/runs/1/why", position=1).text


def test_a_server_that_ends_ends_its_replays(tmp_path: Path) -> None:
    run_orders(tmp_path, ROWS)
    code = SlowCode(tmp_path)
    with serving(tmp_path / "runs.db", [code]) as served:
        served.post("/runs/1/replay", state="open")
        assert code.begun.wait(20)
        code.go.set()
    store = SqliteStore(tmp_path / "runs.db")
    assert not any(each.is_live for each in store.runs())
    store.close()


def test_what_became_of_a_record(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("id,amount\n1,2\n2,x\n")
    pipeline = (
        Pipeline[None, object]("from csv")
        .add_stage(CsvSource(tmp_path / "orders.csv"))
        .add_stage(MapStage(to_row, name="parse", continue_on_error=True))
        .add_stage(TableSink(f"sqlite:///{tmp_path}/orders.db", "orders", key="id", name="load"))
    )
    assert pipeline.run(store=tmp_path / "runs.db", run_id="a").success
    with serving(tmp_path / "runs.db", [GivenPipeline(pipeline)]) as served:
        text = served.post("/runs/1/why", position=0).text
        assert "the run has completed, so it is loaded" in text
        assert "its functions were called again" in text
        assert '<a class="row" href="/rejects/1">reject 1</a>' in served.post("/runs/1/why", key="id=2").text
        for fields in ({}, {"position": 1, "key": "id=2"}, {"position": 99}, {"key": "id=99"}, {"key": "nothing"}):
            assert served.post("/runs/1/why", **fields).status == 422
        hidden = serving(tmp_path / "runs.db", [GivenPipeline(pipeline)], secret_fields=["amount"])
        with hidden as other:
            shown = other.post("/runs/1/why", position=0).text
            assert "&lt;secret&gt;" in shown


def test_a_store_in_postgres_is_shown_edited_and_replayed_as_well(tmp_path: Path, postgres_url: str) -> None:
    pipeline = orders(tmp_path)
    assert pipeline.run(ROWS, store=postgres_url, run_id="monday").success
    with serving(postgres_url, [GivenPipeline(pipeline)]) as served:
        assert "4 open" in served.get("/").text
        assert "could not convert" in served.get("/rejects?text=NOT+CONVERT&state=open&code=ValueError").text
        seen = served.get("/rejects/1").text.partition('name="seen" value="')[2].partition('"')[0]
        answer = served.post("/rejects/1/edit", **{"f.amount": "1.5", "seen": seen, "then": "approve"})
        assert answer.status == 303
        assert served.post("/runs/1/replay").status == 303
        served.wait_for("/runs/1", "1 replayed</b>")
        assert served.get("/rejects/export?format=csv").status == 200
    assert (3, 1.5) in loaded(tmp_path)
