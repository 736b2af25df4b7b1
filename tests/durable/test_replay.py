"""Replays: what they load, what fails again, what cannot be replayed, and that others see it so."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import anyio
import pytest

from mainstem import (
    BatchStage,
    BlockingCallError,
    BranchStage,
    Count,
    DedupeStage,
    FilterStage,
    FlattenStage,
    LimitStage,
    MapStage,
    Pipeline,
    PipelineChangedError,
    PipelineContext,
    PipelineStage,
    RejectError,
    RejectLedger,
    RunActiveError,
    RunCompletedError,
    RunError,
    Secret,
    SourceChangedError,
    SplitStage,
    StageResult,
    StoreError,
    TumblingWindow,
    ValidateRecordsStage,
    WindowStage,
    open_store,
)
from mainstem.connect import CsvSink, CsvSource, TableSink
from mainstem.store.model import RejectQuery, RejectState, RunRequest, RunStatus
from mainstem.store.owner import this_process

pytestmark = pytest.mark.extras
Make = Callable[..., Any]


def begun(name: str) -> Any:
    """A pipeline of any stages."""
    return Pipeline[Any, Any](name)


class Bench:
    """A store, a table, and pipelines between them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, folder / "store.db"
        self.url = f"sqlite:///{folder}/target.db"

    def sink(self, *, go_on: bool = True, **options: Any) -> TableSink[Any]:
        return TableSink(self.url, "numbers", continue_on_error=go_on, **options)

    def run(self, pipeline: Any, data: Any = None, run_id: str = "day", **options: Any) -> Any:
        return pipeline.run(data, store=self.store, run_id=run_id, **options)

    def replay(self, pipeline: Any, run_id: str = "day", **options: Any) -> Any:
        with RejectLedger(self.store) as ledger:
            return ledger.run_replay(pipeline, run_id, **options)

    def approve(self) -> int:
        with RejectLedger(self.store) as ledger:
            return ledger.approve(run_id="day")

    def rejects(self) -> list[Any]:
        with RejectLedger(self.store) as ledger:
            return ledger.list(run_id="day")

    def edit(self, at: int, record: Any) -> None:
        with RejectLedger(self.store) as ledger:
            reject = ledger.list(run_id="day")[at]
            ledger.edit(reject.id, record)
            ledger.approve(reject.id)

    def rows(self) -> list[int]:
        connection = sqlite3.connect(self.folder / "target.db")
        try:
            return [row[0] for row in connection.execute("SELECT number FROM numbers ORDER BY rowid")]
        finally:
            connection.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield Bench(tmp_path)
    to_row.mended = False


class ToRow:
    """Fails for numbers below zero, until it is mended."""

    mended = False

    def __call__(self, number: int) -> dict[str, int]:
        if number < 0 and not self.mended:
            raise ValueError(f"{number} is below zero")
        return {"number": number}


to_row = ToRow()


def make_row(number: int) -> dict[str, int]:
    return to_row(number)


def to_number(text: str) -> int:
    return int(text)


def number_of(row: dict[str, int]) -> int:
    return row["number"]


def numbers(sink: Any, *, go_on: bool = True) -> Any:
    return (
        begun("numbers")
        .add_stage(MapStage(to_number, name="number", continue_on_error=go_on))
        .add_stage(MapStage(make_row, name="row", continue_on_error=go_on))
        .add_stage(sink)
    )


def test_an_edited_record_enters_where_it_failed_and_is_loaded_once(bench: Bench) -> None:
    pipeline = numbers(bench.sink())
    assert bench.run(pipeline, ["1", "x", "3"]).success
    bench.edit(0, "2")
    report = bench.replay(pipeline)
    assert (report.run_id, report.replayed, report.failed_again, report.dropped) == ("day (replay)", 1, 0, 0)
    assert (report.load.records_loaded, report.load.records_rejected, report.skipped) == (1, 0, {})
    assert bench.rows() == [1, 3, 2]
    (reject,) = bench.rejects()
    assert (reject.state, reject.replays) == (RejectState.REPLAYED, 1)
    assert bench.replay(pipeline).replayed == 0
    assert bench.rows() == [1, 3, 2]


