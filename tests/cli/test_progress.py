"""The progress of a run: plain lines where there is no terminal, and what the live table shows of waiting."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import anyio
import pytest
from tests.cli.test_terminal import assert_harmless, in_terminal, read_until

from mainstem import Pipeline, PipelineContext
from mainstem.cli import progress as module
from mainstem.cli.progress import Progress
from mainstem.connect import CsvSource, JsonLinesSink

pytestmark = pytest.mark.extras
Write = Callable[[str, str], Path]


def test_stages_that_are_under_way_are_printed_from_time_to_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "LINES_EVERY", 0.01)
    monkeypatch.setattr(module, "RUNNING_EVERY", 0.01)
    (tmp_path / "numbers.csv").write_text("id\n" + "1\n" * 5000)
    looked = Event()
    taken = 0

    def wait(record: dict[str, str]) -> dict[str, str]:
        nonlocal taken
        taken += 1
        if taken == 4000:
            looked.clear()
            assert looked.wait(20), "nobody looked"
        return record

    pipeline: Any = Pipeline("numbers").add_stage(CsvSource(tmp_path / "numbers.csv")).map(wait, name="wait")
    pipeline.add_stage(JsonLinesSink(tmp_path / "numbers.jsonl"))
    context = PipelineContext()
    shown = Progress("numbers", pipeline.stages, context)
    watch = shown._watch
    look = watch.look

    def look_and_say() -> Any:
        figures = look()
        if taken == 4000:
            looked.set()
        return figures

    monkeypatch.setattr(watch, "look", look_and_say)
    with shown.show(quiet=False):
        anyio.run(lambda: pipeline.execute(None, context=context))
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("CsvSource: ") and " %" in line for line in lines), lines
    ended = [line for line in lines if "5,000 in, 5,000 out" in line and "%" not in line]
    assert {line.partition(":")[0] for line in ended} == {"CsvSource", "wait", "JsonLinesSink"}


FLOW = """
    import anyio
    from mainstem import MapStage, Pipeline
    from mainstem.connect import CsvSource, JsonLinesSink

    taken = 0

    async def hold(record: dict[str, str]) -> dict[str, str]:
        global taken
        taken += 1
        if taken == 3000:
            await anyio.to_thread.run_sync(lambda: open("gate").read())
        return record

    flow = (
        Pipeline("numbers")
        .add_stage(CsvSource("numbers.csv"))
        .add_stage(MapStage(hold, concurrency=1, name="hold"))
        .add_stage(JsonLinesSink("numbers.jsonl"))
    )
    """


def test_a_terminal_shows_what_stages_wait_on_and_how_much_is_read(tmp_path: Path, write: Write) -> None:
    write("flow.py", FLOW)
    (tmp_path / "numbers.csv").write_text("id\n" + "1\n" * 20_000)
    os.mkfifo(tmp_path / "gate")

    def meet(terminal: int) -> str:
        shown = ""
        for marker in ("waiting on", "an answer", "the next stage", " %"):
            if marker not in shown:
                shown += read_until(terminal, marker)
        (tmp_path / "gate").write_text("go")
        return shown

    code, shown = in_terminal(tmp_path, "flow.py:flow", meet)
    assert code == 0
    assert re.search(r"CsvSource[^\n]*the next stage", shown)
    assert re.search(r"hold[^\n]*an answer", shown)
    assert re.search(r"JsonLinesSink[^\n]*its input", shown)
    assert_harmless(shown)
