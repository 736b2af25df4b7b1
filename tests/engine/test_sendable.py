"""What cannot be sent to a worker process, or from there: it is refused, and the message says what to do."""

from __future__ import annotations

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

pytestmark = pytest.mark.anyio


class Holds:
    def __init__(self, thing: object) -> None:
        self.thing = thing

    def __call__(self, number: int) -> int:
        return number


def untouched() -> Any:
    """An input that nobody may read."""
    return raising_iterator([], AssertionError("it was read"))


def test_a_stage_that_cannot_be_sent_is_refused_before_a_record_is_read(tmp_path: Path) -> None:
    def local(number: int) -> int:
        return number

    with (tmp_path / "file").open("w") as file:
        for function in (lambda number: number, local, Holds(threading.Lock()), Holds(file)):
            stage = MapStage[int, int](function, name="mine")
            for start in (pipeline_of(stage).run, pipeline_of(stage).stream):
                with pytest.raises(NotSendableError) as caught:
                    start(untouched(), workers=2)
                text = str(caught.value)
                assert text.startswith(f"stage 'mine', made at {__file__}:")
                assert "cannot be sent to a worker process: " in text
                assert "defined at the top of a module" in text
                assert text.endswith("or run without workers")


async def test_execute_refuses_it_too(anyio_backend: str) -> None:
    with pytest.raises(NotSendableError, match=r"stage 'FilterStage', made at .*lambda"):
        await pipeline_of(FilterStage(lambda number: True)).execute(untouched(), workers=2)


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

GUARDED = """
import sys
from mainstem import MapStage, Pipeline, Workers
{definitions}
def main():
    pipeline = Pipeline("p").add_stage(MapStage({function}))
    result = pipeline.run({data}, workers=Workers(2, always=True))
    print(result.data if result.success else result.error)
"""

DEFINITIONS = """
from dataclasses import dataclass
@dataclass
class Record:
    number: int
def double(number):
    if number == 2:
        print("working")
    return Record(2 * number)
"""


def program(definitions: str = DEFINITIONS, function: str = "double", data: str = "range(3)", end: str = "") -> str:
    return GUARDED.format(definitions=definitions, function=function, data=data) + (
        end or "if __name__ == '__main__':\n    main()\n"
    )


def test_a_guarded_script_may_define_functions_and_records(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(program())
    ran = run_program([str(script)])
    assert ran.stdout.splitlines()[-1] == "[Record(number=0), Record(number=2), Record(number=4)]", ran.stderr
    assert ran.stderr == ""


def test_a_script_without_guard_ends_with_the_advice(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(program(end="main()"))
    ran = run_program([str(script)])
    assert "a script must protect its entry point" in ran.stdout
    assert "if __name__ == '__main__': main()" in ran.stdout
    assert "NotSendableError: a run with workers was started by a worker process" in ran.stderr


def test_functions_of_a_program_without_a_file_are_refused_before_a_record_is_read() -> None:
    text = program(data="iter(lambda: 1 / 0, 1)")
    ran = run_program(["-c", text])
    assert ran.returncode == 1
    assert "NotSendableError: stage 'MapStage', made at <string>:" in ran.stderr
    assert "double is defined in the main program, which is no file that a worker could import" in ran.stderr
    ran = run_program(["-"], input=text)
    assert ran.returncode == 1
    assert "no file '<stdin>' to import it from" in ran.stderr or "which is no file that a worker" in ran.stderr


def test_a_program_without_a_file_may_use_functions_of_modules() -> None:
    ran = run_program(["-c", program("from tests.engine.sendable import double")])
    assert ran.stdout == "[0, 2, 4]\n", ran.stderr


def test_a_module_that_workers_cannot_import_is_named(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    definitions = (
        "import types\n"
        "made = types.ModuleType('made_up')\n"
        "if __name__ == '__main__':\n"
        "    sys.modules['made_up'] = made\n"
        "exec('def double(number): return 2 * number', made.__dict__)\n"
        "double = made.double\n"
    )
    script.write_text(program(definitions))
    ran = run_program([str(script)])
    assert "cannot load the stages 'MapStage': ModuleNotFoundError: No module named 'made_up'" in ran.stdout, ran.stderr
    assert "put them in a module that can be imported" in ran.stdout