def test_a_mended_function_is_called_only_from_the_stage_on_that_failed(bench: Bench) -> None:
    pipeline = numbers(bench.sink())
    assert bench.run(pipeline, ["1", "-2", "3", "-4"]).success
    assert [(each.stage, each.record) for each in bench.rejects()] == [("row", "-2"), ("row", "-4")]
    assert bench.approve() == 2
    to_row.mended = True
    assert bench.replay(pipeline).replayed == 2
    assert bench.rows() == [1, 3, -2, -4]


def test_what_is_not_approved_is_left_alone_unless_its_state_is_named(bench: Bench) -> None:
    pipeline = numbers(bench.sink())
    assert bench.run(pipeline, ["-1", "-2", "-3"]).success
    to_row.mended = True
    with RejectLedger(bench.store) as ledger:
        first, second, _ = (each.id for each in ledger.list())
        ledger.approve(first)
        ledger.discard(second)
    assert bench.replay(pipeline).replayed == 1
    assert bench.rows() == [-1]
    assert bench.replay(pipeline, states=["open", "edited"]).replayed == 1
    assert bench.rows() == [-1, -3]
    for state in ("discarded", "replayed", "opened"):
        with pytest.raises(ValueError, match="open, edited, approved can be replayed, and not those that are"):
            bench.replay(pipeline, states=[state])


def test_stage_and_code_narrow_what_is_replayed(bench: Bench) -> None:
    pipeline = numbers(bench.sink())
    assert bench.run(pipeline, ["-1", "x"]).success
    bench.edit(0, "7")
    bench.approve()
    to_row.mended = True
    assert bench.replay(pipeline, stage="number").replayed == 1
    assert bench.replay(pipeline, code="KeyError").replayed == 0
    assert bench.replay(pipeline, code="ValueError").replayed == 1
    assert bench.rows() == [7, -1]


@pytest.mark.parametrize("go_on", [True, False])
def test_what_fails_again_is_open_with_what_went_wrong_now_and_the_others_go_on(go_on: bool, bench: Bench) -> None:
    assert bench.run(numbers(bench.sink()), ["1", "x", "y", "z"]).success
    bench.edit(0, "2")
    bench.edit(1, "-3")
    bench.edit(2, "4")
    report = bench.replay(numbers(bench.sink(), go_on=go_on))
    assert (report.replayed, report.failed_again) == (2, 1)
    assert bench.rows() == [1, 2, 4]
    failed = bench.rejects()[1]
    assert (failed.state, failed.stage, failed.record, failed.edited, failed.replays) == (
        RejectState.OPEN,
        "row",
        "-3",
        None,
        1,
    )
    assert failed.message.startswith("-3 is below zero")
    assert "at record" not in failed.message
    to_row.mended = True
    bench.approve()
    assert bench.replay(numbers(bench.sink())).replayed == 1
    assert bench.rows() == [1, 2, 4, -3]


@pytest.mark.parametrize("go_on", [True, False])
def test_what_the_sink_does_not_take_is_open_again_and_the_rest_is_loaded(go_on: bool, bench: Bench) -> None:
    assert bench.run(numbers(bench.sink(key="number")), ["1", "x", "y", "z"]).success
    for at, text in enumerate(["2", "1", "3"]):
        bench.edit(at, text)
    report = bench.replay(numbers(bench.sink(go_on=go_on, key="number")))
    assert (report.replayed, report.failed_again) == (2, 1)
    assert (report.load.records_loaded, report.load.records_rejected) == (2, 1)
    assert bench.rows() == [1, 2, 3]
    failed = bench.rejects()[1]
    assert (failed.state, failed.stage, failed.record) == (RejectState.OPEN, "TableSink", '{"number":1}')
    bench.edit(1, {"number": 9})
    assert bench.replay(numbers(bench.sink(key="number"))).replayed == 1
    assert bench.rows() == [1, 2, 3, 9]


@dataclass(frozen=True, slots=True)
class Line:
    number: int


