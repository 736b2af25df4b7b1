"""Records of rejects as a page shows them: field by field, what the store holds, without loading anybody's classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from mainstem.durable.kept_values import show_value
from mainstem.printable import printable, shorten
from mainstem.secrets import SHOWN
from mainstem.store.codec import names_of
from mainstem.store.data_classes import class_named
from mainstem.store.model import RejectRecord

LONGEST_VALUE = 5_000
_MARK = json.dumps(SHOWN)


@dataclass(frozen=True, slots=True)
class ShownField:
    """A field of a record.

    Attributes:
        name: Its name; empty where the record has no fields.
        before: Its value as it came in; ``None`` if it had none.
        after: Its value as somebody edited it; ``None`` if nobody did, or it stayed as it was.
    """

    name: str
    before: str | None
    after: str | None = None


def without_secrets(reject: RejectRecord) -> RejectRecord:
    """Return a reject without what somebody has supplied for a secret field: that is for the pipeline alone."""
    if reject.edited is None or not reject.is_redacted:
        return reject
    masked = _masked(_read(reject.record), _read(reject.edited))
    return replace(reject, edited=json.dumps(masked, separators=(",", ":")))


def _masked(kept: Any, edited: Any) -> Any:
    """Return an edited value with those of its parts hidden that were secret in the kept one."""
    if kept == SHOWN:
        return SHOWN
    if isinstance(kept, dict) and isinstance(edited, dict):
        return {name: _masked(kept.get(name), each) for name, each in edited.items()}  # pyright: ignore
    if isinstance(kept, list) and isinstance(edited, list):
        return [_masked(kept[at] if at < len(kept) else None, each) for at, each in enumerate(edited)]  # pyright: ignore
    # Of another shape: where the secret is in it, nobody can tell.
    return SHOWN if _MARK in json.dumps(kept) else edited


def shown_fields(reject: RejectRecord) -> list[ShownField]:
    """Return the record of a reject, field by field, without secrets."""
    reject = without_secrets(reject)
    before = _fields_of(reject.record, is_exact=reject.is_exact)
    if reject.edited is None:
        return [ShownField(name, value) for name, value in before.items()]
    after = _fields_of(reject.edited, is_exact=True)
    if before.keys() != after.keys() and ("" in before or "" in after):
        before = {"": _whole(reject.record, is_exact=reject.is_exact)}
        after = {"": _whole(reject.edited, is_exact=True)}
    return [
        ShownField(name, before.get(name), None if before.get(name) == after.get(name) else after.get(name))
        for name in dict.fromkeys([*before, *after])
    ]


def shown_in_line(reject: RejectRecord, length: int) -> str:
    """Return the record of a reject as it would be replayed, in one line, without secrets."""
    reject = without_secrets(reject)
    text, is_exact = (reject.record, reject.is_exact) if reject.edited is None else (reject.edited, True)
    return shorten(printable(_whole(text, is_exact=is_exact)), length)


def _whole(text: str, *, is_exact: bool) -> str:
    value = _read(text)
    return show_value(value) if is_exact else str(value)


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # the beginning of one that was too long to be kept
        return text


def _fields_of(text: str, *, is_exact: bool) -> dict[str, str]:
    value = _read(text)
    if not is_exact:
        return {"": str(value)}
    fields = _named(value)
    return {"": show_value(value)} if fields is None else {name: show_value(each) for name, each in fields.items()}


def _named(value: Any) -> Mapping[str, Any] | None:
    """Return the fields of a kept record, by name; ``None`` if it has none."""
    if not isinstance(value, dict):
        return None
    items = cast("dict[str, Any]", value)
    if "~r" not in items:
        return None if any(name.startswith("~") for name in items) else items
    name, *values = items["~r"]
    kind = class_named(str(name))
    names = None if kind is None else names_of(kind)
    if names is None or len(names) != len(values):  # a class that is not loaded: its values have no names here
        return {f"field {at}": each for at, each in enumerate(values, 1)}
    return dict(zip(names, values, strict=True))
