"""What cannot be sent to a worker process, or from there: it is refused, and the message says what to do."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.engine import sendable
from tests.engine.processes import (
    TWO,
    joined,
    nothing_left,
    run_program,
    run_with_workers,
    stream_with_workers,
)
from tests.runs import errors_of, pipeline_of, raising_iterator

from mainstem import (
    AggregateStage,
    FilterStage,
    MapStage,
    NotSendableError,
    PipelineContext,
    WorkerFunctionError,
)

pytestmark = [pytest.mark.anyio, pytest.mark.extras]


class Holds:
    def __init__(self, thing: object) -> None:
        self.thing = thing

    def __call__(self, number: int) -> int:
        return number


def untouched() -> Any:
    """An input that nobody may read."""
    return raising_iterator([], AssertionError("it was read"))


def test_a_stage_that_cannot_be_sent_is_refused_before_a_record_is_read(tmp_path: Path) -> None:
    (tmp_path / "read").touch()
    with (
        (tmp_path / "file").open("w") as file,
        (tmp_path / "read").open("rb") as binary,
        socket.socket() as connection,
    ):
        for thing in (threading.Lock(), file, binary, connection, (each for each in ())):
            for function in (Holds(thing), lambda _, held=thing: held):
                stage = MapStage[int, Any](function, name="mine")
                for start in (pipeline_of(stage).run, pipeline_of(stage).stream):
                    with pytest.raises(NotSendableError) as caught:
                        start(untouched(), workers=2)
                    text = str(caught.value)
                    assert text.startswith(f"stage 'mine', made at {__file__}:")
                    assert "cannot be sent to a worker process: " in text
                    assert "nothing that belongs to this process alone" in text
                    assert text.endswith("or run without workers")


async def test_execute_refuses_it_too(anyio_backend: str) -> None:
    with pytest.raises(NotSendableError, match=r"stage 'FilterStage', made at .*lock"):
        await pipeline_of(FilterStage(Holds(threading.Lock()))).execute(untouched(), workers=2)


def test_lambdas_and_local_functions_and_classes_can_be_sent() -> None:
    class Local(int):
        seen = 0

        def doubled(self) -> Any:
            return Local(2 * self)

    def local(number: int) -> Local:
        return Local(number)

    original = Local.doubled
    stages = MapStage(local), FilterStage(lambda number: number != 1), MapStage(lambda number: number.doubled())
    Local.seen = 1
    result = run_with_workers(*stages, data=range(3))
    assert result.data == [0, 4], result.error
    assert {type(record) for record in result.data} == {Local}
    assert Local.doubled is original
    again = run_with_workers(MapStage(lambda record: record.doubled()), data=[Local(3)] * 9)
    assert again.data == [6] * 9
    assert {type(record) for record in again.data} == {Local}


def test_metadata_that_cannot_be_sent_is_refused_by_its_key() -> None:
    context = PipelineContext(metadata={"fine": 1, "connection": threading.Lock()})
    with pytest.raises(NotSendableError, match=r"context\.metadata\['connection'\] cannot be sent .*_thread\.lock"):
        pipeline_of(MapStage(sendable.double)).run(untouched(), context=context, workers=2)


def test_metadata_that_became_unsendable_fails_the_run() -> None:
    context = PipelineContext()

    def records() -> Any:
        yield 1
        context.metadata["late"] = threading.Lock()

    stages = AggregateStage(list), MapStage(sendable.double)
    with nothing_left():
        result = pipeline_of(*stages).run(records(), context=context, workers=TWO)
    assert isinstance(result.error, NotSendableError)
    assert "context.metadata['late']" in str(result.error)


def test_a_record_that_cannot_be_sent_is_named_by_its_position() -> None:
    data = [*range(700), threading.Lock(), 1]
    chunks, result = stream_with_workers(MapStage(sendable.refuse_locks), data=data, chunk_size=50)
    assert isinstance(result.error, NotSendableError)
    assert str(result.error).startswith("record 700 cannot be sent to a worker process: TypeError: cannot pickle")
    assert joined(chunks) == list(range(len(joined(chunks))))
    assert result.records_in == len(joined(chunks)) >= 650


def test_a_record_that_no_worker_can_read() -> None:
    result = run_with_workers(MapStage(str), data=[1, sendable.Unreadable()])
    assert isinstance(result.error, NotSendableError)
    assert str(result.error).startswith("record 1 cannot be read in a worker process: RuntimeError: cannot be read")


def test_an_output_that_cannot_be_sent_back_names_the_stage() -> None:
    stages = MapStage(sendable.double), MapStage(sendable.halve_to_lock, name="locks")
    result = run_with_workers(*stages, data=range(10))
    assert isinstance(result.error, WorkerFunctionError)
    assert "a record, lock, that the stage gave cannot be sent back" in str(result.error)
    assert any(note.startswith(f"in stage 'locks', made at {__file__}:") for note in result.error.__notes__)
    assert result.context.current_stage == "locks"


def test_an_output_that_cannot_be_read_here_names_the_stage_and_the_records() -> None:
    result = run_with_workers(MapStage(sendable.unreadable_at_three), data=range(8))
    assert isinstance(result.error, NotSendableError)
    assert "cannot be read outside the worker process: RuntimeError: cannot be read" in str(result.error)
    assert str(result.error).startswith("what the stage gave for records 2 to 3 ")
    assert any(note.startswith("in stage 'MapStage'") for note in result.error.__notes__)


def test_a_reject_that_cannot_be_read_here_fails_the_run() -> None:
    stages = MapStage(sendable.unreadable_at_three), MapStage(sendable.refuse_locks, continue_on_error=True)
    result = run_with_workers(*stages, data=range(8))
    assert isinstance(result.error, WorkerFunctionError)
    assert str(result.error) == (
        "what became of records 2 to 3 cannot be read outside the worker process: RuntimeError: cannot be read"
    )


def test_accumulators_that_cannot_be_merged_fail_the_aggregation() -> None:
    result = run_with_workers(AggregateStage(sendable.NoMerge()), data=range(50))
    assert str(result.error) == "no merging"
    assert result.stage_results["AggregateStage"].records_failed > 0


def test_errors_that_cannot_be_sent_keep_type_and_text() -> None:
    result = run_with_workers(MapStage(sendable.raise_unsendable, continue_on_error=True), data=range(8))
    assert result.data == [5, 6, 7]
    assert errors_of(result.context) == [("MapStage", at, text) for at, text in enumerate(sendable.UNSENDABLE_TEXTS)]
    assert {type(entry.error) for entry in result.context.errors} == {WorkerFunctionError}
    result = run_with_workers(MapStage(sendable.raise_unsendable), data=range(8))
    assert str(result.error) == "TwoArguments: one and two"
    notes = result.error.__notes__
    assert [note.partition("\n")[0].partition(",")[0] for note in notes] == [
        "at record 0",
        "in stage 'MapStage'",
        "raised in a worker process",
    ]
    assert notes[2].count("raise UNSENDABLE[number]") == 1


# --- programs

PROGRAM = """
import sys
from dataclasses import dataclass
from enum import Enum
from mainstem import MapStage, Pipeline, Workers, current_context
class Color(Enum):
    RED = 1
