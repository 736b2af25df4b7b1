"""What happens inside a worker process, done here: a piece through the stages, and what is sent back."""

from __future__ import annotations

import atexit
import json
import pickle
import threading
import traceback
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

import pytest
from tests.engine import sendable
from tests.runs import Abort

from mainstem import FilterStage, MapStage, Mean, NotSendableError, PipelineStage, WorkerFunctionError
from mainstem.engine import worker_main
from mainstem.engine.sent_error import SHOWN_FRAMES, ErrorPacker, received
from mainstem.engine.worker import Errand, ReadOnlyMetadata, Worker
from mainstem.engine.worker_main import pack_answer
from mainstem.stages.combiner import Combiner

pytestmark = pytest.mark.extras


def errand(
    *stages: PipelineStage[Any, Any], combiner: Combiner[Any, Any, Any] | None = None, backend: str = "asyncio"
) -> Errand:
    names = [f"stage {at}" for at in range(len(stages))]
    return Errand(stages, names, combiner, "run", {"factor": 2}, backend, combiner and "end")


def work(*stages: PipelineStage[Any, Any], records: list[Any], **options: Any) -> Any:
    """Let a worker do a piece, and read what it sends back."""
    with closing(Worker(errand(*stages, **options))) as worker:
        answer, output = pack_answer(*worker.work(records))
    return pickle.loads(output), pickle.loads(answer)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_positions_count_from_the_beginning_of_each_piece(backend: str) -> None:
    stages = FilterStage(sendable.is_odd), MapStage(sendable.refuse_sevens, continue_on_error=True)
    with closing(Worker(errand(*stages, backend=backend))) as worker:
        for records in ([1, 2, 7, 9], [14, 21, 3]):
            _, done = worker.work(records)
            (entry,) = done.entries
            kept = [record for record in records if record % 2]
            assert (entry.at_stage, entry.stage) == (1, "stage 1")
            assert entry.index - entry.first == kept.index(entry.record)


def test_counts_are_those_of_the_piece() -> None:
    with closing(Worker(errand(FilterStage(sendable.is_odd), MapStage(sendable.double)))) as worker:
        for _ in range(2):
            output, done = worker.work([1, 2, 3])
            assert output == [2, 6]
            counts = [(each.passed, each.filtered, each.failed) for each in done.counts if each is not None]
            assert counts == [(2, 1, 0), (2, 0, 0)]
            assert (done.records, done.failed, done.error, done.entries) == (2, None, None, [])


def test_a_stage_after_the_one_that_failed_had_nothing_to_do() -> None:
    # The stages in between are of no loop, in which all begin together.
    stages = MapStage(sendable.refuse_73), sendable.Positions("own"), MapStage(sendable.double)
    output, done = work(*stages, records=[1, 73, 2])
    assert output is None
    assert done.failed == 0
    assert [each is None for each in done.counts] == [False, True, True, True]


def test_a_worker_goes_on_after_a_failed_piece() -> None:
    with closing(Worker(errand(MapStage(sendable.refuse_73)))) as worker:
        assert worker.work([73])[1].failed == 0
        output, done = worker.work([1])
        assert (output, done.failed) == ([1], None)
    stages = MapStage(sendable.refuse_73), MapStage(sendable.refuse_sevens), MapStage(sendable.double)
    with closing(Worker(errand(*stages))) as worker:  # in one loop
        assert [worker.work([1, record])[1].failed for record in (1, 73, 7, 73)] == [None, 0, 1, 0]


def test_a_combiner_is_the_last_and_its_time_counts() -> None:
    output, done = work(MapStage(sendable.half), combiner=Mean(), records=[1, 2, 3])
    assert Mean[float]().finish(output) == pytest.approx(0.2)
    assert done.records == 3
    assert done.counts[1].duration_ms > 0
    output, done = work(combiner=sendable.Explodes(), records=[1, 73])
    assert (output, done.failed, done.errors[done.error].text) == (None, 0, "ArithmeticError: not 73")
    assert [(entry.at_stage, entry.stage) for entry in done.entries] == [(0, "end")]


@pytest.mark.parametrize(
    ("deed", "expected"),
    [
        (sendable.raise_system_exit, SystemExit(7)),
        (sendable.raise_interrupt, KeyboardInterrupt()),
        (sendable.raise_abort, sendable.Abort("at once")),
    ],
)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_is_no_exception_is_sent_as_it_is_and_no_stage_fails(
    deed: Any, expected: BaseException, backend: str
) -> None:
    output, done = work(MapStage(sendable.At(2, deed)), records=[1, 2], backend=backend)
    assert (output, done.failed) == (None, None)
    error = received(done.errors)[done.error]
    assert type(error) is type(expected)
    assert error.args == expected.args


def test_an_output_that_cannot_be_sent_fails_the_stage_and_keeps_the_rejects() -> None:
    stages = MapStage(sendable.refuse_sevens, continue_on_error=True), MapStage(sendable.lock_at_three)
    output, done = work(*stages, records=[7, 3, 1])
    assert output is None
    assert done.failed == 1
    assert done.errors[done.error].text.startswith(
        "WorkerFunctionError: a record, lock, that the stage gave cannot be sent back from a worker process: TypeError"
    )
    assert [(entry.record, done.errors[entry.error].text) for entry in done.entries] == [
        (7, "ValueError: 7 is divided by seven")
    ]


def test_an_accumulator_that_cannot_be_sent_fails_the_aggregation() -> None:
    _, done = work(MapStage(sendable.double), combiner=sendable.Locks(), records=[1])
    assert done.failed == 1
    assert "the accumulator that the stage gave" in done.errors[done.error].text


