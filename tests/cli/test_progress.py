"""The progress of a run where there is no terminal: plain lines, for CI."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import anyio
import pytest

from mainstem import Pipeline, PipelineContext
from mainstem.cli import progress as module
from mainstem.cli.progress import Progress
from mainstem.connect import CsvSource, JsonLinesSink

pytestmark = pytest.mark.extras


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
