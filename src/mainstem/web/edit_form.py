"""The form in which the record of a reject is edited: what it shows, and what is to be said of what was typed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from mainstem.durable.edit_texts import editable, has_fields, parsed, read_field, value_of
from mainstem.durable.edits import edited_text, record_of, with_fields
from mainstem.errors import MainstemError, NotEncodableError, RejectError, StoreError
from mainstem.records import field_hints
from mainstem.secrets import SHOWN
from mainstem.store.codec import decode, encode
from mainstem.store.data_classes import kind_of
from mainstem.store.model import RejectRecord
from mainstem.typecheck import bears, show
from mainstem.web.record_view import without_secrets

WHOLE = "record"
"""The name of the one text of a record that has no fields, or none that could be texts of their own."""
_MARK = json.dumps(SHOWN)
_MOST_FIELDS = 500
_TEXTS = frozenset(("~n", "~u", "~dt", "~date", "~time"))
"""The store's marks of values that are read from their texts."""


@dataclass(frozen=True, slots=True)
class FormField:
    """A field of the form.

    Attributes:
        name: The field's name in the record; ``record`` for the whole.
        text: What it reads.
        kind: The type of its value.
        value: Its value.
        is_json: Whether the text is JSON, whatever the value.
        is_secret: Whether its value was left out: then it reads nothing, and stays as it is if nothing is typed.
    """

    name: str
    text: str
    kind: str
    value: Any = None
    is_json: bool = False
    is_secret: bool = False

    @property
    def key(self) -> str:
        """Its name in the form."""
        return f"f.{self.name}"

    @property
    def kind_in_words(self) -> str:
        return _IN_WORDS.get(self.kind, self.kind)

    @property
    def rows(self) -> int:
        """Lines of its text, as many as are shown."""
        return min(30, self.text.count("\n") + 1 + len(self.text) // 70)


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a reject.

    Attributes:
        fields: Its fields.
        is_whole: Whether that is one, for the whole record.
        problem: Why there is none.
    """

    fields: Sequence[FormField]
    is_whole: bool = False
    problem: str | None = None


@dataclass(slots=True)
class Checked:
    """What is to be said of what was typed.

    Attributes:
        errors: What is wrong, by field.
        notices: What may be meant, by field.
        problem: What is wrong with all of it.
        changed: The new values, by field.
        whole: The new record, if it is edited as a whole.
        has_changed: Whether anything is other than it was.
    """

    errors: dict[str, str] = field(default_factory=dict[str, str])
    notices: dict[str, str] = field(default_factory=dict[str, str])
    problem: str | None = None
    changed: dict[str, Any] = field(default_factory=dict[str, Any])
    whole: Any = None
    has_changed: bool = False

    @property
    def is_good(self) -> bool:
        return not self.errors and self.problem is None


def form_of(reject: RejectRecord) -> Form:
    """Return the form of a reject."""
    try:
        is_record = (reject.is_exact or reject.edited is not None) and has_fields(reject)
        plain = editable(reject)
        shown = editable(without_secrets(reject))
    except StoreError as error:
        return Form((), problem=f"{error}; start mainstem ui with the TARGET of this pipeline, which loads it")
    if not _can_be_fields(plain, reject, is_record=is_record):
        text = json.dumps(shown, indent=2, ensure_ascii=not _is_ordinary(json.dumps(shown, ensure_ascii=False)))
        return Form([FormField(WHOLE, text, "JSON", is_json=True)], is_whole=True)
    record, fields = record_of(reject), cast("dict[str, Any]", shown)
    secret = _left_out(reject, fields)
    return Form([_field(name, value_of(record, name), each, is_secret=name in secret) for name, each in fields.items()])


def _can_be_fields(plain: Any, reject: RejectRecord, *, is_record: bool) -> bool:
    """Say whether each value of a record can have a text of its own."""
    if not isinstance(plain, dict) or not 0 < len(cast("dict[str, Any]", plain)) <= _MOST_FIELDS:
        return False
    if reject.edited is None and not reject.is_exact:
        return False
    # A dictionary with other keys than texts is marked, and so is anything that is no dictionary.
    names: Iterable[str] = cast("dict[str, Any]", plain)
    return is_record or (isinstance(record_of(reject), dict) and not any(name.startswith("~") for name in names))


def _left_out(reject: RejectRecord, names: Iterable[str]) -> set[str]:
    """Return the fields in which something was left out when the record was kept, whatever was made of it since."""
    if not reject.is_redacted or not reject.is_exact:
        return set()
    kept = decode(reject.record)
    return {name for name in names if _MARK in _encoded(value_of(kept, name))}


def _encoded(value: Any) -> str:
    try:
        return encode(value)
    except NotEncodableError:
        return ""


def _field(name: str, value: Any, shown: Any, *, is_secret: bool) -> FormField:
    kind = type(value).__name__
    if is_secret:
        return FormField(name, "", "text", value, is_secret=True)
    if isinstance(value, str) and _is_ordinary(value):
        return FormField(name, value, kind, value)
    if isinstance(shown, dict):
        marked = [*cast("dict[str, Any]", shown).items()]  # a value that has a text of its own: a date, a decimal
        if len(marked) == 1 and marked[0][0] in _TEXTS and _is_ordinary(str(marked[0][1])):
            return FormField(name, str(marked[0][1]), kind, value)
    return FormField(name, json.dumps(shown), kind, value, is_json=True)


def _is_ordinary(text: str) -> bool:
    """Say whether a browser gives a text back as it was: no control characters, no halves of surrogate pairs."""
    return all(each.isprintable() or each == "\n" for each in text)


def check(reject: RejectRecord, form: Form, typed: Mapping[str, str]) -> Checked:
    """Check what was typed; what was not sent stays as it is."""
    checked = Checked(problem=form.problem)
    for each in form.fields:
        text = typed.get(each.key)
        if text is None:
            continue
        text = text.replace("\r\n", "\n")
        if text != each.text:
            checked.has_changed = True
            _check_field(reject, each, text, checked, is_whole=form.is_whole)
    if checked.is_good and checked.has_changed:
        try:
            if form.is_whole:
                edited_text(reject, checked.whole)
            else:
                with_fields(reject, checked.changed)
        except (RejectError, NotEncodableError, StoreError) as error:
            checked.problem = str(error)
    return checked


def _check_field(reject: RejectRecord, each: FormField, text: str, checked: Checked, *, is_whole: bool) -> None:
    try:
        if is_whole:
            checked.whole = parsed(text)
            return
        value = _value(each, text)
    except (ValueError, MainstemError) as error:
        checked.errors[each.key] = str(error)
        return
    checked.changed[each.name] = value
    hint = (field_hints(kind_of(record_of(reject))) or {}).get(each.name)
    if hint is not None and not bears(value, hint):
        checked.errors[each.key] = f"it is to be {show(hint)}, and this is {_article(type(value).__name__)}"
    elif type(value) is not type(each.value) and not each.is_secret and each.value is not None:
        checked.notices[each.key] = f"it was {_article(each.kind)}, and would be {_article(type(value).__name__)}"


def _value(each: FormField, text: str) -> Any:
    if each.is_secret:
        return text
    if each.is_json and isinstance(each.value, str):
        return parsed(text)  # it has characters that only JSON can say
    return read_field(text, each.value)


_IN_WORDS = {
    "str": "a text",
    "NoneType": "nothing yet",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
}


def _article(kind: str) -> str:
    return _IN_WORDS.get(kind, f"a {kind}")
