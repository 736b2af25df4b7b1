"""How far a run was at which time: some points of it are kept, and those of batches that never happened are not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.store.records import batch, request

from mainstem.store import progress
from mainstem.store.model import StageCounts
from mainstem.store.open import open_store
from mainstem.store.progress import ProgressPoint, read_progress, step_at
from mainstem.store.sql_store import SqlStore


@pytest.fixture
def store(store_url: str) -> Iterator[SqlStore]:
    opened = open_store(store_url)
    assert isinstance(opened, SqlStore)
    yield opened
    opened.close()


def points(store: SqlStore, run: int) -> list[ProgressPoint]:
    return store.read(lambda session: read_progress(session, run))


def test_each_batch_is_a_point_until_there_are_many(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "MOST", 4)
    lease = store.begin(request())
    kept: dict[int, list[int]] = {}
    for number in range(1, 18):
        store.prepare(lease, batch(number))
        kept[number] = [each.records // 10 for each in points(store, lease.run)]
    assert kept[4] == [1, 2, 3, 4]
    assert kept[5] == [2, 4]
    assert kept[8] == [2, 4, 6, 8]
    assert kept[9] == [4, 8]
    assert kept[16] == [4, 8, 12, 16]
    assert kept[17] == [8, 16]


def test_a_batch_that_is_put_aside_or_prepared_again_leaves_no_point_behind(store: SqlStore) -> None:
    lease = store.begin(request())
    store.prepare(lease, batch(1))
    store.prepare(lease, batch(2, records=15))
    store.prepare(lease, batch(2, records=25))
    assert [each.records for each in points(store, lease.run)] == [10, 25]
    store.settle(lease, 1)
    assert [each.records for each in points(store, lease.run)] == [10]


def test_a_point_says_what_was_read_and_rejected_and_when(store: SqlStore) -> None:
    lease = store.begin(request())
    counts = {"read": StageCounts(records_in=7, records_failed=1), "map": StageCounts(records_in=6, records_failed=2)}
    store.prepare(lease, batch(1, counts=counts))
    (point,) = points(store, lease.run)
    (record,) = store.runs()
    assert (point.records, point.rejected) == (7, 3)
    assert abs((point.at - record.updated_at).total_seconds()) < 5


def test_a_run_of_any_length_has_some_hundred_points() -> None:
    assert [step_at(number) for number in (1, 256, 257, 512, 513, 1_000_000)] == [1, 1, 2, 2, 4, 4096]