def to_dict(line: Line) -> dict[str, int]:
    return {"number": line.number}


def test_a_line_that_the_source_could_not_read_is_read_again(bench: Bench) -> None:
    (bench.folder / "in.csv").write_text("number\n1\nx\ny\n")
    source = CsvSource(bench.folder / "in.csv", record_type=Line, continue_on_error=True)
    pipeline = begun("lines").add_stage(source).add_stage(MapStage(to_dict)).add_stage(bench.sink())
    assert bench.run(pipeline).success
    with RejectLedger(bench.store) as ledger:
        first, second = ledger.list()
        record = ledger.record_of(first)
        ledger.edit(first.id, type(record)("2" if isinstance(record, str) else {**record, "number": "2"}))
        ledger.approve(first.id, second.id)
    report = bench.replay(pipeline)
    assert (report.replayed, report.failed_again) == (1, 1)
    assert bench.rows() == [1, 2]
    failed = bench.rejects()[1]
    assert (failed.stage, failed.state, failed.record) == (second.stage, RejectState.OPEN, second.record)


def test_dedupe_knows_what_the_run_and_earlier_replays_have_let_through(bench: Bench) -> None:
    def pipeline() -> Any:
        return (
            begun("numbers")
            .add_stage(MapStage(to_number, name="number", continue_on_error=True))
            .add_stage(MapStage(make_row, name="row"))
            .add_stage(DedupeStage(number_of))
            .add_stage(bench.sink())
        )

    assert bench.run(pipeline(), ["1", "a", "2", "b", "c", "d"], commit_every=2).success
    bench.edit(0, "2")
    bench.edit(1, "3")
    report = bench.replay(pipeline())
    assert (report.replayed, report.dropped) == (2, 1)
    bench.edit(2, "3")
    bench.edit(3, "4")
    report = bench.replay(pipeline())
    assert (report.replayed, report.dropped) == (2, 1)
    assert bench.rows() == [1, 2, 3, 4]


def both(number: int) -> list[dict[str, int]]:
    return [{"number": number}, {"number": number + 1}]


def several(bench: Bench, *, go_on: bool = True) -> Any:
    return (
        begun("numbers")
        .add_stage(MapStage(to_number, name="number", continue_on_error=True))
        .add_stage(DedupeStage())
        .add_stage(MapStage(both, name="both"))
        .add_stage(FlattenStage())
        .add_stage(ValidateRecordsStage(is_small, name="small", continue_on_error=True))
        .add_stage(bench.sink(go_on=go_on, key="number"))
    )


def is_small(row: dict[str, int]) -> bool:
    return row["number"] < 100


@pytest.mark.parametrize("go_on", [True, False])
def test_a_reject_of_which_several_records_come_goes_through_whole_or_not_at_all(go_on: bool, bench: Bench) -> None:
    assert bench.run(several(bench), ["1", "a", "b", "c"]).success
    bench.edit(0, "2")  # 2 is there already
    bench.edit(1, "99")  # 100 is too large
    bench.edit(2, "50")
    report = bench.replay(several(bench, go_on=go_on))
    assert (report.replayed, report.failed_again, report.load.records_loaded) == (1, 2, 2)
    assert sorted(bench.rows()) == [1, 2, 50, 51]
    failed = bench.rejects()[:2]
    assert [(each.stage, each.record, each.state) for each in failed] == [
        ("number", '"2"', RejectState.OPEN),
        ("number", '"99"', RejectState.OPEN),
    ]
    # The stage that drops repeats has not seen them, for nothing of them was loaded.
    bench.edit(0, "30")
    bench.edit(1, "99")
    assert bench.replay(several(bench), states=["approved"]).failed_again == 1
    bench.edit(1, "98")
    assert bench.replay(several(bench)).replayed == 1
    assert sorted(bench.rows()) == [1, 2, 30, 31, 50, 51, 98, 99]


