"""The form of a record: what was not touched stays to the letter, what was typed is of the type that it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem import Secret
from mainstem.durable.edits import with_fields
from mainstem.secrets import SHOWN
from mainstem.store.codec import decode, encode
from mainstem.store.model import RejectRecord, RejectState
from mainstem.web.edit_form import check, form_of
from mainstem.web.record_view import shown_fields, shown_in_line, without_secrets

pytestmark = pytest.mark.extras


@dataclass
class Order:
    id: int
    amount: Decimal
    day: date
    note: str | None = None


@dataclass
class Login:
    user: str
    password: Annotated[str, Secret]


ORDER = Order(3, Decimal("1.50"), date(2026, 3, 1))


def reject(kept_record: Any, /, **changes: Any) -> RejectRecord:
    """A reject of a record, or of a text that is given as it is kept."""
    kept: dict[str, Any] = {
        "id": 1,
        "pipeline": "p",
        "run_id": "r",
        "stage": "s",
        "index": 0,
        "origin": None,
        "error_type": "ValueError",
        "message": "no",
        "code": "bad",
        "record": encode(kept_record),
        "is_exact": True,
        "is_redacted": False,
        "attempts": 1,
        "at": datetime(2026, 1, 1, tzinfo=timezone.utc),
        "state": RejectState.OPEN,
        "edited": None,
        "replays": 0,
        "is_settled": True,
        "changed_at": None,
        "changed_by": None,
    }
    return RejectRecord(**{**kept, **changes})


def typed(record: Any, texts: Mapping[str, str]) -> Any:
    """What the record is when some texts were typed."""
    of = reject(record) if not isinstance(record, RejectRecord) else record
    checked = check(of, form_of(of), texts)
    assert checked.is_good, checked
    return checked.whole if form_of(of).is_whole else decode(with_fields(of, checked.changed))


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("id", "4", 4),
        ("amount", "2.5", Decimal("2.5")),
        ("day", "2026-12-24", date(2026, 12, 24)),
        ("note", "a text", "a text"),
        ("note", "null", None),
    ],
)
def test_a_field_is_read_as_what_it_was(field: str, text: str, expected: object) -> None:
    changed = typed(ORDER, {f"f.{field}": text})
    assert getattr(changed, field) == expected
    assert type(getattr(changed, field)) is type(expected)


@pytest.mark.parametrize(
    ("field", "text", "problem"),
    [
        ("amount", "much", "it is a Decimal, and this is none"),
        ("day", "2026-02-30", "it is a date, and this is none"),
        ("id", "x", "it is to be int, and this is a text"),
        ("note", "7", "it is to be str | None, and this is a whole number"),
    ],
)
def test_what_does_not_fit_is_said(field: str, text: str, problem: str) -> None:
    of = reject(ORDER)
    checked = check(of, form_of(of), {f"f.{field}": text})
    assert checked.errors == {f"f.{field}": problem}
    assert not checked.is_good


def test_a_dictionary_may_get_another_type_and_that_is_noticed() -> None:
    of = reject({"n": 1, "at": UUID(int=1)})
    checked = check(of, form_of(of), {"f.n": "one"})
    assert checked.is_good
    assert checked.notices == {"f.n": "it was a whole number, and would be a text"}


PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.dates())
DECIMALS = st.decimals(allow_nan=False)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3), st.tuples(inner))


VALUES = st.recursive(PLAIN | DECIMALS, nested, max_leaves=5)


@given(VALUES)
def test_a_form_that_is_sent_as_it_came_changes_nothing(record: Any) -> None:
    """As a browser sends it: with line ends of its own, and no NUL, and no half of a surrogate pair."""
    of = reject(record)
    form = form_of(of)
    sent = {}
    for each in form.fields:
        browser = each.text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
        sent[each.key] = browser.encode("utf-8", "replace").decode().replace("\n", "\r\n")
    checked = check(of, form, sent)
    assert checked.is_good, checked
    assert not checked.has_changed, checked


@given(st.dictionaries(st.text(), st.text(), min_size=1, max_size=3), st.text())
def test_a_text_that_is_typed_is_the_text_that_is_kept(record: dict[str, str], text: str) -> None:
    of = reject(record)
    form = form_of(of)
    if form.is_whole:
        return
    plain = "".join(each for each in text if each.isprintable())
    first = form.fields[0]
    if first.is_json or plain == first.text:
        return
    assert typed(of, {first.key: plain})[first.name] == plain


@pytest.mark.parametrize("record", [[1, 2], "a text", {1: "x"}, {"~t": []}, {}, 5, None, (1, 2)])
def test_a_record_without_fields_is_edited_as_a_whole(record: Any) -> None:
    of = reject(record)
    form = form_of(of)
    assert form.is_whole
    assert typed(of, {"f.record": "[1]"}) == [1]
    checked = check(of, form, {"f.record": "[1"})
    assert checked.errors["f.record"].startswith("is no JSON")
    assert check(of, form, {"f.record": '{"~x": 1}'}).errors


def test_a_record_of_which_only_the_repr_was_kept_is_given_whole() -> None:
    of = reject(None, record='"<object at 0x1>"', is_exact=False)
    assert form_of(of).is_whole
    assert typed(of, {"f.record": '{"id": 1}'}) == {"id": 1}


def test_a_record_of_a_class_that_is_not_loaded_says_what_loads_it() -> None:
    of = reject(None, record='{"~r":["nowhere:Order",1,2]}')
    problem = form_of(of).problem
    assert problem is not None
    assert "TARGET" in problem
    assert [(each.name, each.before) for each in shown_fields(of)] == [("field 1", "1"), ("field 2", "2")]


def secret() -> RejectRecord:
    return reject(Login("ada", SHOWN), is_redacted=True)


def test_a_secret_is_supplied_and_never_shown() -> None:
    of = secret()
    password = form_of(of).fields[1]
    assert (password.is_secret, password.text) == (True, "")
    checked = check(of, form_of(of), {"f.user": "bob", "f.password": ""})
    assert checked.problem is not None
    assert "supply each such field" in checked.problem
    assert typed(of, {"f.password": "1234"}) == Login("ada", "1234")  # a text, though it looks like a number
    supplied = reject(Login("ada", SHOWN), is_redacted=True, edited=encode(Login("ada", "hunter22")))
    assert typed(supplied, {"f.user": "bob", "f.password": ""}) == Login("bob", "hunter22")
    for shown in (
        shown_in_line(supplied, 500),
        repr(shown_fields(supplied)),
        repr([f.text for f in form_of(supplied).fields]),
    ):
        assert "hunter22" not in shown


@pytest.mark.parametrize(
    ("kept", "edited"),
    [
        ({"a": {"p": SHOWN, "q": 1}}, {"a": {"p": "hunter22", "q": 2}}),
        ({"a": [SHOWN, 1]}, {"a": ["hunter22", 1]}),
        ({"a": [SHOWN]}, {"a": "hunter22"}),
        ({"p": SHOWN}, ["hunter22"]),
        ({"p": SHOWN}, "hunter22"),
    ],
)
def test_what_stands_where_a_secret_stood_is_hidden_however_it_is_shaped(kept: Any, edited: Any) -> None:
    of = without_secrets(reject(kept, is_redacted=True, edited=encode(edited)))
    assert "hunter22" not in str(of.edited)
