"""Logs that say which run and stage they are of."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.runs import pipeline_of

from mainstem import AggregateStage, BranchStage, FilterStage, MapStage, PipelineContext
from mainstem.observe import JsonLogFormatter, RunLogFilter, bind_run

pytestmark = [pytest.mark.anyio]
log = logging.getLogger("tests.observe.logs")


class Lines:
    """What a handler wrote, line by line."""

    def __init__(self) -> None:
        self._text = io.StringIO()
        self.handler = logging.StreamHandler(self._text)
        self.handler.addFilter(RunLogFilter())
        self.handler.setFormatter(JsonLogFormatter())

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._text.getvalue().splitlines()]

    @property
    def of_tests(self) -> list[dict[str, Any]]:
        return [line for line in self.all if line["logger"] == log.name]


@pytest.fixture
def lines() -> Iterator[Lines]:
    found, root, before = Lines(), logging.getLogger(), logging.getLogger().level
    root.addHandler(found.handler)
    root.setLevel(logging.INFO)
    yield found
    root.setLevel(before)
    root.removeHandler(found.handler)


def tell(what: str) -> Any:
    def function(number: int) -> int:
        if number % 1100 == 0:
            log.info("%s %d", what, number)
        return number

    return function


async def test_a_line_has_the_run_and_the_stage(lines: Lines) -> None:
    async def later(number: int) -> int:
        await anyio.sleep(0)
        return int(tell("later")(number))

    def total(numbers: list[int]) -> int:
        log.info("total")
        return sum(numbers)

    context = PipelineContext("monday")
    stages = MapStage(tell("map"), name="first"), MapStage(later, concurrency=3, name="second"), AggregateStage(total)
    await pipeline_of(*stages).execute([0, 1, 2], context=context)
    assert [(line["message"], line["run_id"], line["stage"]) for line in lines.of_tests] == [
        ("map 0", "monday", "first"),
        ("later 0", "monday", "second"),
        ("total", "monday", "AggregateStage"),
    ]
    assert {line["level"] for line in lines.all} == {"INFO"}


async def test_in_a_loop_that_stages_share_it_is_the_stage_whose_function_runs(lines: Lines) -> None:
    stages = MapStage(tell("a"), name="A"), FilterStage(always(tell("b")), name="B"), MapStage(tell("c"), name="C")
    result = await pipeline_of(*stages).execute(list(range(3300)))
    assert result.success
    found = [(line["message"], line["stage"]) for line in lines.of_tests]
    assert found == [(f"{name.lower()} {number}", name) for number in (0, 1100, 2200) for name in "ABC"]


def always(function: Any) -> Any:
    def predicate(number: int) -> bool:
        function(number)
        return True

    return predicate


async def test_within_branches_and_nested_pipelines_it_is_the_path(lines: Lines) -> None:
    inner = pipeline_of(MapStage(tell("inner"), name="deep"), FilterStage(always(tell("too"))), name="inner")
    branch = BranchStage(left=MapStage(tell("left")), right=MapStage(abs), name="branch")
    await pipeline_of(inner, branch).execute([0])
    await pipeline_of(inner).execute([1] * 1500 + [1100] + [1] * 1000)
    found = [(line["message"], line["stage"]) for line in lines.of_tests]
    assert found == [
        ("inner 0", "inner/deep"),
        ("too 0", "inner/FilterStage"),
        ("left 0", "branch/left"),
        ("inner 1100", "inner/deep"),
        ("too 1100", "inner/FilterStage"),
    ]


async def test_runs_side_by_side_are_told_apart(lines: Lines) -> None:
    async def wait(number: int) -> int:
        for _ in range(3):
            await anyio.sleep(0)
        log.info("%d", number)
        return number

    pipeline = pipeline_of(MapStage(wait))
    async with anyio.create_task_group() as group:
        for number in range(5):
            context = PipelineContext(f"run {number}")
            group.start_soon(lambda number=number, context=context: pipeline.execute([number], context=context))
    assert {line["message"]: line["run_id"] for line in lines.of_tests} == {str(n): f"run {n}" for n in range(5)}


async def test_in_a_stream_and_in_a_thread_it_is_known_too(lines: Lines) -> None:
    def in_thread(number: int) -> int:
        log.info("in a thread")
        return number

    async def call(number: int) -> int:
        return await anyio.to_thread.run_sync(in_thread, number)

    stages = MapStage(tell("plain"), name="one"), MapStage(call, concurrency=2, name="two")
    async with pipeline_of(*stages).stream([0, 1]) as chunks:
        async for _ in chunks:
            log.info("taken")
        run_id = chunks.context.pipeline_id
    found = [(line["message"], line.get("run_id"), line.get("stage")) for line in lines.of_tests]
    assert found[0] == ("plain 0", run_id, "one")
    assert found[1:3] == [("in a thread", run_id, "two")] * 2
    assert found[3:] == [("taken", None, None)]


async def test_the_runs_own_lines_are_bound_to_it(lines: Lines) -> None:
    result = await pipeline_of(MapStage(abs)).execute([1])
    own = [line for line in lines.all if line["logger"] == "mainstem.pipeline"]
    assert [line["run_id"] for line in own] == [result.context.pipeline_id] * 2


def test_outside_of_runs_there_is_nothing(lines: Lines) -> None:
    log.info("outside")
    assert set(lines.of_tests[0]) == {"time", "level", "logger", "message"}
    record = logging.makeLogRecord({})
    assert RunLogFilter().filter(record)
    assert (vars(record)["run_id"], vars(record)["stage"]) == (None, None)


def test_what_the_caller_says_stays(lines: Lines) -> None:
    def tell_own(number: int) -> int:
        log.info("own", extra={"stage": "mine", "amount": 3, "odd": object, "message_id": "x", "_own": 1})
        return number

    pipeline_of(MapStage(tell_own)).run([1])
    (line,) = lines.of_tests
    assert (line["stage"], line["amount"], line["odd"], line["message_id"]) == ("mine", 3, "<class 'object'>", "x")
    assert "_own" not in line


def test_an_error_is_there_with_its_traceback_in_one_line(lines: Lines) -> None:
    try:
        raise ValueError("broken\nin two lines")
    except ValueError:
        log.exception("failed")
    (line,) = lines.of_tests
    assert line["level"] == "ERROR"
    assert "Traceback" in line["error"]
    assert line["error"].endswith("ValueError: broken\nin two lines")


def test_what_has_no_text_is_said_to_have_none(lines: Lines) -> None:
    class Unshowable:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    log.info("it", extra={"thing": Unshowable()})
    assert "a Unshowable whose text cannot be had (RuntimeError: no text)" in lines.of_tests[0]["thing"]


def test_a_processor_of_structlog_adds_the_same_and_overwrites_nothing() -> None:
    seen: list[Any] = []

    def look(number: int) -> int:
        seen.append(bind_run(None, "info", {"event": "looked", "stage": "mine"} if number else {"event": "looked"}))
        return number

    pipeline_of(MapStage(look, name="look")).run([0, 1], context=PipelineContext("r"))
    assert seen == [
        {"event": "looked", "run_id": "r", "stage": "look"},
        {"event": "looked", "run_id": "r", "stage": "mine"},
    ]
    assert bind_run(None, "info", {"event": "outside"}) == {"event": "outside"}


@pytest.mark.extras
@pytest.mark.slow
def test_in_a_worker_process_they_are_bound_as_well(tmp_path: Path) -> None:
    from tests.engine.processes import TWO

    context = PipelineContext("shared")
    file = str(tmp_path / "lines")
    result = pipeline_of(MapStage(TellsIntoFile(file), name="told")).run(list(range(50)), workers=TWO, context=context)
    assert result.success
    told = [json.loads(line) for line in Path(file).read_text().splitlines()]
    assert len(told) == 50
    assert {(line["run_id"], line["stage"]) for line in told} == {("shared", "told")}


class TellsIntoFile:
    """A function that logs into a file, from whatever process it is called in."""

    def __init__(self, file: str) -> None:
        self._file = file

    def __call__(self, number: int) -> int:
        handler = logging.FileHandler(self._file)
        handler.addFilter(RunLogFilter())
        handler.setFormatter(JsonLogFormatter())
        handler.handle(logging.makeLogRecord({"msg": "at work"}))
        handler.close()
        return number