def test_a_reject_whose_record_cannot_be_sent_is_still_reported() -> None:
    stages = MapStage(sendable.lock_at_three), MapStage(sendable.refuse_locks, continue_on_error=True)
    output, done = work(*stages, records=[1, 3])
    assert output == [1]
    assert done.entries[0].record.startswith("<unlocked _thread.lock object")
    assert done.entries[0].record.endswith("(as text: the record itself cannot be sent from a worker process)")


def test_a_record_that_has_no_text_either() -> None:
    class Silent(Abort):
        def __init__(self) -> None:
            self.lock = threading.Lock()

        def __repr__(self) -> str:
            raise RuntimeError("no")

    _, done = work(MapStage(sendable.refuse_locks, continue_on_error=True), records=[Silent()])
    assert done.entries[0].record == "a Silent, which has no text (RuntimeError: no) and cannot be sent"


def test_metadata_can_be_read_and_not_written() -> None:
    metadata = ReadOnlyMetadata(factor=1)
    for write in sendable.WRITES:
        with pytest.raises(TypeError, match="cannot change"):
            write(metadata)
    assert metadata == {"factor": 1}


# --- exceptions


def sent(error: BaseException) -> Any:
    packer = ErrorPacker()
    number = packer.add(error)
    return received(pickle.loads(pickle.dumps(packer.sent())))[number]


@pytest.mark.parametrize(
    ("error", "text"),
    list(zip(sendable.UNSENDABLE, sendable.UNSENDABLE_TEXTS, strict=True)),
    ids=lambda each: type(each).__name__,
)
def test_an_error_that_cannot_be_sent_keeps_its_type_and_text(error: Exception, text: str) -> None:
    error.__notes__ = ["at record 1"]
    found = sent(error)
    assert type(found) is WorkerFunctionError
    assert str(found) == text
    assert found.__notes__ == ["at record 1"]


def test_notes_survive_where_pickle_loses_them() -> None:
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("{")
    caught.value.add_note("at record 1")
    found = sent(caught.value)
    assert type(found) is json.JSONDecodeError
    assert found.pos == 1
    assert found.__notes__[0] == "at record 1"


def test_the_cause_and_the_frames_survive_each_once() -> None:
    with pytest.raises(ValueError, match="no number") as caught:
        sendable.raise_with_cause(1)
    found = sent(caught.value)
    assert isinstance(found.__cause__, ZeroDivisionError)
    assert found.__cause__ is found.__context__
    (note,), (note_of_cause,) = found.__notes__, found.__cause__.__notes__
    assert note.startswith("raised in a worker process, at:\n")
    assert note.count("in raise_with_cause") == 1
    assert 'raise ValueError("no number") from error' in note
    assert "1 // (number - number)" in note_of_cause
    shown = "".join(traceback.format_exception(found))
    assert shown.count('raise ValueError("no number") from error') == 1


def test_only_the_users_frames_are_shown_and_of_those_the_last() -> None:
    _, done = work(MapStage(sendable.At(1, recurse)), records=[1])
    (note,) = [note for note in received(done.errors)[done.error].__notes__ if "worker process" in note]
    assert "mainstem/" not in note
    assert note.count("\n  File") <= SHOWN_FRAMES


def recurse() -> None:
    recurse()


def test_the_same_error_twice_stays_one_and_a_circle_of_causes_ends() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    packer = ErrorPacker()
    assert [packer.add(each) for each in (first, second, first)] == [0, 1, 0]
    errors = received(packer.sent())
    assert errors[0].__cause__ is errors[1]
    assert errors[1].__cause__ is errors[0]


def test_an_error_that_cannot_be_read_here_keeps_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    packer = ErrorPacker()
    packer.add(sendable.Changed("nothing"))
    monkeypatch.delattr(sendable, "Changed")
    (found,) = received(packer.sent())
    assert type(found) is WorkerFunctionError
    assert str(found) == "Changed: nothing"


# --- the functions that the pool calls in a worker


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Generator[Callable[[object], None]]:
    """Tell this process an errand, as if it were a worker."""

    def tell(thing: object) -> None:
        monkeypatch.setattr(worker_main, "_errand", pickle.dumps(thing))

    monkeypatch.setattr(worker_main, "_worker", None)
    yield tell
    if worker_main._worker is not None:
        atexit.unregister(worker_main._worker.close)
        worker_main._worker.close()


def test_a_worker_keeps_its_stages_from_piece_to_piece(told: Any) -> None:
    told(errand(MapStage(sendable.double)))
    worker_main.load()
    worker = worker_main._worker
    for records in ([1, 2], [3]):
        answer, output = worker_main.work(pickle.dumps(records), 0, len(records))
        assert pickle.loads(answer).records == len(records)
        assert pickle.loads(output) == [2 * record for record in records]
    assert worker_main._worker is worker


def test_a_worker_says_why_it_cannot_load_the_stages(told: Any) -> None:
    told(sendable.Unreadable())
    with pytest.raises(NotSendableError, match=r"cannot load the stages: RuntimeError: cannot be read\n.* imported"):
        worker_main.load()


def test_a_worker_says_why_it_cannot_read_a_piece_and_goes_on(told: Any) -> None:
    told(errand(MapStage(sendable.double)))
    with pytest.raises(NotSendableError, match=r"^one of records 5 to 6 cannot be read in a worker .* cannot be read"):
        worker_main.work(pickle.dumps([1, sendable.Unreadable()]), 5, 2)
    answer, _ = worker_main.work(pickle.dumps([1]), 7, 1)
    assert pickle.loads(answer).records == 1
