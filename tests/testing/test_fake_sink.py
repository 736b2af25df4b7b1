"""``FakeSink`` keeps what every sink keeps to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.runs import pipeline_of

from mainstem import Claim, ConnectionLostError, Guarantee, GuaranteeError, LeaseLostError, PipelineContext
from mainstem.testing import FakeSink, FakeSource, VirtualClock, assert_rejects


@pytest.mark.parametrize("count", [0, 1, 501, 1001])
def test_it_stores_every_record_in_order(count: int) -> None:
    sink = FakeSink[int]()
    report = pipeline_of(sink).run(list(range(count))).unwrap()
    assert sink.stored == list(range(count))
    assert (report.target, report.records_loaded, report.guarantee) == ("fake sink", count, Guarantee.AT_LEAST_ONCE)
    assert (sink.commits, sink.aborts, sink.is_open) == (1, 0, 0)


@pytest.mark.anyio
async def test_nothing_is_seen_before_commit_and_nothing_at_all_of_what_is_undone() -> None:
    sink = FakeSink[int]()
    first, second = await sink.begin(PipelineContext()), await sink.begin(PipelineContext())
    await first.write([1, 2])
    await second.write([3])
    assert (sink.stored, sink.is_open) == ([], 2)
    await first.abort()
    assert sink.stored == []
    await second.commit()
    assert (sink.stored, sink.is_open, sink.commits, sink.aborts) == ([3], 0, 1, 1)


@pytest.mark.parametrize("at", [0, 3, 600])
def test_a_load_that_fails_leaves_what_was_there(at: int) -> None:
    sink = FakeSink[int](fails_at=5 + at)
    pipeline = pipeline_of(sink)
    assert pipeline.run([0] * 5).success
    failed = pipeline.run(list(range(at + 1)))
    assert isinstance(failed.error, ConnectionLostError)
    assert f"record {5 + at}" in str(failed.error)
    assert (sink.stored, sink.is_open, sink.aborts) == ([0] * 5, 0, 1)
    assert pipeline.run(list(range(at + 1))).success, "it fails once"
    assert len(sink.stored) == 6 + at


def test_an_error_of_ones_own_is_raised_as_often_as_wanted() -> None:
    error = OSError("full")
    pipeline = pipeline_of(FakeSink[int](fails_at=0, failures=2, error=error))
    assert [pipeline.run([1]).error for _ in range(3)] == [error, error, None]


@pytest.mark.parametrize("at", [0, 3, 600])
def test_what_it_refuses_is_a_reject_or_fails_the_load(at: int) -> None:
    def refuse(number: int) -> str | None:
        return "is unlucky" if number == 13 else None

    records = [*range(14, 14 + at), 13, 1]
    sink = FakeSink[int](refuses=refuse, continue_on_error=True, name="shop")
    result = pipeline_of(sink).run(records)
    assert (sink.stored, result.unwrap().records_rejected) == ([*range(14, 14 + at), 1], 1)
    assert [each.index for each in assert_rejects(result, "shop", (13, "is unlucky"))] == [at]
    strict = FakeSink[int](refuses=refuse, name="shop")
    failed = pipeline_of(strict).run(records)
    assert (strict.stored, str(failed.error)) == ([], "is unlucky")


@pytest.mark.parametrize("fails", ["before", "after"])
def test_a_durable_run_loads_each_record_once_though_nobody_knows_whether_a_commit_happened(
    tmp_path: Path, fails: Any
) -> None:
    sink = FakeSink[int](commit_fails=fails, failures=3)
    with VirtualClock():
        result = pipeline_of(FakeSource(range(6)), sink).run(store=tmp_path / "runs.db", run_id="1", commit_every=1)
    assert (result.error, sink.stored, sink.is_open) == (None, list(range(6)), 0)


@pytest.mark.parametrize("fails", ["before", "after"])
def test_a_failed_commit_fails_any_other_run(fails: Any) -> None:
    sink = FakeSink[int](commit_fails=fails)
    assert isinstance(pipeline_of(sink).run([1]).error, ConnectionLostError)
    assert (sink.stored, sink.is_open) == ([1] if fails == "after" else [], 0)


@pytest.mark.anyio
async def test_who_lost_a_run_writes_no_more_of_its_batches() -> None:
    sink = FakeSink[int]()
    early, late = Claim("run", 1), Claim("run", 2)
    assert await sink.claim(early) == 0
    stopped = await sink.begin_batch(PipelineContext(), early, 1)
    await stopped.write([1])
    assert await sink.claim(late) == 0
    with pytest.raises(LeaseLostError):
        await stopped.commit()
    await stopped.abort()
    with pytest.raises(LeaseLostError):
        await sink.claim(early)
    batch = await sink.begin_batch(PipelineContext(), late, 1)
    await batch.write([1])
    await batch.commit()
    assert (sink.stored, await sink.claim(late)) == ([1], 1)
    again = await sink.begin_batch(PipelineContext(), late, 1)
    with pytest.raises(LeaseLostError):
        await again.commit()
    await sink.forget(late)
    assert await sink.claim(early) == 0


def test_one_that_keeps_no_numbers_promises_less(tmp_path: Path) -> None:
    assert FakeSink[int]().durable_guarantee is Guarantee.EXACTLY_ONCE
    sink = FakeSink[int](keeps_numbers=False)
    pipeline = pipeline_of(FakeSource([1, 2]), sink)
    with pytest.raises(GuaranteeError):
        pipeline.run(store=tmp_path / "runs.db", run_id="1", guarantee="exactly-once")
    result = pipeline.run(store=tmp_path / "runs.db", run_id="2")
    assert (result.unwrap().guarantee, sink.stored) == (Guarantee.AT_LEAST_ONCE, [1, 2])


@pytest.mark.parametrize("option", [{"fails_at": -1}, {"failures": 0}, {"commit_fails": "sometimes"}])
def test_wrong_options_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="of FakeSink"):
        FakeSink(**option)
