"""The command in a terminal: the live table, and what must never reach the terminal."""

from __future__ import annotations

import os
import pty
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tests.cli.conftest import started

Write = Callable[[str, str], Path]

FLOW = r"""
    import anyio
    from mainstem import MapStage, Pipeline, PipelineStage, StageResult

    HOSTILE = "\x1b]52;c;ZXZpbA==\x07 \x9b31m \u202egnp.exe\u202c [bold]markup[/bold] \x08\r\x00"

    class Source(PipelineStage[None, list[str]]):
        async def process(self, data, context):
            print("user's [/] print", end="", flush=True)
            print("more of [bold]it", end="")
            return StageResult(data=["1", "2", HOSTILE])

    class Holds(PipelineStage[list[str], list[str]]):
        async def process(self, data, context):
            await anyio.to_thread.run_sync(lambda: open("gate").read())
            return StageResult(data=data)

    def parse(text: str) -> str:
        if text == HOSTILE:
            raise ValueError(f"cannot parse {text}")
        return text

    flow = (
        Pipeline[None, list[str]](f"hostile {HOSTILE}")
        .add_stage(Source())
        .add_stage(Holds())
        .add_stage(MapStage(parse, continue_on_error=True, name=f"parse {HOSTILE}"))
    )
    strict = Pipeline[None, list[str]]("strict").add_stage(Source()).add_stage(MapStage(parse))
    """

STYLES_AND_CURSOR = re.compile(r"\x1b\[[\d;]*m|\x1b\[\?25[lh]|\x1b\[\d*[AK]")
"""What rich itself sends: colours, hiding the cursor, going up and erasing lines."""


def read_until(descriptor: int, marker: str | None) -> str:
    """Read what a terminal shows until it shows ``marker``, or until its program has ended."""
    shown = b""
    while marker is None or marker.encode() not in shown:
        try:
            read = os.read(descriptor, 65536)
        except OSError:  # how Linux says that nobody writes any more
            break
        if not read:
            break
        shown += read
    return shown.decode("utf-8")


def in_terminal(
    folder: Path, target: str, meet: Callable[[int], str], stdout: IO[bytes] | None = None
) -> tuple[int, str]:
    """Run a target in a terminal and return the exit code and all that was sent to it."""
    ours, theirs = pty.openpty()
    try:
        streams = {"stdin": theirs, "stdout": theirs if stdout is None else stdout, "stderr": theirs}
        with started(folder, "run", target, **streams, more={"COLUMNS": "400", "LINES": "40"}) as process:
            os.close(theirs)
            shown = meet(ours) + read_until(ours, None)
            code = process.wait(timeout=20)
    finally:
        os.close(ours)
    return code, shown


def assert_harmless(shown: str) -> None:
    left = STYLES_AND_CURSOR.sub("", re.sub(r"\r(?=\n|\x1b)", "", shown)).replace("\n", "")
    assert [character for character in left if not character.isprintable()] == []


def test_the_table_is_live_and_what_records_hold_is_shown_escaped(tmp_path: Path, write: Write) -> None:
    write("flow.py", FLOW)
    os.mkfifo(tmp_path / "gate")

    def meet(terminal: int) -> str:
        shown = read_until(terminal, "Holds")
        if "running" not in shown:
            shown += read_until(terminal, "running")
        (tmp_path / "gate").write_text("go")
        return shown

    code, shown = in_terminal(tmp_path, "flow.py:flow", meet)
    live, _, report = shown.partition("completed")
    assert code == 0
    assert {"waiting", "running"} <= set(re.findall("waiting|running", live))
    assert "\x1b[?25l" in live, "the cursor is hidden while the table is live"
    assert "\x1b[?25h" in shown, "and shown again"
    assert "user's [/] print" in live
    assert "more of [bold]it" in live
    assert r"\x1b]52;c;ZXZpbA==\x07 \x9b31m \u202egnp.exe\u202c [bold]markup[/bold] \x08" in live
    assert r"ValueError: cannot parse \x1b]52;c;" in report
    assert "[bold]markup[/bold]" in report
    assert_harmless(shown)


def test_what_is_printed_to_a_file_stays_there_while_the_table_is_live(tmp_path: Path, write: Write) -> None:
    write("flow.py", FLOW)
    with (tmp_path / "output").open("wb") as output:
        code, shown = in_terminal(tmp_path, "flow.py:strict", lambda _: "", output)
    assert code == 1
    written = (tmp_path / "output").read_text()
    assert written.startswith("user's [/] printmore of [bold]it")
    assert "strict: failed in" in written
    assert "\x1b" not in written
    assert "user's" not in shown
    assert "\x1b[?25l" in shown, "the table was live"


def test_an_error_and_its_notes_are_shown_escaped(tmp_path: Path, write: Write) -> None:
    write("flow.py", FLOW)
    code, shown = in_terminal(tmp_path, "flow.py:strict", lambda _: "")
    assert code == 1
    assert (
        r"ValueError: cannot parse \x1b]52;c;ZXZpbA==\x07 \x9b31m \u202egnp.exe\u202c [bold]markup[/bold] \x08" in shown
    )
    assert_harmless(shown)


def test_wrong_usage_is_shown_escaped(tmp_path: Path) -> None:
    code, shown = in_terminal(tmp_path, "\x1b[31mno\x07thing.py:[bold]x", lambda _: "")
    assert code == 2
    assert "[bold]x" in shown
    assert_harmless(shown)