class Refused(Exception):
    pass
@dataclass
class Record:
    number: int
    color: Color = Color.RED
    changed = 0
    def known(self):
        return {"before", "after"} & globals().keys()
def double(record):
    if record.number == 2:
        raise Refused(record)
    return Record(2 * record.number, record.color)
before = 1
pipeline = Pipeline("p").add_stage(MapStage(double, continue_on_error=True)).add_stage(MapStage(lambda record: record))
Record.changed = 0
def records():
    for number in range(4):
        yield Record(number)
        Record.changed += 1
result = pipeline.run(records(), workers=Workers(2, always=True))
after = 1
print(result.data if result.success else result.error)
(failed,) = result.context.errors
print([type(each) is Record for each in result.data], [each.color is Color.RED for each in result.data])
print(type(failed.error) is Refused, type(failed.record) is Record, failed.index)
print(Record.changed, sorted(result.data[0].known()))
"""

PRINTED = """\
[Record(number=0, color=<Color.RED: 1>), Record(number=2, color=<Color.RED: 1>), Record(number=6, color=<Color.RED: 1>)]
[True, True, True] [True, True, True]
True True 2
4 ['after', 'before']
"""


@pytest.mark.parametrize("way", ["script", "-c", "-", "-m"])
def test_a_program_needs_no_guard_and_its_classes_come_back_as_they_are(tmp_path: Path, way: str) -> None:
    """Neither copied, nor with methods that see copies of globals, nor with attributes of a while ago."""
    (tmp_path / "script.py").write_text(PROGRAM)
    arguments = {"script": ["script.py"], "-c": ["-c", PROGRAM], "-": ["-"], "-m": ["-m", "script"]}[way]
    ran = run_program(arguments, cwd=tmp_path, input=PROGRAM if way == "-" else None)
    assert (ran.stdout, ran.stderr) == (PRINTED, "")


def test_a_module_that_workers_cannot_import_is_named() -> None:
    ran = run_program(
        [
            "-c",
            "import sys, types\n"
            "from mainstem import MapStage, Pipeline, Workers\n"
            "made = sys.modules['made_up'] = types.ModuleType('made_up')\n"
            "exec('def double(number): return 2 * number', made.__dict__)\n"
            "result = Pipeline('p').add_stage(MapStage(made.double)).run(range(3), workers=Workers(2, always=True))\n"
            "print(result.error, result.error.__cause__)\n",
        ]
    )
    assert "cannot load the stages: ModuleNotFoundError: No module named 'made_up'" in ran.stdout, ran.stderr
    assert "put them in a module that can be imported" in ran.stdout
    assert ran.stdout.endswith(" None\n")  # no frames of the worker, which say nothing more
