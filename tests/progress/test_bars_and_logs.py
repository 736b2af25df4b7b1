"""The same figures as bars of tqdm and as lines of a log."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tqdm.auto import tqdm

from mainstem import MapStage, MissingExtraError, Pipeline
from mainstem.progress import bars, progress_bars, progress_log

pytestmark = pytest.mark.extras


def parse(text: str) -> int:
    return int(text)


def pipeline_of(fn: Callable[[str], int] = parse) -> Any:
    return Pipeline[list[str], list[int]]("numbers").add_stage(MapStage(fn, name="parse", continue_on_error=True))


def test_a_bar_for_each_stage_holds_its_figures() -> None:
    shown = io.StringIO()
    with progress_bars(pipeline_of(), total=4, file=shown, ncols=100) as context:
        pipeline_of().run(["1", "x", "3", "4"], context=context)
    last = shown.getvalue().rstrip("\n").rpartition("\r")[2]
    assert last.startswith("parse: 100%")
    assert "4/4" in last
    assert last.rstrip().endswith("3 out, 1 rejected]")


def test_bars_move_while_the_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "LOOK_EVERY", 0.01)
    shown, seen = io.StringIO(), threading.Event()

    class Watched(io.StringIO):
        def write(self, text: str) -> int:
            if "1000/3000" in text or "2000/3000" in text:
                seen.set()
            return shown.write(text)

    def wait(text: str) -> int:
        if text == "2500":
            assert seen.wait(20), "the bar has not moved"
        return int(text)

    pipeline = pipeline_of(wait)
    with progress_bars(pipeline, total=3000, file=Watched()) as context:
        assert pipeline.run(list(map(str, range(3000))), context=context).success
    assert "3000/3000" in shown.getvalue()


def test_bars_are_closed_when_the_run_fails() -> None:
    shown = io.StringIO()
    held: list[Any] = []
    with contextlib.suppress(ZeroDivisionError), progress_bars(pipeline_of(), file=shown):
        held = list(tqdm._instances)
        raise ZeroDivisionError
    assert shown.getvalue().endswith("\n")
    assert held
    assert all(bar.disable for bar in held), "which is what closing them does"
    assert not [each for each in threading.enumerate() if each.name == "mainstem-progress"]


def test_without_tqdm_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(MissingExtraError, match=r"mainstem\[progress\]"), progress_bars(pipeline_of()):
        pass


def test_lines_go_to_the_log_while_the_run_goes_on_and_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mainstem.progress")
    seen = threading.Event()

    class Seen(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.set()

    handler = Seen()
    logging.getLogger("mainstem.progress").addHandler(handler)

    def wait(text: str) -> int:
        if text == "2500":
            assert seen.wait(20), "nothing was logged"
        return int(text)

    pipeline = pipeline_of(wait)
    try:
        with progress_log(pipeline, total=3000, every=0.01) as context:
            pipeline.run(list(map(str, range(3000))), context=context)
    finally:
        logging.getLogger("mainstem.progress").removeHandler(handler)
    lines = [record.getMessage() for record in caplog.records if record.name == "mainstem.progress"]
    assert " in, " in lines[0]
    assert " %" in lines[0]
    assert lines[-1].startswith("parse: 3,000 in, 3,000 out, ")
    assert [line.startswith("parse: 3,000 in, 3,000 out") for line in lines].count(True) >= 1


def test_a_wrong_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="every"), progress_log(pipeline_of(), every=0):
        pass
