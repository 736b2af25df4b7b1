"""Wherever a durable run is broken off, and however often, it ends as one that was not."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.durable.numbers_sink import MemorySink

from mainstem import (
    BatchStage,
    DedupeStage,
    FilterStage,
    FlattenStage,
    KeyedStage,
    LimitStage,
    MapStage,
    Pipeline,
    PipelineStage,
    RunCompletedError,
    StoreError,
    Sum,
    TapStage,
    TumblingWindow,
    WindowStage,
    open_store,
)
from mainstem.durable.batches import RunBatches
from mainstem.store.model import RejectQuery, RunStatus

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


class Stop(Exception):
    """Breaks a run off."""


class Fuse:
    """Lets so many calls pass, and then breaks the run off."""

    def __init__(self) -> None:
        self.left = -1

    def call(self) -> None:
        if self.left == 0:
            raise Stop
        self.left -= 1


fuse = Fuse()


def halve(number: int) -> int:
    if number % 7 == 3:
        raise ValueError(f"no half of {number}")
    return number // 2


async def later(number: int) -> int:
    await anyio.sleep(0)
    fuse.call()
    return number


def watched(number: int) -> int:
    fuse.call()
    return number


def is_even(number: int) -> bool:
    return number % 2 == 0


def last_digit(number: int) -> int:
    return number % 10


def watched_time(number: int) -> int:
    return number


def described(window: Any) -> str:
    return f"{window.start} {window.value}"


def total(group: Any) -> int:
    return int(group[1])


Stages = Callable[[], list[PipelineStage[Any, Any]]]

STAGES: dict[str, Stages] = {
    "map": lambda: [MapStage(halve, continue_on_error=True)],
    "filter": lambda: [FilterStage(is_even)],
    "watched": lambda: [MapStage(watched)],
    "tap": lambda: [TapStage(watched)],
    "async": lambda: [MapStage(later, concurrency=4)],
    "dedupe": lambda: [DedupeStage()],
    "bounded dedupe": lambda: [DedupeStage(max_keys=5)],
    "batch": lambda: [BatchStage(7), FlattenStage()],
    "limit": lambda: [LimitStage(60)],
    "keyed": lambda: [KeyedStage(last_digit, Sum[int]()), MapStage(total)],
    "window": lambda: [WindowStage(TumblingWindow(10), timestamp=watched_time), MapStage(described)],
    "sum": lambda: [MapStage(lambda number: number + 1)],
}


def pipeline(names: list[str], sink: MemorySink) -> Pipeline[Any, Any, Any]:
    made: Any = Pipeline("numbers")
    for name in names:
        for stage in STAGES[name]():
            made.add_stage(stage)
    return made.add_stage(sink)  # type: ignore[no-any-return]


@given(
    names=st.lists(st.sampled_from([name for name in STAGES if name != "window"]), max_size=4),
    numbers=st.lists(st.integers(0, 50), max_size=150),
    fuses=st.lists(st.integers(0, 200), max_size=5),
    every=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    how=st.sampled_from(["list", "iterator", "async"]),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_broken_off_anywhere_a_run_ends_as_it_would_have(
    names: list[str], numbers: list[int], fuses: list[int], every: list[int], how: str
) -> None:
    fuse.left = -1
    calm = MemorySink()
    expected = pipeline(names, calm).run(numbers)
    rejects = Counter((each.stage, each.index, str(each.error)) for each in expected.context.errors)
    assert expected.success
    sink = MemorySink()
    with TemporaryDirectory(dir=MEMORY) as folder:
        store = open_store(Path(folder, "store.db"))
        for attempt in range(len(fuses) + 1):
            fuse.left = fuses[attempt] if attempt < len(fuses) else -1
            data = numbers if how == "list" else iter(numbers) if how == "iterator" else _given(numbers)
            options: Any = {"store": store, "run_id": "a", "commit_every": every[attempt % len(every)]}
            result = pipeline(names, sink).run(data, **options)
            assert sink.open == 0
            if result.success:
                break
            assert isinstance(result.error, Stop), result.error
        assert sink.rows == calm.rows
        kept = store.rejects(RejectQuery())
        assert Counter((each.stage, each.index, each.message.splitlines()[0]) for each in kept) == rejects
        assert all(each.is_settled for each in kept)
        for count in ("records_in", "records_failed", "records_filtered"):
            assert getattr(result, count) == getattr(expected, count)
        (run,) = store.runs()
        assert run.status is RunStatus.COMPLETED
        store.close()


async def _given(numbers: list[int]) -> Any:
    for number in numbers:
        yield number


def test_windows_are_gone_on_with(tmp_path: Path) -> None:
    for fails_at in range(0, 60, 7):
        numbers, calm, sink = [n % 37 for n in range(60)], MemorySink(), MemorySink()
        fuse.left = -1
        pipeline(["watched", "window"], calm).run(numbers).unwrap()
        store = tmp_path / f"{fails_at}.db"
        fuse.left = fails_at
        assert not pipeline(["watched", "window"], sink).run(numbers, store=store, run_id="a", commit_every=5).success
        fuse.left = -1
        assert pipeline(["watched", "window"], sink).run(numbers, store=store, run_id="a", commit_every=5).success
        assert sink.rows == calm.rows


@pytest.mark.parametrize("fails_at", range(8))
def test_a_store_that_fails_stops_the_run_and_loses_nothing(
    fails_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fuse.left = -1
    sink, calls = MemorySink(), 0
    prepare = RunBatches._prepare

    def failing(self: RunBatches, barrier: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == fails_at + 1:
            raise StoreError("the disk is full")
        prepare(self, barrier)

    monkeypatch.setattr(RunBatches, "_prepare", failing)
    names, numbers = ["map", "async", "dedupe"], list(range(50))
    first = pipeline(names, sink).run(numbers, store=tmp_path / "store.db", run_id="a", commit_every=10)
    if not first.success:
        assert "the disk is full" in str(first.error)
        assert len(sink.rows) < 25
        assert pipeline(names, sink).run(numbers, store=tmp_path / "store.db", run_id="a", commit_every=10).success
    calm = MemorySink()
    pipeline(names, calm).run(numbers).unwrap()
    assert sink.rows == calm.rows
    assert sink.open == 0


class _Steps:
    """Drives a coroutine step by step, and throws a cancellation into it at one of them."""

    def __init__(self, at: int) -> None:
        self._at = at
        self.steps = 0

    async def run(self, work: Callable[[], Any]) -> Any:
        import asyncio

        task = asyncio.ensure_future(work())
        while not task.done():
            if self.steps == self._at:
                task.cancel()
            self.steps += 1
            await asyncio.sleep(0)
            if self.steps > self._at:
                break
        return await asyncio.gather(task, return_exceptions=True)


def _places(total: int) -> Iterator[int]:
    """Give each of the first steps, and some of the later ones: a run has as many as its threads make."""
    yield from range(min(total, 60))
    yield from range(60, total, 7)


@pytest.mark.timeout(180)
def test_cancelled_at_any_step_a_run_leaves_nothing_behind_and_goes_on(tmp_path: Path) -> None:
    import asyncio

    numbers, names = list(range(60)), ["map", "async", "dedupe"]
    calm = MemorySink()
    fuse.left = -1
    pipeline(names, calm).run(numbers).unwrap()
    before = threading.active_count()
    for at in _places(300):
        sink, store = MemorySink(), tmp_path / f"{at}.db"

        async def work(sink: MemorySink = sink, store: Path = store) -> Any:
            return await pipeline(names, sink).execute(numbers, store=store, run_id="a", commit_every=20)

        async def drive(at: int = at) -> Any:
            ended = await _Steps(at).run(work)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, left
            return ended

        asyncio.run(drive())
        assert sink.open == 0
        with suppress(RunCompletedError):
            assert pipeline(names, sink).run(numbers, store=store, run_id="a", commit_every=20).success
        assert sink.rows == calm.rows, f"cancelled at step {at}"
        assert not [each for each in threading.enumerate() if each.name.startswith("mainstem lease")]
    assert threading.active_count() <= before + 2
