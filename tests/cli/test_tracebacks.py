"""Tracebacks are cut to what the user wrote."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from mainstem import MapStage, Pipeline
from mainstem.cli.tracebacks import format_error
from mainstem.connect import CsvSource

HERE = __file__


def files_of(lines: list[str]) -> list[str]:
    return [found[1] for line in lines if (found := re.match(r' *(?:\| *)?File "(.*?)", line \d+, in', line))]


def error_of(function: Any, *arguments: Any) -> BaseException:
    try:
        function(*arguments)
    except BaseException as error:
        return error
    raise AssertionError("it was to raise")


def error_in_stage(function: Any) -> BaseException:
    error = Pipeline[Any, Any]("x").add_stage(MapStage(function)).run([1]).error
    assert error is not None
    return error


def test_only_the_users_frames_remain_of_an_error_in_a_stage() -> None:
    def parse(record: Any) -> Any:
        return 1 / 0

    error = error_in_stage(parse)
    lines = format_error(error)
    assert files_of(lines) == [HERE]
    assert "    return 1 / 0" in lines
    assert "ZeroDivisionError: division by zero" in lines
    assert any(line.startswith("at record 0, in ") for line in lines)
    assert any(line.startswith("in stage 'MapStage', made at ") for line in lines)
    assert "left out" not in lines[-1]


def test_everything_is_shown_on_request() -> None:
    error = error_in_stage(lambda _: json.loads("{"))
    assert files_of(format_error(error, everything=True)).count(json.decoder.__file__) == 2


def test_the_raising_frame_is_kept_even_in_a_library() -> None:
    lines = format_error(error_in_stage(lambda _: json.loads("{")))
    assert files_of(lines) == [HERE, json.decoder.__file__]


def test_of_an_error_of_mainstem_the_users_line_remains() -> None:
    stage: Any = 3
    assert files_of(format_error(error_of(lambda: Pipeline[Any, Any]("x").add_stage(stage)))) == [HERE, HERE]


def test_an_error_without_frames_of_the_user_keeps_the_one_that_raised() -> None:
    error = error_of(json.loads, "{")
    error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
    files = files_of(format_error(error))
    assert len(files) == 1
    assert files[0].endswith("decoder.py")


def test_causes_and_members_of_groups_are_cut_too() -> None:
    def chained(record: Any) -> Any:
        try:
            json.loads("{")
        except ValueError as error:
            raise LookupError("no such shop") from error

    cause = error_in_stage(chained)
    assert files_of(format_error(cause)) == [HERE, json.decoder.__file__, HERE]
    group = ExceptionGroup("both", [error_in_stage(lambda _: 1 / 0), error_in_stage(lambda _: [][0])])
    assert files_of(format_error(group)) == [HERE, HERE]


def test_an_error_of_syntax_shows_its_own_place_only() -> None:
    lines = format_error(error_of(compile, "x = (1", "flow.py", "exec").with_traceback(None))
    assert files_of(lines) == []
    assert "SyntaxError: '(' was never closed" in lines


def test_an_error_that_was_never_raised_is_shown() -> None:
    assert format_error(ValueError("made by hand")) == ["ValueError: made by hand"]


def test_code_of_the_user_in_installed_packages_is_the_users(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "shop"
    package.mkdir(parents=True)
    file = package / "flows.py"
    file.write_text("def outer():\n    inner()\ndef inner():\n    raise ValueError('x')\n")
    names: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), names)
    error = error_of(names["outer"])
    assert files_of(format_error(error, own=str(package))) == [HERE, str(file), str(file)]
    assert files_of(format_error(error)) == [HERE, str(file)]
    assert files_of(format_error(error, own=str(package)[:-1])) == [HERE, str(file)]


def test_what_it_says_is_escaped_and_long_lines_are_cut() -> None:
    error = ValueError("\x1b]52;c;A\x07 " + "x" * 5000)
    error.add_note("a note\u202e")
    lines = format_error(error)
    assert all(line.isprintable() for line in lines)
    assert lines[0].startswith(r"ValueError: \x1b]52;c;A\x07 xxx")
    assert lines[0].endswith("more characters)")
    assert lines[1] == r"a note\u202e"
    assert len(format_error(error, everything=True)[0]) > 5000


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("everything", [True, False])
def test_an_error_whose_text_cannot_be_had_is_shown(everything: bool) -> None:
    assert "Unspeakable" in "\n".join(format_error(error_of(_raise, Unspeakable()), everything=everything))


def test_deep_recursion_is_short() -> None:
    def endless(number: int) -> int:
        return endless(number + 1)

    assert len(format_error(error_of(endless, 0))) < 40


def _raise(error: BaseException) -> None:
    raise error


def test_the_frames_left_out_are_counted() -> None:
    lines = format_error(error_of(os.path.join, 1))
    assert "left out" not in "".join(lines) or re.search(r"\(\d+ frames? of libraries left out", lines[-1])


def test_an_error_of_mainstems_own_that_no_code_of_the_users_led_to_is_its_text(tmp_path: Path) -> None:
    source = CsvSource(tmp_path / "absent.csv")
    error = Pipeline[None, Any]("x").add_stage(source).run().error
    assert error is not None
    lines = format_error(error)
    assert files_of(lines) == []
    assert "FileNotFoundError" not in "".join(lines)
    assert lines[0].startswith("mainstem.errors.ConnectError: cannot read ")
    assert lines[-1].endswith("left out; --traceback shows everything)")
    assert any("FileNotFoundError" in line for line in format_error(error, everything=True))
