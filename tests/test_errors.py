"""The error tree: one base, attributes, and pickling."""

from __future__ import annotations

import pickle

import pytest

import mainstem
from mainstem import errors
from mainstem.errors import MainstemError, add_note_once, describe_error, missing_extra

ERRORS = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, BaseException)]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_all_errors_are_public_and_in_one_tree(kind: type[Exception]) -> None:
    assert issubclass(kind, MainstemError)
    assert issubclass(kind, Exception)
    assert getattr(mainstem, kind.__name__) is kind
    assert kind is MainstemError or kind.__name__ in str(errors.__doc__)


@pytest.mark.parametrize(
    ("kind", "also"),
    [
        ("StageTypeError", TypeError),
        ("StageContractError", TypeError),
        ("ValidationError", ValueError),
        ("NoCurrentContextError", LookupError),
        ("BlockingCallError", RuntimeError),
        ("MissingExtraError", ImportError),
    ],
)
def test_an_error_is_also_what_python_calls_such_a_thing(kind: str, also: type[Exception]) -> None:
    assert issubclass(getattr(errors, kind), also)


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_survives_pickling_with_message_notes_and_attributes(kind: type[Exception]) -> None:
    error = kind("what, where and what to do")
    error.add_note("in stage 'a'")
    if kind is errors.BranchError:
        error.branch = "left"  # type: ignore[attr-defined]
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert str(back) == "what, where and what to do"
    assert back.__notes__ == ["in stage 'a'"]
    assert vars(back) == vars(error)
    assert getattr(back, "branch", None) == getattr(error, "branch", None)


def test_a_branch_error_has_a_branch_from_the_start() -> None:
    assert errors.BranchError("x").branch == ""


def test_a_missing_extra_names_the_pip_line() -> None:
    error = missing_extra("The command line", "cli")
    assert str(error) == "The command line needs packages that are not installed: pip install 'mainstem[cli]'"


def test_a_note_is_added_once() -> None:
    error = ValueError("x")
    add_note_once(error, "a")
    add_note_once(error, "b")
    add_note_once(error, "a")
    assert error.__notes__ == ["a", "b"]


def test_an_error_is_described_in_one_line_even_if_its_text_fails() -> None:
    class Unshowable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert describe_error(ValueError("bad")) == "ValueError: bad"
    assert describe_error(ValueError()) == "ValueError"
    assert describe_error(Unshowable()) == "Unshowable: (its text cannot be had: __str__ raised RuntimeError)"