def test_a_batch_after_the_stage_is_one_of_one(bench: Bench) -> None:
    pipeline = (
        begun("numbers")
        .add_stage(MapStage(to_number, name="number", continue_on_error=True))
        .add_stage(BatchStage(3))
        .add_stage(MapStage(summed, name="sum"))
        .add_stage(bench.sink())
    )
    assert bench.run(pipeline, ["1", "2", "3", "4", "x", "y"]).success
    bench.edit(0, "10")
    bench.edit(1, "20")
    assert bench.replay(pipeline).replayed == 2
    assert bench.rows() == [6, 4, 10, 20]


def summed(batch: list[int]) -> dict[str, int]:
    return {"number": sum(batch)}


def is_odd(number: int) -> bool:
    return number % 2 == 1


def double(number: int) -> int:
    if number == 8:
        raise ValueError("no eights")
    return 2 * number


def test_a_reject_enters_its_branch_of_a_split_and_goes_on_behind_it(bench: Bench) -> None:
    even = MapStage(double, name="double", continue_on_error=True) >> MapStage(double, name="again")
    split = SplitStage({"odd": (is_odd, FilterStage(is_odd))}, otherwise=even, name="split")
    pipeline = begun("numbers").add_stage(split).add_stage(MapStage(make_row, name="row")).add_stage(bench.sink())
    assert bench.run(pipeline, [1, 8]).success
    assert [each.stage for each in bench.rejects()] == ["split/otherwise/double"]
    bench.edit(0, 5)
    assert bench.replay(pipeline).replayed == 1
    assert bench.rows() == [1, 20]


def test_a_reject_enters_the_stage_of_a_nested_pipeline(bench: Bench) -> None:
    inner = Pipeline[list[str], list[int]]("inner")
    inner.add_stage(MapStage(to_number, name="number", continue_on_error=True)).add_stage(MapStage(double))
    pipeline = begun("numbers").add_stage(inner).add_stage(MapStage(make_row)).add_stage(bench.sink())
    assert bench.run(pipeline, ["1", "x"]).success
    assert [each.stage for each in bench.rejects()] == ["inner/number"]
    bench.edit(0, "5")
    assert bench.replay(pipeline).replayed == 1
    assert bench.rows() == [2, 10]


def test_a_reject_inside_a_branch_cannot_be_replayed_and_is_told_why(bench: Bench) -> None:
    branches = BranchStage(left=MapStage(to_number, name="number", continue_on_error=True), name="branches")
    pipeline = begun("numbers").add_stage(branches).add_stage(RowsOf()).add_stage(bench.sink())
    assert bench.run(pipeline, ["1", "x"]).success
    bench.edit(0, "2")
    with pytest.raises(RejectError, match=r"no reject of run 'day' could be replayed:\n  1: it failed inside stage"):
        bench.replay(pipeline)
    assert bench.rows() == [1]
    assert [each.state for each in bench.rejects()] == [RejectState.APPROVED]


class RowsOf(PipelineStage[Any, Any]):
    """Takes the dict of a branching stage."""

    async def process(self, data: Any, context: PipelineContext) -> StageResult[Any]:
        return StageResult(data=[make_row(number) for number in data["left"]], records_processed=1)


class Largest(PipelineStage[Any, Any]):
    """Needs all of them, as any stage that does not say otherwise."""

    async def process(self, data: Any, context: PipelineContext) -> StageResult[Any]:
        return StageResult(data=[max(data)], records_processed=len(data), records_filtered=len(data) - 1)


def test_a_reject_before_a_stage_that_needs_its_whole_input_cannot_be_replayed_and_is_told_why(bench: Bench) -> None:
    pipeline: Any = (
        begun("numbers")
        .add_stage(MapStage(to_number, name="number", continue_on_error=True))
        .add_stage(Largest())
        .add_stage(MapStage(make_row))
        .add_stage(bench.sink())
    )
    assert bench.run(pipeline, ["1", "x", "2"]).success
    bench.edit(0, "3")
    with pytest.raises(RejectError, match=r"1: stage 'Largest', Largest, made its answer of all records of the run"):
        bench.replay(pipeline)
    assert bench.rows() == [2]


