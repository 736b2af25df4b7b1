"""The figures of a run that goes on: rates, what a stage waits on, and how much is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.connect.reading import read_chunks

from mainstem import (
    ConnectError,
    MapStage,
    Pipeline,
    PipelineContext,
    SinkStage,
    SinkTransaction,
    SourceChunk,
    SourceStage,
)
from mainstem.connect import CsvSource, JsonLinesSource
from mainstem.context import StageProgress
from mainstem.progress import ProgressWatch, StageFigures, figures
from mainstem.progress.words import estimate_of, format_per_second, line_of
from mainstem.stages.throttle import ThrottleStage

pytestmark = pytest.mark.extras


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(figures, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def stage(name: str, *, waits: bool = False) -> MapStage[Any, Any]:
    made: MapStage[Any, Any] = MapStage(int, name=name)
    made.waits = waits
    return made


def test_a_rate_is_that_of_the_last_seconds(clock: Clock) -> None:
    context = PipelineContext()
    watch = ProgressWatch([stage("a"), stage("b")], context)
    assert [(each.name, each.state) for each in watch.look()] == [("a", "waiting"), ("b", "waiting")]
    counts = context.progress["a"] = StageProgress(1000, 990, 4, 6, 500.0)
    first = watch.look()[0]
    assert (first.state, first.rate, first.records_failed) == ("running", 2000.0, 6)
    for _ in range(20):
        clock.now += 1
        counts.records_in += 100
        last = watch.look()[0]
    assert last.rate == 100.0
    clock.now += 10
    assert watch.look()[0].rate == pytest.approx(0.0, abs=50)
    clock.now += 10
    assert watch.look()[0].rate == 0.0
    counts.done = True
    assert watch.look()[0].state == "done"


@pytest.mark.parametrize(
    ("change", "waits", "shown"),
    [
        ({"idle": "input"}, False, "its input"),
        ({"idle": "output", "records_in": 20}, False, "the next stage"),
        ({"duration_ms": 1000.0, "throttle_ms": 900.0, "records_in": 20}, True, "its rate limit"),
        ({"duration_ms": 1000.0, "retry_ms": 900.0, "records_in": 20}, True, "retries"),
        ({}, True, "an answer"),
        ({}, False, ""),
        ({"records_in": 20, "duration_ms": 1000.0}, True, ""),
        ({"done": True, "idle": "input"}, True, ""),
    ],
)
def test_what_a_stage_waits_on(clock: Clock, change: dict[str, Any], waits: bool, shown: str) -> None:
    context = PipelineContext()
    watch = ProgressWatch([stage("a", waits=waits)], context)
    counts = context.progress["a"] = StageProgress(10, 10, 0, 0, 0.0)
    watch.look()
    for name, value in change.items():
        setattr(counts, name, value)
    clock.now += 1
    assert watch.look()[0].waiting_on == shown


def test_a_stage_behind_one_that_waits_waits_too(clock: Clock) -> None:
    context = PipelineContext()
    watch = ProgressWatch([stage("a", waits=True), stage("b")], context)
    context.progress |= {"a": StageProgress(10, 10), "b": StageProgress(10, 10)}
    watch.look()
    clock.now += 1
    assert [each.waiting_on for each in watch.look()] == ["an answer", "its input"]


def test_an_estimate_goes_by_what_was_read_since_the_first_look(clock: Clock) -> None:
    context = PipelineContext()
    watch = ProgressWatch([stage("a")], context, total=1000)
    counts = context.progress["a"] = StageProgress(200, 200, 0, 0, 10.0)
    assert (watch.look()[0].share, watch.look()[0].remaining_s) == (0.2, None)
    clock.now += 10
    counts.records_in = 400
    found = watch.look()[0]
    assert (found.share, found.remaining_s) == (0.4, pytest.approx(30.0))
    assert estimate_of(found) == "40 %, about 30.0 s left"
    counts.records_in, counts.done = 2000, True
    assert (watch.look()[0].share, watch.look()[0].remaining_s) == (1.0, None)


def share_of(source: SourceStage[Any, Any], positions: list[Any]) -> list[float | None]:
    return [source.share_before(position) for position in positions]


def test_files_know_how_much_of_them_is_read(tmp_path: Path) -> None:
    import gzip

    text = "id\n" + "".join(f"{number:04}\n" for number in range(1000))
    (tmp_path / "a.csv").write_text(text)
    (tmp_path / "b.csv").write_text(text)
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(text.encode()))

    def shares(source: SourceStage[Any, Any]) -> list[float | None]:
        chunks = anyio.run(lambda: read_chunks(source, chunk_size=500))
        return share_of(source, [chunk.position for chunk in chunks])

    assert shares(CsvSource(tmp_path / "a.csv")) == [pytest.approx(0.5, abs=0.001), 1.0]
    assert shares(CsvSource(f"{tmp_path}/?.csv")) == [pytest.approx(each, abs=0.001) for each in (0.25, 0.5, 0.75, 1.0)]
    assert shares(CsvSource(tmp_path / "c.csv.gz")) == [None, None], "its positions are those of what it unpacks to"
    assert shares(CsvSource([tmp_path / "a.csv", tmp_path / "c.csv.gz"]))[2:] == [pytest.approx(0.75, abs=0.01)] * 2
    (tmp_path / "l.jsonl").write_text('{"id": 1}\n' * 10)
    assert shares(JsonLinesSource(tmp_path / "l.jsonl")) == [1.0]


def test_what_is_not_known_is_no_share(tmp_path: Path) -> None:
    assert share_of(CsvSource("memory://a.csv"), [{"byte": 1}]) == [None]
    (tmp_path / "a.csv").write_text("id\n1\n")
    assert share_of(CsvSource(tmp_path / "a.csv"), [{"row": 1}]) == [None]
    context = PipelineContext()
    watch = ProgressWatch([CsvSource(tmp_path / "none.csv", name="a")], context)
    context.progress["a"] = StageProgress(1, 1, position={"byte": 1})
    assert watch.look()[0].share is None
    with pytest.raises(ConnectError):
        CsvSource(tmp_path / "none.csv").share_before({"byte": 1})


class Slowly(SourceStage[int]):
    """Gives a number when it is let."""

    def __init__(self) -> None:
        self.gate = anyio.Event()

    async def read(self, context: Any, *, start: Any = None, chunk_size: int = 1000) -> Any:
        yield SourceChunk([1], {"at": 1})
        await self.gate.wait()
        yield SourceChunk([2], {"at": 2})

    def share_before(self, position: Any) -> float | None:
        return float(position["at"] / 2)


class Held(SinkStage[int]):
    target = "nowhere"

    async def begin(self, context: Any) -> Any:
        return HeldTransaction()


class HeldTransaction(SinkTransaction[int]):
    async def write(self, records: Any) -> int:
        return 0

    async def commit(self, position: Any = None) -> None: ...

    async def abort(self) -> None: ...


async def seen(watch: ProgressWatch, wanted: Callable[[list[StageFigures]], bool]) -> list[StageFigures]:
    """Look until the figures are so."""
    for _ in range(1000):
        found = watch.look()
        if wanted(found):
            return found
        await anyio.sleep(0.01)
    raise AssertionError(f"never seen, and now {watch.look()}")


def test_a_real_run_shows_what_its_stages_wait_on() -> None:
    async def run() -> list[StageFigures]:
        source = Slowly()
        pipeline: Any = Pipeline("slowly").add_stage(source).map(abs, name="abs").add_stage(Held())
        context = PipelineContext()
        watch = ProgressWatch(pipeline.stages, context)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: pipeline.execute(None, context=context))
            await seen(watch, lambda found: found[-1].waiting_on == "its input" and found[-1].records_in == 1)
            found = await seen(watch, lambda found: found[0].waiting_on == "an answer")
            source.gate.set()
        ended = watch.look()
        assert [(each.state, each.records_in, each.waiting_on) for each in ended] == [("done", 2, "")] * 3
        assert ended[0].share == 1.0
        return found

    found = anyio.run(run)
    assert [each.waiting_on for each in found] == ["an answer", "its input", "its input"]
    assert found[0].share == 0.5


def test_a_rate_limit_is_seen_while_it_holds() -> None:
    async def run() -> None:
        pipeline: Any = Pipeline[list[int], list[int]]("slow").add_stage(ThrottleStage(5, per=0.4, name="limit"))
        context = PipelineContext()
        watch = ProgressWatch(pipeline.stages, context, total=40)
        async with anyio.create_task_group() as tasks:

            async def execute() -> None:
                async with pipeline.stream(range(40), chunk_size=1, context=context) as chunks:
                    assert [chunk async for chunk in chunks]

            tasks.start_soon(execute)
            await seen(watch, lambda found: found[0].waiting_on == "its rate limit")

    anyio.run(run)


@pytest.mark.parametrize(
    ("rate", "shown"), [(None, ""), (0.0, "0.0/s"), (12.34, "12.3/s"), (1234.0, "1.2k/s"), (2_000_000.0, "2.0M/s")]
)
def test_rates_have_about_three_digits(rate: float | None, shown: str) -> None:
    assert format_per_second(rate) == shown


def test_a_line_holds_all_figures_and_nothing_that_is_not_seen() -> None:
    running = StageFigures(
        name="a\x1b[31m",
        state="running",
        records_in=1200,
        records_passed=1190,
        records_filtered=4,
        records_failed=6,
        rate=100.0,
        waiting_on="its input",
        share=0.5,
        remaining_s=90,
    )
    assert line_of(running) == (
        "a\\x1b[31m: 1,200 in, 1,190 out, 4 filtered, 6 rejected, 100/s, 50 %, about 1 min 30 s left, "
        "waiting on its input"
    )
    done = StageFigures(name="a", state="done", records_in=2, records_passed=2, duration_ms=1500.0, rate=1.3)
    assert line_of(done) == "a: 2 in, 2 out, 1.5 s"
