"""What a durable run refuses, and what observers cannot change."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.durable.numbers_sink import MemorySink

from mainstem import (
    BatchStage,
    EventBus,
    EventType,
    GuaranteeError,
    LoadReport,
    MapStage,
    Pipeline,
    PipelineChangedError,
    RunActiveError,
    RunCompletedError,
    SourceChangedError,
    StopPipeline,
    StoreError,
    open_store,
)
from mainstem.connect import CsvSource, TableSink
from mainstem.store.model import RunStatus


def double(number: int) -> int:
    return 2 * number


def numbers(sink: Any = None, size: int = 3) -> Pipeline[Any, Any, Any]:
    made: Any = Pipeline("numbers").add_stage(MapStage(double)).add_stage(BatchStage(size))
    return made.add_stage(sink or MemorySink())  # type: ignore[no-any-return]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def test_a_run_that_has_completed_is_not_run_again(store: Path) -> None:
    sink = MemorySink()
    assert numbers(sink).run([1, 2], store=store, run_id="a").success
    with pytest.raises(RunCompletedError, match="give another run_id"):
        numbers(sink).run([1, 2], store=store, run_id="a")
    assert sink.rows == [[2, 4]]


def test_a_run_of_nothing_is_complete(store: Path) -> None:
    sink, seen = MemorySink(), list[Any]()
    pipeline = numbers(sink)
    pipeline.on_complete(lambda output, context: seen.append(output))
    result = pipeline.run([], store=store, run_id="a")
    assert isinstance(result.data, LoadReport)
    assert result.data.records_loaded == 0
    assert len(seen) == 1
    with pytest.raises(RunCompletedError):
        numbers(sink).run([], store=store, run_id="a")


def test_the_same_run_twice_at_once_is_refused(store: Path) -> None:
    refused: list[Exception] = []

    def run_again(number: int) -> int:
        try:
            numbers().run([1], store=store, run_id="a")
        except Exception as error:
            refused.append(error)
        return number

    pipeline: Any = Pipeline("numbers").add_stage(MapStage(run_in_thread(run_again))).add_stage(MemorySink())
    assert pipeline.run([1], store=store, run_id="a").success
    assert isinstance(refused[0], RunActiveError)
    assert f"process {os.getpid()}" in str(refused[0])


def run_in_thread(function: Any) -> Any:
    import threading

    def call(value: Any) -> Any:
        thread = threading.Thread(target=function, args=(value,))
        thread.start()
        thread.join()
        return value

    return call


def failing(number: int) -> int:
    raise RuntimeError("not now")


def broken_off(store: Path, source: Any = None) -> Any:
    made: Any = Pipeline("numbers")
    if source is not None:
        made.add_stage(source)
    made.add_stage(MapStage(failing, name="MapStage")).add_stage(BatchStage(3)).add_stage(MemorySink())
    return made.run(None if source is not None else [1], store=store, run_id="a")


def test_a_changed_pipeline_is_refused_with_what_differs(store: Path) -> None:
    numbers(size=3).run([1], store=store, run_id="other")
    assert not broken_off(store).success
    with pytest.raises(PipelineChangedError) as caught:
        numbers(size=4).run([1], store=store, run_id="a")
    assert "stage 'BatchStage': size is 4; it was 3" in str(caught.value)
    assert "function is" in str(caught.value)
    assert numbers(size=4).run([1], store=store, run_id="a", force=True).success


def test_a_changed_file_is_refused_once_some_of_it_is_loaded(store: Path, tmp_path: Path) -> None:
    file, sink, broken = tmp_path / "n.csv", MemorySink(), True
    file.write_text("n\n" + "\n".join(map(str, range(100))) + "\n")

    def number_of(row: dict[str, str]) -> int:
        if broken and row["n"] == "70":
            raise RuntimeError("not now")
        return int(row["n"])

    def made() -> Any:
        return Pipeline[None, Any]("n").add_stage(CsvSource(file)).map(number_of).add_stage(sink)

    assert not made().run(store=store, run_id="a", commit_every=30).success
    before = file.read_text()
    broken = False
    file.write_text(before.replace("99", "98"))
    with pytest.raises(SourceChangedError, match="sha256_of_ends"):
        made().run(store=store, run_id="a")
    assert made().run(store=store, run_id="a", force=True).success
    assert len(sink.rows) == 99  # the sink takes no 13


@pytest.mark.parametrize("guarantee", ["exactly-once"])
def test_a_guarantee_that_cannot_be_had_is_refused_before_anything_is_done(guarantee: Any, store: Path) -> None:
    with pytest.raises(GuaranteeError, match="it ends in no sink"):
        Pipeline[list[int], list[int]]("x").map(double).run([1], store=store, guarantee=guarantee)
    assert not store.exists()
    assert numbers().run([1], store=store, guarantee=guarantee).data.guarantee.value == guarantee


def test_store_and_target_in_one_file_are_refused(tmp_path: Path) -> None:
    place = tmp_path / "both.db"
    with pytest.raises(StoreError, match=r"both\.db"):
        Pipeline("x").add_stage(TableSink(f"sqlite:///{place}", "t")).run([{"a": 1}], store=place)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"guarantee": "exactly-once"}, ValueError, "give a run_id, a store or both"),
        ({"run_id": ""}, ValueError, "run_id"),
        ({"run_id": "a", "commit_every": 0}, ValueError, "commit_every"),
        ({"run_id": "a", "commit_every": timedelta(0)}, ValueError, "commit_every"),
        ({"run_id": "a", "lease": timedelta(0)}, ValueError, "lease"),
        ({"run_id": "a", "lease": 10}, ValueError, "lease must be a timedelta"),
        ({"run_id": "a", "lease": timedelta.max}, ValueError, "not than a year"),
        ({"max_reject_rate": "0.1"}, ValueError, "max_reject_rate"),
        ({"run_id": "a", "guarantee": "twice"}, ValueError, "twice"),
        ({"max_rejects": -1}, ValueError, "max_rejects"),
        ({"max_reject_rate": 1.5}, ValueError, "max_reject_rate"),
        ({"max_reject": 1}, TypeError, "max_reject"),
    ],
)
def test_wrong_options_are_errors_at_once(options: Any, kind: type[Exception], words: str, store: Path) -> None:
    if "run_id" in options:
        options["store"] = store
    with pytest.raises(kind, match=words):
        numbers().run([1], **options)


@pytest.mark.parametrize("place", ["", "no/such/folder/x.db", "mysql://x/y", "sqlite:///:memory:"])
def test_a_place_that_is_no_store_is_an_error(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError):
        numbers().run([1], store=place)
    with pytest.raises(StoreError, match="folder"):
        numbers().run([1], store=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_default_store_is_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAINSTEM_STORE", raising=False)
    numbers().run([1], run_id="a").unwrap()
    assert (tmp_path / "mainstem.db").stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("MAINSTEM_STORE", "other.db")
    numbers().run([1], run_id="a").unwrap()
    assert (tmp_path / "other.db").exists()


@pytest.mark.parametrize("point", ["before_stage", "after_stage", "on_complete"])
@pytest.mark.parametrize("kind", [RuntimeError, StopPipeline])
def test_hooks_that_raise_change_no_row(point: str, kind: type[Exception], store: Path) -> None:
    sink, calm = MemorySink(), MemorySink()
    numbers(calm).run(list(range(10)), store=store, run_id="calm").unwrap()
    pipeline = numbers(sink)

    def hook(*_: Any) -> None:
        raise kind("no")

    getattr(pipeline, point)(hook)
    result = pipeline.run(list(range(10)), store=store, run_id="a", commit_every=3)
    if kind is StopPipeline and point != "on_complete":
        assert not result.success
        assert numbers(sink).run(list(range(10)), store=store, run_id="a", commit_every=3).success
    assert [n for batch in sink.rows for n in batch] == [n for batch in calm.rows for n in batch]


def test_the_event_of_the_end_comes_after_the_last_commit(store: Path) -> None:
    bus, sink, rows = EventBus(), MemorySink(), list[Any]()
    bus.subscribe(EventType.ITEM_UPDATED, lambda event: rows.append((event.data["status"], len(sink.rows))))
    pipeline: Any = Pipeline("numbers", event_bus=bus).add_stage(MapStage(double)).add_stage(sink)
    pipeline.run(list(range(10)), store=store, run_id="a", commit_every=3).unwrap()
    assert rows == [("completed", 10)]


def test_a_run_without_a_sink_keeps_its_rejects(store: Path) -> None:
    pipeline = Pipeline[list[str], list[int]]("digits").map(int, continue_on_error=True)
    result = pipeline.run(["1", "x", "2"], store=store, run_id="a")
    assert result.data == [1, 2]
    opened = open_store(store)
    (run,) = opened.runs()
    assert (run.status, run.guarantee, run.rejects) == (RunStatus.COMPLETED, "at-least-once", {"open": 1})
    opened.close()


def test_errors_in_the_context_are_the_latest_and_all_are_counted_and_kept(store: Path) -> None:
    pipeline = Pipeline[list[str], list[int]]("digits").map(int, continue_on_error=True)
    result = pipeline.run(["x"] * 5000, store=store, run_id="a")
    assert 1000 <= len(result.context.errors) < 2000
    assert result.context.errors[-1].index == 4999
    assert result.records_failed == 5000
    opened = open_store(store)
    assert opened.runs()[0].rejects == {"open": 5000}
    opened.close()
