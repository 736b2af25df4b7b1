"""Runs and rejects page by page: all of them, once, in order, in bounded time, in every kind of store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.store.records import batch, reject, request

from mainstem.store import pages
from mainstem.store.model import RejectQuery, RejectState, RunStatus
from mainstem.store.open import open_store
from mainstem.store.pages import (
    MOST,
    RejectPage,
    RejectsAsked,
    RunPage,
    RunsAsked,
    one_run,
    pulse,
    reject_kinds,
    reject_page,
    run_number,
    run_page,
)
from mainstem.store.sql_store import SqlStore


@pytest.fixture
def store(store_url: str) -> Iterator[SqlStore]:
    opened = open_store(store_url)
    assert isinstance(opened, SqlStore)
    yield opened
    opened.close()


def fill(store: SqlStore, run_id: str, rejects: int) -> int:
    lease = store.begin(request(run_id))
    store.prepare(lease, batch(1, *(reject(at) for at in range(rejects)), is_last=True))
    store.settle(lease, 1)
    store.finish(lease, RunStatus.COMPLETED)
    return lease.run


def asked_runs(store: SqlStore, **asked: Any) -> RunPage:
    return store.read(lambda session: run_page(session, RunsAsked(**asked)))


def asked_rejects(store: SqlStore, **asked: Any) -> RejectPage:
    return store.read(lambda session: reject_page(session, RejectsAsked(**asked)))


def all_rejects(store: SqlStore, **asked: Any) -> list[int]:
    found: list[int] = []
    past: int | None = None
    while True:
        page = asked_rejects(store, past=past, **asked)
        found += [each.id for each in page.rejects]
        if page.past is None:
            return found
        past = page.past


def test_runs_are_read_on_from_the_latest(store: SqlStore) -> None:
    for name in "abcdefg":
        fill(store, f"run {name}", 0)
    seen: list[str] = []
    before: int | None = None
    for _ in range(3):
        page = asked_runs(store, limit=3, before=before)
        seen += [each.run_id for each in page.runs]
        before = page.past
    assert seen == [f"run {name}" for name in "gfedcba"]
    assert before is None


def test_runs_are_found_by_their_name_in_either_case_and_by_their_state(store: SqlStore) -> None:
    fill(store, "Nightly 100%", 0)
    fill(store, "nightly_2", 0)
    store.begin(request("going on"))
    assert [each.run_id for each in asked_runs(store, text="NIGHTLY").runs] == ["nightly_2", "Nightly 100%"]
    assert [each.run_id for each in asked_runs(store, text="0%").runs] == ["Nightly 100%"]
    assert [each.run_id for each in asked_runs(store, text="_").runs] == ["nightly_2"]
    assert [each.run_id for each in asked_runs(store, text="p!").runs] == []
    assert [each.run_id for each in asked_runs(store, status=RunStatus.RUNNING).runs] == ["going on"]


def test_a_run_has_its_counts_and_its_rejects_counted_up_to_a_limit(store: SqlStore) -> None:
    run = fill(store, "many", MOST + 20)
    few = fill(store, "few", 2)
    record = store.read(lambda session: one_run(session, run))
    assert record is not None
    assert record.rejects == {RejectState.OPEN: MOST + 1}
    assert record.counts == store.runs(run_id="many")[0].counts
    assert [each.rejects for each in asked_runs(store).runs] == [{RejectState.OPEN: 2}, {RejectState.OPEN: MOST + 1}]
    assert store.read(lambda session: one_run(session, few + 1000)) is None
    assert store.read(lambda session: run_number(session, record.pipeline, "many")) == run
    assert store.read(lambda session: run_number(session, record.pipeline, "other")) is None


def test_rejects_of_a_run_come_by_number_and_those_of_all_the_latest_first(store: SqlStore) -> None:
    first, second = fill(store, "first", 7), fill(store, "second", 5)
    of_first = [each.id for each in store.rejects(RejectQuery(run_id="first"))]
    assert all_rejects(store, run=first, limit=2) == of_first
    everything = [each.id for each in store.rejects(RejectQuery())]
    assert all_rejects(store, limit=5) == everything[::-1]
    assert asked_rejects(store, run=second, limit=5).past is None
    assert asked_rejects(store, run=second, limit=4).is_full


@pytest.mark.parametrize("of_run", [True, False])
def test_a_page_looks_at_no_more_than_its_window_and_says_how_far_it_came(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, of_run: bool
) -> None:
    run = fill(store, "a", 50)
    ids = [each.id for each in store.rejects(RejectQuery())]
    rare = [ids[3], ids[44]]
    store.change_rejects(RejectQuery(ids=rare), RejectState.DISCARDED, among=[RejectState.OPEN])
    monkeypatch.setattr(pages, "WINDOW", 10)
    chosen = {"run": run} if of_run else {}
    order = rare if of_run else rare[::-1]
    assert all_rejects(store, state=RejectState.DISCARDED, **chosen) == order
    assert all_rejects(store, text="NOTHING OF THE KIND", **chosen) == []
    page = asked_rejects(store, text="nothing of the kind", **chosen)
    assert (page.is_full, page.past) == (False, ids[9] if of_run else ids[40])
    assert sorted(all_rejects(store, stage="map", **chosen)) == ids


def test_runs_are_looked_through_window_by_window(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        fill(store, f"run {number}", 0)
    monkeypatch.setattr(pages, "WINDOW", 4)
    page = asked_runs(store, text="run 1")
    assert ([each.run_id for each in page.runs], page.past is None) == ([], False)
    page = asked_runs(store, text="run 1", before=page.past)
    assert [each.run_id for each in page.runs] == ["run 1"]
    page = asked_runs(store, text="run 1", before=page.past)
    assert (page.runs, page.past) == ([], None)


def test_rejects_are_found_by_a_text_of_their_reason_or_record(store: SqlStore) -> None:
    lease = store.begin(request("texts"))
    records = {1: '{"name":"\\u00c9mile"}', 2: '{"name":"100%"}', 3: '{"a":"b"}'}
    store.prepare(lease, batch(1, *(reject(at, record=text) for at, text in records.items())))
    store.settle(lease, 1)
    found = {
        text: len(all_rejects(store, text=text)) for text in ("Émile", "0%", "%", "_", "NAME", '"', "\0", "\ud800")
    }
    assert found == {"Émile": 1, "0%": 1, "%": 1, "_": 0, "NAME": 2, '"': 0, "\0": 0, "\ud800": 0}


def test_the_kinds_of_rejects_are_counted(store: SqlStore) -> None:
    run = fill(store, "kinds", 3)
    ((stage, code, count),) = store.read(lambda session: reject_kinds(session, run))
    assert (stage, count) == ("map", 3)
    assert code


def test_the_pulse_of_a_run_changes_with_it_and_of_no_other(store: SqlStore) -> None:
    lease = store.begin(request("a"))
    other = fill(store, "b", 0)

    def look() -> dict[int, tuple[Any, ...]]:
        return store.read(lambda session: pulse(session, [lease.run]))

    before = look()
    assert look() == before
    store.prepare(lease, batch(1))
    store.settle(lease, 1)
    after = look()
    assert after[lease.run] != before[lease.run]
    assert after[other] == before[other]