def test_a_reject_before_a_window_is_skipped_and_one_behind_it_is_replayed(bench: Bench) -> None:
    def when(number: int) -> float:
        return float(number)

    def row_of(window: Any) -> dict[str, int]:
        return make_row(-window.value if window.value > 1 else window.value)

    pipeline = (
        begun("numbers")
        .add_stage(MapStage(to_number, name="number", continue_on_error=True))
        .add_stage(WindowStage(TumblingWindow(10.0), timestamp=when, combiner=Count(), name="window"))
        .add_stage(MapStage(row_of, name="row", continue_on_error=True))
        .add_stage(bench.sink())
    )
    assert bench.run(pipeline, ["1", "2", "11", "x"]).success
    assert {each.stage for each in bench.rejects()} == {"number", "row"}
    to_row.mended = True
    bench.edit(1 if bench.rejects()[1].stage == "number" else 0, "3")
    bench.approve()
    report = bench.replay(pipeline)
    assert report.replayed == 1
    ((reason, count),) = report.skipped.items()
    assert (count, reason[:32]) == (1, "stage 'window', WindowStage, mad")
    assert bench.rows() == [1, -2]


def test_a_limit_that_was_reached_takes_no_more(bench: Bench) -> None:
    pipeline = (
        begun("numbers")
        .add_stage(MapStage(make_row, name="row", continue_on_error=True))
        .add_stage(LimitStage(2))
        .add_stage(bench.sink())
    )
    assert bench.run(pipeline, [1, -1, 2, 3]).success
    bench.approve()
    to_row.mended = True
    with pytest.raises(RejectError, match="stage 'LimitStage' has let through all that it lets through"):
        bench.replay(pipeline)
    assert bench.rows() == [1, 2]


def test_a_pipeline_without_a_sink_or_with_one_that_replaces_is_refused_before_anything_is_done(bench: Bench) -> None:
    mapped = Pipeline[list[str], list[int]]("numbers").map(to_number, continue_on_error=True)
    assert bench.run(mapped, ["x"]).success
    bench.approve()
    with pytest.raises(RejectError, match="pipeline 'numbers' ends in no sink"):
        bench.replay(mapped)
    for sink in (CsvSink(bench.folder / "out.csv"), TableSink(bench.url, "numbers", mode="replace")):
        with pytest.raises(RejectError, match=r"sink '\w+' replaces .* and nothing can be added to it"):
            bench.replay(numbers(sink))
    store = open_store(bench.store)
    assert [run.run_id for run in store.runs()] == ["day"]
    store.close()


def test_a_run_that_is_not_there_or_a_pipeline_that_is_another_is_refused(bench: Bench) -> None:
    pipeline = numbers(bench.sink())
    assert bench.run(pipeline, ["1", "x"]).success
    bench.edit(0, "2")
    with pytest.raises(RunError, match="has no run 'night' of pipeline 'numbers'"):
        bench.replay(pipeline, "night")
    changed = numbers(bench.sink(key="number"))
    with pytest.raises(PipelineChangedError, match=r"(?s)run 'day' began with:.*'TableSink'.*go on all the same with"):
        bench.replay(changed)
    assert bench.rows() == [1]
    assert bench.replay(changed, force=True).replayed == 1
    assert bench.rows() == [1, 2]


def test_a_stage_that_is_gone_is_a_reason_to_skip(bench: Bench) -> None:
    assert bench.run(numbers(bench.sink()), ["1", "x"]).success
    bench.edit(0, "2")
    renamed = begun("numbers").add_stage(MapStage(to_number, name="other")).add_stage(MapStage(make_row, name="row"))
    with pytest.raises(RejectError, match="the pipeline has no stage 'number' any more"):
        bench.replay(renamed.add_stage(bench.sink()), force=True)


def test_rejects_of_a_batch_that_is_not_committed_wait_for_the_run(bench: Bench) -> None:
    failing = numbers(bench.sink(), go_on=False)
    assert not bench.run(failing, ["1", "x"]).success
    bench.edit(0, "2")
    with pytest.raises(RejectError, match="the batch that it belongs to is not committed: resume the run first"):
        bench.replay(failing)


