"""``mainstem run`` as a process: exit codes, what goes to stdout and what to stderr, JSON, Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Run, command, environment, started

from mainstem import __version__

Write = Callable[[str, str], Path]
PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}

FLOWS = r"""
    import asyncio
    import sys
    from datetime import date
    from pathlib import Path

    from mainstem import FilterStage, MapStage, Pipeline, PipelineStage, StageResult, create_etl_pipeline

    def extract() -> list[str]:
        print("extracting")
        return ["1", "2", "three", "4"]

    def parse(text: str) -> int:
        return int(text)

    def load(numbers: list[int]) -> int:
        return sum(numbers)

    lenient = create_etl_pipeline(extract, parse, load, name="lenient", continue_on_error=True)
    strict = create_etl_pipeline(extract, parse, load, name="strict")

    def sized(size: int, day: date = date(2026, 1, 1)) -> Pipeline[None, int]:
        '''Return a pipeline of that many records.'''
        return create_etl_pipeline(lambda: range(size), lambda number: number, load, name=f"sized-{day}")

    async def opened() -> Pipeline[None, int]:
        loop = asyncio.get_running_loop()

        async def load_in_loop(numbers: list[int]) -> bool:
            return asyncio.get_running_loop() is loop

        return create_etl_pipeline(lambda: [1], lambda number: number, load_in_loop, name="opened")

    def leaves(code: str) -> Pipeline[None, int]:
        sys.exit(code if code == "text" else int(code))

    def leaves_within() -> Pipeline[None, int]:
        return create_etl_pipeline(extract, lambda text: sys.exit(5), load, name="leaves")

    def broken() -> Pipeline[None, int]:
        raise LookupError("no such shop")

    needy = Pipeline[list[int], list[int]]("needy").add_stage(FilterStage(bool))
    number = 3
    """


@pytest.fixture
def flows(write: Write) -> Path:
    return write("flows.py", FLOWS)


@pytest.fixture(autouse=True)
def _flows(flows: Path) -> None:
    """Every test here runs one of the pipelines above."""


def test_a_completed_run_is_exit_code_0_with_the_report_on_stdout(mainstem_command: Run) -> None:
    ran = mainstem_command("run", "flows.py:lenient")
    assert ran.returncode == 0, ran.stderr
    assert "extracting\n" in ran.stdout
    assert "lenient: completed in" in ran.stdout
    rows = [line.split() for line in ran.stdout.splitlines()]
    assert [row[:5] for row in rows if row[-1:] == ["done"]] == [
        ["extract", "4", "4", "0", "0"],
        ["transform", "4", "3", "0", "1"],
        ["load", "3", "3", "0", "0"],
    ]
    assert ["total", "4", "3", "0", "1"] in [row[:5] for row in rows]
    assert "output\n  7\n" in ran.stdout
    assert "1 rejected" in ran.stdout
    assert re.search(
        r"2 +transform +ValueError: invalid literal for int\(\) with base 10: 'three' +'three'", ran.stdout
    )


def test_without_a_terminal_each_finished_stage_is_a_line_on_stderr(mainstem_command: Run) -> None:
    ran = mainstem_command("run", "flows.py:lenient")
    lines = [re.sub(r"[\d.]+ m?s$", "TIME", line) for line in ran.stderr.splitlines()]
    assert lines == [
        "extract: 4 in, 4 out, TIME",
        "transform: 4 in, 3 out, 1 rejected, TIME",
        "load: 3 in, 3 out, TIME",
    ]
    assert "\x1b" not in ran.stdout + ran.stderr


def test_a_module_in_the_current_directory_is_found(mainstem_command: Run) -> None:
    assert mainstem_command("run", "flows:lenient").returncode == 0


def test_a_failed_run_is_exit_code_1_with_the_users_own_frames_on_stderr(mainstem_command: Run, flows: Path) -> None:
    ran = mainstem_command("run", "flows.py:strict")
    assert ran.returncode == 1
    assert "strict: failed in" in ran.stdout
    assert "failed: strict in stage 'transform' at record 2" in ran.stderr
    assert re.findall(r'File "(.*?)"', ran.stderr) == [str(flows)]
    assert "ValueError: invalid literal for int() with base 10: 'three'" in ran.stderr
    assert re.search(r"at record 2, in parse \(.*flows\.py:\d+\)", ran.stderr)
    assert re.search(r"in stage 'transform', made at .*flows\.py:\d+", ran.stderr)
    states = {line.split()[0]: line.split()[-1] for line in ran.stdout.splitlines() if len(line.split()) > 2}
    assert states["extract"] == "done"
    assert states["transform"] == "failed"
    assert states["load"] == "run"


def test_the_error_of_a_failed_run_is_not_shown_among_the_rejects(mainstem_command: Run) -> None:
    assert "rejected\n" not in mainstem_command("run", "flows.py:strict").stdout


def test_traceback_shows_the_frames_of_libraries_too(mainstem_command: Run) -> None:
    assert "left out; --traceback shows everything" in mainstem_command("run", "flows.py:broken").stderr
    ran = mainstem_command("run", "flows.py:broken", "--traceback")
    assert "settings.py" in ran.stderr
    assert "left out" not in ran.stderr


def test_quiet_prints_nothing_of_a_clean_run(mainstem_command: Run) -> None:
    ran = mainstem_command("run", "flows.py:sized", "--set", "size=3", "--quiet")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_quiet_still_tells_of_rejects_and_errors(mainstem_command: Run) -> None:
    ran = mainstem_command("run", "flows.py:lenient", "--quiet")
    assert ran.stdout == "extracting\n"
    assert "1 rejected" in ran.stderr
    failed = mainstem_command("run", "flows.py:strict", "--quiet")
    assert failed.stdout == "extracting\n"
    assert "ValueError" in failed.stderr


def test_json_is_all_there_is_on_stdout(mainstem_command: Run) -> None:
    ran = mainstem_command("run", "flows.py:lenient", "--json")
    document = json.loads(ran.stdout)
    assert "extracting" in ran.stderr
    assert "transform: 4 in" in ran.stderr
    assert document["pipeline"] == "lenient"
    assert len(document["run_id"]) == 32
    assert (document["status"], document["error"]) == ("completed", None)
    assert document["duration_ms"] > 0
    counts = {name: document[name] for name in document if name.startswith("records_")}
    assert counts == {"records_in": 4, "records_passed": 3, "records_filtered": 0, "records_failed": 1}
    assert [(each["name"], each["state"], each["records_in"]) for each in document["stages"]] == [
        ("extract", "done", 4),
        ("transform", "done", 4),
        ("load", "done", 3),
    ]
    assert all(each["duration_ms"] >= 0 for each in document["stages"])
    assert document["errors"] == {
        "count": 1,
        "first": [
            {
                "stage": "transform",
                "index": 2,
                "type": "ValueError",
                "message": "invalid literal for int() with base 10: 'three'",
                "record": "'three'",
            }
        ],
    }
    assert document["output"] == 7
    assert "metadata" not in document


def test_json_of_a_failed_run_has_its_error(mainstem_command: Run) -> None:
    ran = mainstem_command("run", "flows.py:strict", "--json", "--quiet")
    assert ran.returncode == 1
    document = json.loads(ran.stdout)
    assert document["status"] == "failed"
    assert document["error"]["type"] == "ValueError"
    assert document["error"]["message"] == "invalid literal for int() with base 10: 'three'"
    assert (document["error"]["stage"], document["error"]["index"]) == ("transform", 2)
    assert any("made at" in note for note in document["error"]["notes"])
    assert [each["state"] for each in document["stages"]] == ["done", "failed", "not run"]
    assert "output" not in document


def test_json_stays_alone_on_stdout_whoever_prints(mainstem_command: Run, write: Write) -> None:
    write(
        "loud.py",
        """
        import atexit, os, subprocess, sys
        from mainstem import create_etl_pipeline

        atexit.register(print, "at exit")

        def extract() -> list[int]:
            print("print")
            os.write(1, b"write\\n")
            subprocess.run([sys.executable, "-c", "print('child')"], check=True)
            return [1]

        loud = create_etl_pipeline(extract, lambda number: number, lambda numbers: None)
        """,
    )
    ran = mainstem_command("run", "loud.py:loud", "--json", "--quiet")
    assert json.loads(ran.stdout)["status"] == "completed"
    assert sorted(ran.stderr.split("\n")) == ["", "at exit", "child", "print", "write"]


def test_json_tells_of_an_error_before_there_is_a_pipeline(mainstem_command: Run) -> None:
    ran = mainstem_command("run", "flows.py:broken", "--json")
    assert ran.returncode == 1
    document = json.loads(ran.stdout)
    assert (document["pipeline"], document["status"], document["stages"]) == (None, "failed", [])
    assert document["error"]["message"] == "no such shop"


def test_set_hands_converted_values_to_the_function(mainstem_command: Run) -> None:
    ran = mainstem_command("run", "flows.py:sized", "--set", "size=4", "--set", "day=2026-02-03", "--json")
    document = json.loads(ran.stdout)
    assert (document["pipeline"], document["output"]) == ("sized-2026-02-03", 6)


def test_an_async_function_shares_its_event_loop_with_the_run(mainstem_command: Run) -> None:
    assert json.loads(mainstem_command("run", "flows.py:opened", "--json").stdout)["output"] is True


def test_an_error_of_the_function_is_exit_code_1_cut_to_the_users_frames(mainstem_command: Run, flows: Path) -> None:
    ran = mainstem_command("run", "flows.py:broken")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert re.findall(r'File "(.*?)"', ran.stderr) == [str(flows)]
    assert "LookupError: no such shop" in ran.stderr


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import not_installed_anywhere", "ModuleNotFoundError: No module named 'not_installed_anywhere'"),
        ("flow = (1", "SyntaxError: '(' was never closed"),
        (
            "from mainstem import Pipeline, MapStage\nflow = Pipeline('x').add_stage(3)",
            "TypeError: a stage is joined to",
        ),
    ],
)
@pytest.mark.parametrize("target", ["mine.py:flow", "mine:flow"])
def test_an_error_while_the_users_file_is_imported_is_exit_code_1(
    mainstem_command: Run, write: Write, target: str, code: str, message: str
) -> None:
    file = write("mine.py", code)
    ran = mainstem_command("run", target)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert re.findall(r'File "(.*?)"', ran.stderr) == [str(file)]
    assert message in ran.stderr


@pytest.mark.parametrize(("code", "exit_code"), [("0", 0), ("7", 7), ("text", 1)])
def test_the_code_of_a_system_exit_is_passed_on(mainstem_command: Run, code: str, exit_code: int) -> None:
    ran = mainstem_command("run", "flows.py:leaves", "--set", f"code={code}")
    assert ran.returncode == exit_code
    assert ran.stderr == ("text\n" if code == "text" else "")


def test_the_code_of_a_system_exit_in_a_stage_is_passed_on_after_the_table(mainstem_command: Run) -> None:
    ran = mainstem_command("run", "flows.py:leaves_within")
    assert ran.returncode == 5
    assert "leaves: cancelled in" in ran.stdout
    assert "stopped" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "flows.py"], "TARGET is module:attribute or path/to/file.py:attribute, and was given 'flows.py'"),
        (["run", "flws.py:lenient"], "there is no file 'flws.py' of Python code; did you mean 'flows.py'?"),
        (["run", "flwos:lenient"], "there is no module 'flwos'; did you mean 'flows'"),
        (["run", "flows.py:lenent"], "flows.py has no attribute 'lenent'; did you mean 'lenient'?"),
        (["run", "flows.py:number"], "flows.py:number is of type int"),
        (["run", "flows.py:load", "--set", "numbers=1"], "flows.py:load() returned of type int"),
        (["run", "flows.py:strict", "--set", "size=1"], "flows.py:strict is a Pipeline, which has no settings"),
        (["run", "flows.py:sized"], "flows.py:sized() needs --set size=..."),
        (["run", "flows.py:sized", "--set", "sise=3"], "no setting 'sise'; did you mean 'size'?"),
        (["run", "flows.py:sized", "--set", "size=many"], "'--set size=many' does not convert to int"),
        (["run", "flows.py:sized", "--set", "size"], "--set takes name=value, and was given 'size'"),
        (["run", "flows.py:needy"], "pipeline 'needy' needs input, list[int], which the command line cannot give"),
        (["run"], "requires an argument"),
        (["run", "flows.py:strict", "--quite"], "Unknown option: --quite. Did you mean --quiet?"),
        (["walk"], 'Unknown command "walk"'),
    ],
)
def test_wrong_usage_is_exit_code_2_with_one_message(mainstem_command: Run, arguments: list[str], message: str) -> None:
    ran = mainstem_command(*arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("mainstem: ")
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr


def test_wrong_usage_writes_no_json(mainstem_command: Run) -> None:
    ran = mainstem_command("run", "flows.py:number", "--json")
    assert (ran.returncode, ran.stdout) == (2, "")


def test_an_unknown_setting_lists_the_known_ones_with_types_and_defaults(mainstem_command: Run) -> None:
    ran = mainstem_command("run", "flows.py:sized", "--set", "colour=3")
    assert ran.stderr.splitlines()[1:] == ["its settings:", "  size: int, required", "  day: date = 2026-01-01"]


INTERRUPTED = """
    import signal
    from pathlib import Path

    import anyio
    from mainstem import Pipeline, PipelineStage, SourceChunk, SourceStage, StageResult

    # As in a terminal, also where the tests were started with the signal ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    class First(PipelineStage[None, list[int]]):
        async def process(self, data, context):
            return StageResult(data=[1, 2])

    class Waits(PipelineStage[list[int], list[int]]):
        async def process(self, data, context):
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.05)
                    Path("cleaned").touch()

    flow = Pipeline[None, list[int]]("waits").add_stage(First()).add_stage(Waits())
    """


@pytest.mark.parametrize("form", ["table", "json"])
def test_ctrl_c_cancels_the_run_waits_for_its_tasks_and_shows_the_table_so_far(
    tmp_path: Path, write: Write, form: str
) -> None:
    write("interrupted.py", INTERRUPTED)
    options = ["--json"] if form == "json" else []
    with started(tmp_path, "run", "interrupted.py:flow", *options, **PIPES) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("First: 2 in, 2 out")
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert (tmp_path / "cleaned").exists()
    assert "First: " not in stderr, "each stage is one line"
    assert "Traceback" not in stderr
    if form == "json":
        document = json.loads(stdout)
        assert (document["status"], document["records_in"]) == ("cancelled", 2)
        assert [each["state"] for each in document["stages"]] == ["done", "stopped"]
    else:
        assert "waits: cancelled in" in stdout
        states = {line.split()[0]: line.split()[-1] for line in stdout.splitlines() if len(line.split()) > 3}
        assert (states["First"], states["Waits"]) == ("done", "stopped")


def test_a_second_ctrl_c_stops_a_function_that_blocks(tmp_path: Path, write: Write) -> None:
    write(
        "blocks.py",
        """
        import signal, sys, threading
        from mainstem import create_etl_pipeline
        signal.signal(signal.SIGINT, signal.default_int_handler)

        def block(record: int) -> int:
            print("blocking", file=sys.stderr, flush=True)
            threading.Event().wait()
            return record

        flow = create_etl_pipeline(lambda: [1], block, lambda records: None, name="blocks")
        """,
    )
    with started(tmp_path, "run", "blocks.py:flow", **PIPES) as process:
        assert process.stderr is not None
        told = iter(process.stderr.readline, "stopping, Ctrl-C again stops at once\n")
        for line in told:
            if line == "blocking\n":
                process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "blocks: cancelled in" in stdout
    assert "Traceback" not in stderr


def test_ctrl_c_before_there_is_a_pipeline_is_exit_code_130(tmp_path: Path, write: Write) -> None:
    write(
        "hangs.py",
        """
        import signal, sys, threading
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print("importing", file=sys.stderr, flush=True)
        threading.Event().wait()
        """,
    )
    with started(tmp_path, "run", "hangs.py:flow", **PIPES) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (130, "")


def test_a_run_that_ignores_ctrl_c_is_left_alone(mainstem_command: Run, write: Write) -> None:
    write(
        "ignores.py",
        """
        import os, signal
        from mainstem import FilterStage, create_etl_pipeline
        signal.signal(signal.SIGINT, signal.SIG_IGN)

        def interrupt(record: int) -> int:
            os.kill(os.getpid(), signal.SIGINT)
            return record

        flow = create_etl_pipeline(lambda: [0, 1], interrupt, lambda records: records).add_stage(FilterStage(bool))
        """,
    )
    ran = mainstem_command("run", "ignores.py:flow")
    assert ran.returncode == 0
    assert "FilterStage: 2 in, 1 out, 1 filtered, " in ran.stderr


def test_a_hook_that_raises_is_in_the_report_and_nowhere_else(mainstem_command: Run, write: Write) -> None:
    write(
        "hooked.py",
        """
        from flows import create_etl_pipeline, load
        flow = create_etl_pipeline(lambda: [1], lambda number: number, load, name="hooked")

        @flow.on_complete
        def report(output, context):
            raise OSError("no \\x1b[31mmail")
        """,
    )
    ran = mainstem_command("run", "hooked.py:flow")
    assert ran.returncode == 0
    assert "1 other error\n" in ran.stdout
    assert "ObserverError: hook report" in ran.stdout
    assert "\x1b" not in ran.stdout + ran.stderr
    assert "mail" not in ran.stderr


@pytest.mark.parametrize("option", ["--json", "--traceback"])
def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path, option: str) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = subprocess.run(
        command("run", "flows.py:lenient", option),
        cwd=tmp_path,
        env=environment(),
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write_end)
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    assert "BrokenPipeError" not in process.stderr


@pytest.mark.parametrize("absent", ["rich", "cyclopts"])
def test_without_the_extra_one_line_names_it(absent: str) -> None:
    code = f"import sys; sys.modules[{absent!r}] = None\nfrom mainstem.cli.main import main\nsys.exit(main(['--help']))"
    ran = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == ("The command line needs packages that are not installed: pip install 'mainstem[cli]'\n")


def test_the_version_is_printed(mainstem_command: Run) -> None:
    assert mainstem_command("--version").stdout == f"mainstem {__version__}\n"


def test_help_says_what_target_is_with_examples_and_exit_codes(mainstem_command: Run) -> None:
    ran = mainstem_command("run", "--help")
    assert ran.returncode == 0
    assert "module:attribute or path/to/file.py:attribute" in ran.stdout
    assert ran.stdout.count("mainstem run ") >= 4
    for line in ["  0    the run completed", "  1    it failed", "  2    wrong usage", "  130  ended by Ctrl-C"]:
        assert line in ran.stdout
    assert "run" in mainstem_command("--help").stdout
