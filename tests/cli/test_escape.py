"""Nothing of a record's text controls the terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem.cli.escape import printable, printable_lines, represent, shorten


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ünïcode, 日本　語, 👍", "plain text, ünïcode, 日本　語, 👍"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x1b]52;c;AAAA\x07", r"\x1b]52;c;AAAA\x07"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\u202eexe\u202c \u2066\u2069 \u200f \u061c", r"\u202eexe\u202c \u2066\u2069 \u200f \u061c"),
        ("a\u2028b\u2029c", r"a\u2028b\u2029c"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("[bold]not markup[/bold]", "[bold]not markup[/bold]"),
    ],
)
def test_what_is_not_to_be_seen_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(alphabet=st.characters()))
def test_no_text_has_control_characters_after_escaping(text: str) -> None:
    shown = printable(text)
    assert all(unicodedata.category(each)[0] != "C" for each in shown)
    assert not {"\u2028", "\u2029"} & set(shown)
    shown.encode("utf-8")


@given(st.text(alphabet=st.sampled_from("a\n\r\x1b")))
def test_only_newlines_end_a_line(text: str) -> None:
    lines = printable_lines(text)
    assert len(lines) == text.count("\n") + 1
    assert not set("".join(lines)) & set("\n\r\x1b")


def test_what_is_cut_says_how_much() -> None:
    assert shorten("abcdef", 3) == "abc… (3 more characters)"
    assert shorten("abc", 3) == "abc"


class BrokenRecord:
    def __repr__(self) -> str:
        raise KeyError("no repr")


class HostileRecord:
    def __repr__(self) -> str:
        return "\x1b]0;title\x07\u202e"


def test_a_record_is_shown_in_one_line_whatever_its_repr_does() -> None:
    assert "KeyError" in represent(BrokenRecord(), length=200) or "repr" in represent(BrokenRecord(), length=200)
    assert represent(HostileRecord(), length=200) == r"\x1b]0;title\x07\u202e"
    assert represent({"b": 1, "a": [1, 2]}, length=200) == "{'b': 1, 'a': [1, 2]}"


def test_a_large_record_is_cut() -> None:
    assert len(represent({"text": "x" * 1_000_000, "list": list(range(100_000))}, length=100)) < 150