def test_a_stage_that_remembers_waits_for_the_end_of_the_run(bench: Bench) -> None:
    def pipeline(*, go_on: bool) -> Any:
        return (
            begun("numbers")
            .add_stage(MapStage(to_number, name="number", continue_on_error=True))
            .add_stage(DedupeStage(name="once"))
            .add_stage(MapStage(make_row, name="row", continue_on_error=go_on))
            .add_stage(bench.sink())
        )

    assert not bench.run(pipeline(go_on=False), ["x", "1", "-2", "5"], commit_every=1).success
    bench.edit(0, "5")
    with pytest.raises(RejectError, match="stage 'once' would not know of it: resume the run first"):
        bench.replay(pipeline(go_on=False))
    assert bench.run(pipeline(go_on=True), ["x", "1", "-2", "5"], commit_every=1).success
    assert bench.replay(pipeline(go_on=True)).dropped == 1
    assert bench.rows() == [1, 5]


@pytest.mark.anyio
async def test_two_replays_at_once_are_one_too_many(bench: Bench) -> None:
    started, goes_on = anyio.Event(), anyio.Event()

    async def slowly(number: int) -> dict[str, int]:
        if number < 0:
            started.set()
            await goes_on.wait()
        return {"number": number}

    def pipeline() -> Any:
        numbers_of = MapStage(to_number, name="number", continue_on_error=True)
        return begun("numbers").add_stage(numbers_of).add_stage(MapStage(slowly)).add_stage(bench.sink())

    assert (await pipeline().execute(["1", "x"], store=bench.store, run_id="day")).success
    bench.edit(0, "-2")
    with RejectLedger(bench.store) as ledger:
        reports: list[Any] = []
        async with anyio.create_task_group() as group:

            async def replay() -> None:
                reports.append(await ledger.replay(pipeline(), "day"))

            group.start_soon(replay)
            await started.wait()
            with pytest.raises(RunActiveError):
                await ledger.replay(pipeline(), "day")
            with pytest.raises(BlockingCallError, match=r"await ledger.replay\(...\) instead"):
                ledger.run_replay(pipeline(), "day")
            goes_on.set()
    assert reports[0].replayed == 1
    assert bench.rows() == [1, -2]


@pytest.mark.anyio
async def test_a_replay_that_is_cancelled_leaves_its_rejects_as_they_were(bench: Bench) -> None:
    started = anyio.Event()

    async def never(number: int) -> dict[str, int]:
        if number < 0:
            started.set()
            await anyio.sleep_forever()
        return {"number": number}

    numbers_of = MapStage(to_number, name="number", continue_on_error=True)
    pipeline: Any = begun("numbers").add_stage(numbers_of).add_stage(MapStage(never)).add_stage(bench.sink())
    assert (await pipeline.execute(["1", "x"], store=bench.store, run_id="day")).success
    bench.edit(0, "-2")
    with RejectLedger(bench.store) as ledger:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: ledger.replay(pipeline, "day"))
            await started.wait()
            group.cancel_scope.cancel()
        assert [each.state for each in ledger.list()] == [RejectState.APPROVED]
        replay, _ = ledger.store.runs()
        assert (replay.run_id, replay.status) == ("day (replay)", RunStatus.CANCELLED)


def test_a_replay_is_a_run_that_nobody_runs_by_mistake(bench: Bench) -> None:
    pipeline = numbers(bench.sink())
    assert bench.run(pipeline, ["1", "x", "y"]).success
    bench.edit(0, "2")
    assert bench.replay(pipeline).replayed == 1
    store = open_store(bench.store)
    replay, _ = store.runs()
    assert (replay.run_id, replay.status, replay.committed) == ("day (replay)", RunStatus.COMPLETED, 1)
    assert replay.guarantee == "exactly-once"
    assert {name: each.records_passed for name, each in replay.counts.items()} == {"number": 1, "row": 1}
    with pytest.raises(RunCompletedError):
        bench.run(pipeline, ["1"], run_id="day (replay)")
    # Nor is one that was killed.
    owner = this_process()
    store.begin(
        RunRequest(
            pipeline="numbers",
            run_id="day (replay)",
            shape=replay.shape,
            source=replay.source,
            owner=owner,
            lease_seconds=0.001,
            again=True,
        )
    )
    anyio.run(anyio.sleep, 0.01)
    with pytest.raises(SourceChangedError):
        bench.run(pipeline, iter(["1"]), run_id="day (replay)")
    store.close()


