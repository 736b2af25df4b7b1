"""What is kept of a failed record: never lost to what its error does, and with a code that stays the same."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from mainstem import errors
from mainstem.context import StageError
from mainstem.errors import LateRecordError, MainstemError, ValidationError, WorkerDiedError
from mainstem.store.codec import decode
from mainstem.store.new_reject import LONGEST_MESSAGE, new_rejects

AT = datetime(2024, 1, 2, tzinfo=timezone.utc)


def reject(error: Exception, record: Any = None) -> Any:
    (made,) = new_rejects([StageError("clean", error, record, 7, AT, 3)])
    return made


class TooSmall(ValidationError):
    pass


class WithCode(Exception):
    def __init__(self, code: object) -> None:
        super().__init__("no")
        self.code = code


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("I do not say")


class NoText(Exception):
    def __str__(self) -> Any:
        return 5


class Endless(Exception):
    def __str__(self) -> str:
        return str(self)


class Guarded(Exception):
    @property
    def code(self) -> str:
        raise KeyError("code")


class Shout(str):
    __slots__ = ()

    def __len__(self) -> int:
        raise TypeError("len")


class Shouting(Exception):
    def __str__(self) -> str:
        return Shout("no")


def noted(notes: Any) -> Exception:
    error = KeyError("a")
    error.__notes__ = notes
    return error


def test_all_that_is_known_is_kept() -> None:
    kept = reject(noted(["at record 7", "in f(), a.py:3"]), {"id": (1, 2)})
    assert (kept.stage, kept.index, kept.at, kept.attempts) == ("clean", 7, AT, 3)
    assert (kept.error_type, kept.code, kept.message) == ("KeyError", "KeyError", "'a'\nat record 7\nin f(), a.py:3")
    assert decode(kept.record) == {"id": (1, 2)}
    assert kept.is_exact
    assert not kept.is_redacted


def test_a_record_that_cannot_be_kept_exactly_and_a_redacted_one_say_so() -> None:
    assert not reject(KeyError(), object()).is_exact
    (made,) = new_rejects([StageError("clean", KeyError(), 1, 7, AT, is_redacted=True)])
    assert made.is_redacted


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValidationError("no"), "validation"),
        (TooSmall("no"), "validation"),
        (LateRecordError("no"), "late"),
        (WorkerDiedError("no"), "worker-died"),
        (MainstemError("no"), "MainstemError"),
        (KeyError("a"), "KeyError"),
        (WithCode("no-stock"), "no-stock"),
        (WithCode(404), "WithCode"),
        (WithCode("two words"), "WithCode"),
        (WithCode("x" * 65), "WithCode"),
        (WithCode(""), "WithCode"),
        (Guarded(), "Guarded"),
        (type("Ä" * 300, (Exception,), {})(), "error"),
    ],
)
def test_codes(error: Exception, code: str) -> None:
    assert reject(error).code == code


def test_the_codes_of_errors_of_mainstem_are_different_words() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and kind is not MainstemError]
    codes = [reject(kind("no")).code for kind in kinds]
    assert len(kinds) > 20
    assert len({*codes}) == len(codes)
    assert all(code == code.lower() and code.isascii() and " " not in code for code in codes)


@pytest.mark.extras
def test_what_pydantic_and_msgspec_refuse_is_not_valid_either() -> None:
    import msgspec
    import pydantic

    with pytest.raises(pydantic.ValidationError) as of_pydantic:
        pydantic.TypeAdapter(int).validate_python("a")
    with pytest.raises(msgspec.ValidationError) as of_msgspec:
        msgspec.convert("a", int)
    assert reject(of_pydantic.value).code == reject(of_msgspec.value).code == "validation"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError(), "ValueError"),
        (Unspeakable(), "Unspeakable: (its text cannot be had: __str__ raised ValueError)"),
        (NoText(), "NoText: (its text cannot be had: __str__ raised TypeError)"),
        (Endless(), "Endless: (its text cannot be had: __str__ raised RecursionError)"),
        (Shouting(), "no"),
        (noted(7), "'a'"),
        (noted([7, "b"]), "'a'\nb"),
        (ValueError("\ud800\0"), "\ud800\0"),
    ],
)
def test_messages(error: Exception, message: str) -> None:
    assert reject(error).message == message


def test_a_long_message_is_cut() -> None:
    message = reject(ValueError("x" * 100_000_000)).message
    assert len(message) < LONGEST_MESSAGE + 50
    assert message.endswith("x... (100,000,000 characters in all)")


def test_a_long_name_is_cut() -> None:
    assert len(reject(type("E" * 10_000, (Exception,), {})()).error_type) == 200


def test_the_cause_of_an_error_may_go_round() -> None:
    error = ValueError("round")
    error.__cause__ = KeyError()
    error.__cause__.__cause__ = error
    assert reject(error).message == "round"