def test_a_long_name_of_a_run_is_no_hindrance(bench: Bench) -> None:
    pipeline = numbers(bench.sink())
    run_id = "d" * 200
    assert bench.run(pipeline, ["1", "x"], run_id=run_id).success
    with RejectLedger(bench.store) as ledger:
        ledger.edit(1, "2")
        ledger.approve(1)
        report = ledger.run_replay(pipeline, run_id)
    assert (report.replayed, len(report.run_id) <= 200) == (1, True)


def test_somebody_who_changes_a_reject_while_it_is_replayed_is_first(bench: Bench) -> None:
    pipeline: Any = (
        begun("numbers")
        .add_stage(MapStage(to_number, name="number", continue_on_error=True))
        .add_stage(MapStage(make_row, name="row"))
        .add_stage(bench.sink())
    )
    assert bench.run(pipeline, ["1", "x", "y"]).success
    bench.edit(0, "2")
    bench.edit(1, "3")
    meddling: list[int] = []

    def make(number: int) -> dict[str, int]:
        if number == 3 and not meddling:
            meddling.append(number)
            with RejectLedger(bench.store) as ledger:
                ledger.discard(ledger.list()[0].id)
        return {"number": number}

    replaced = begun("numbers").add_stage(MapStage(to_number, name="number")).add_stage(MapStage(make, name="row"))
    report = bench.replay(replaced.add_stage(bench.sink()), force=True)
    assert (report.replayed, [*report.skipped.values()]) == (1, [1])
    assert bench.rows() == [1, 3]
    assert [each.state for each in bench.rejects()] == [RejectState.DISCARDED, RejectState.REPLAYED]


@dataclass
class Login:
    number: str
    password: Annotated[str, Secret]


def log_in(login: Login) -> dict[str, int]:
    if login.password == "hunter22":
        raise ValueError(f"{login.password} is known to everybody")
    return {"number": int(login.number)}


def test_secrets_that_were_supplied_are_left_out_again_when_it_fails_again(bench: Bench) -> None:
    pipeline: Any = begun("logins").add_stage(MapStage(log_in, continue_on_error=True)).add_stage(bench.sink())
    assert bench.run(pipeline, [Login("1", "hunter22")]).success
    with pytest.raises(RejectError, match="its secret fields were left out"):
        bench.replay(pipeline, states=["open"])
    with RejectLedger(bench.store) as ledger:
        ledger.edit(1, {"number": "2", "password": "hunter22"})
        ledger.approve(1)
    assert bench.replay(pipeline).failed_again == 1
    (failed,) = bench.rejects()
    assert failed.is_redacted
    assert "hunter22" not in repr(failed)


def test_the_store_in_the_file_of_the_target_is_refused(bench: Bench) -> None:
    pipeline = numbers(bench.sink())
    with RejectLedger(bench.folder / "target.db") as ledger, pytest.raises(StoreError, match="are the same file"):
        ledger.run_replay(pipeline, "day")


def test_many_are_replayed_in_several_batches(bench: Bench) -> None:
    pipeline = numbers(bench.sink())
    assert bench.run(pipeline, [str(-number) for number in range(1, 1203)]).success
    bench.approve()
    to_row.mended = True
    report = bench.replay(pipeline)
    assert report.replayed == 1202
    assert bench.rows() == [-number for number in range(1, 1203)]
    store = open_store(bench.store)
    assert store.runs(run_id="day (replay)")[0].committed == 3
    assert store.count_rejects(RejectQuery(states=[RejectState.REPLAYED])) == 1202
    store.close()
