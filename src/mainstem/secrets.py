"""What must not be shown: fields that are marked as secret, and passwords in URLs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from copy import copy
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints

from mainstem.errors import RedactedError, describe_error

SHOWN = "<secret>"
"""What is shown in the place of a secret."""

SHORTEST = 4
"""Characters of a value from which on it is looked for in texts: shorter ones are found in too many words."""

_PLAIN: frozenset[Any] = frozenset((str, int, float, bool, bytes, Decimal, datetime, date, time, type(None)))
_DEEPEST = 5
_PASSWORD = re.compile(r"(?<=://)([^/?#@\s]*?):([^/?#\s]*)(?=@)")
_PARAMETER = re.compile(
    r"(?i)([?&;](?:[a-z0-9_.-]*(?:password|passwd|secret|token|api_?key|access_?key|signature|credential)[a-z0-9_.-]*"
    r"|pwd|sig|key)=)[^&;#\s]*"
)


class Secret:
    """Marks a field of a record type as secret: its values are left out of what is kept and shown of failed records.

    They are left out of ``context.errors``, the reject ledger, events, logs and reports, and of the texts of errors
    that quote them, if they have at least four characters. They are not left out of the data itself, nor of the states
    of stages that a durable run keeps. Fields of pydantic's ``SecretStr`` and ``SecretBytes`` are secret by themselves;
    those of plain dicts are named with ``secret_fields`` of ``execute`` and ``run``.

    Example:
        >>> from dataclasses import dataclass
        >>> from mainstem import Pipeline
        >>> @dataclass
        ... class Login:
        ...     user: str
        ...     password: Annotated[str, Secret]
        >>> def check(login: Login) -> bool:
        ...     raise ValueError(f"{login.password} is too short")
        >>> pipeline = Pipeline[list[Login], list[bool]]("logins").map(check, continue_on_error=True)
        >>> failed = pipeline.run([Login("ada", "hunter2")]).context.errors[0]
        >>> failed.record, str(failed.error)
        (Login(user='ada', password='<secret>'), '<secret> is too short')
    """


class Secrets:
    """The secrets of one run.

    Args:
        fields: Names of secret fields, of dicts and of any record.
        models: Record types of the run's source, whose lines are not records yet.
        outer: Those of the run that this one is a part of: what is secret there is secret here, and known to both.
    """

    def __init__(
        self, fields: Collection[str] = (), models: Iterable[type[Any]] = (), outer: Secrets | None = None
    ) -> None:
        self._fields = frozenset([fields] if isinstance(fields, str) else fields)  # and not each letter of the one
        self._models = tuple(models)
        self._of_lines: frozenset[str] | None = None
        self._texts: set[str] = set()
        """The secrets that were found so far, as they may be quoted."""
        if outer is not None:
            self._fields |= outer._fields
            self._models += outer._models
            self._texts = outer._texts

    def redact(self, record: Any, error: Exception) -> tuple[Any, Exception] | None:
        """Return a record and its error without the record's secrets; ``None`` if it has none.

        They are left out of the error itself, and of its notes and causes. Where it says them all the same, for it
        keeps them elsewhere, a ``RedactedError`` stands in for it.
        """
        if not self._fields and _is_plain(_class_of(record)):
            return None
        found: list[Any] = []
        redacted = self._without(record, found, 0)
        if not found:
            return None
        texts = {text for value in found for text in _texts_of(value) if len(text) >= SHORTEST}
        self._texts |= texts
        longest_first = sorted(texts, key=len, reverse=True)
        self._redact_error(error, longest_first, 0)
        shown = _shown(error)
        if not any(text in shown for text in texts):
            return redacted, error
        instead = RedactedError(f"{_redact(describe_error(error), longest_first)}")
        for note in getattr(error, "__notes__", ()):
            instead.add_note(note)
        return redacted, instead

    def redact_text(self, text: str) -> str:
        """Leave out of a text what was found to be secret in this run so far."""
        return _redact(text, sorted(self._texts, key=len, reverse=True)) if self._texts else text

    def _without(self, value: Any, found: list[Any], depth: int) -> Any:
        """Return a value without the secrets in it, which are added to ``found``; itself, if there are none."""
        kind = _class_of(value)
        if depth > _DEEPEST or kind in (int, float, bool, type(None)):
            return value
        if kind in (str, bytes):
            return self._without_line(value, found) if depth == 0 else value
        before = len(found)
        changed: Any = value
        if issubclass(kind, Mapping):
            try:
                changed = self._without_named(_items_of(value), found, depth)
            except Exception:  # what cannot be looked at may hold anything
                changed = self._hide(value, found)
        elif kind in (list, tuple, set, frozenset):
            several: list[Any] = [self._without(each, found, depth + 1) for each in value]
            changed = cast("Any", kind)(several)
        else:
            return self._without_marked(value, kind, found, depth)
        return value if len(found) == before else changed

    def _without_named(self, items: Any, found: list[Any], depth: int) -> dict[Any, Any]:
        names = self._fields | self._names_of_lines()
        return {
            key: self._hide(each, found)
            if _class_of(key) is str and key in names
            else self._without(each, found, depth + 1)
            for key, each in items
        }

    def _without_line(self, line: Any, found: list[Any]) -> Any:
        """A line that could not be read is left out as a whole, where its records would have secrets."""
        if not self._names_of_lines():
            return line
        return self._hide(line, found)

    def _without_marked(self, record: Any, kind: Any, found: list[Any], depth: int) -> Any:
        secret, names = secret_names(kind), _field_names(kind)
        changes: dict[str, Any] = {}
        for name in names:
            value = getattr(record, name, None)
            if name in secret or name in self._fields:
                changes[name] = self._hide(value, found)
            else:
                before = len(found)
                without = self._without(value, found, depth + 1)
                if len(found) != before:
                    changes[name] = without
        return _with_changes(record, changes) if changes else record

    def _hide(self, value: Any, found: list[Any]) -> Any:
        found.append(value)
        return SHOWN

    def _redact_error(self, error: BaseException, texts: Collection[str], depth: int) -> None:
        """Leave secrets out of an error, its notes and its causes."""
        if depth > _DEEPEST:
            return
        error.args = tuple(
            _redact(each, texts) if isinstance(each, str) else self._without(each, [], 1) for each in error.args
        )
        notes: list[str] = getattr(error, "__notes__", [])
        notes[:] = [_redact(note, texts) for note in notes]
        for cause in (error.__cause__, error.__context__):
            if cause is not None:
                self._redact_error(cause, texts, depth + 1)

    def _names_of_lines(self) -> frozenset[str]:
        if self._of_lines is None:
            self._of_lines = frozenset(name for model in self._models for name in secret_names(model))  # type: ignore[arg-type]
        return self._of_lines


def _items_of(value: Any) -> Any:
    """Return the items of a mapping, without asking a dict that may be of a class of its own."""
    items_of: Any = getattr(dict if issubclass(_class_of(value), dict) else _class_of(value), "items")  # noqa: B009
    return items_of(value)


def _class_of(value: object) -> Any:
    """Return a value's class; not what the value says of it, which may raise."""
    return type(value)


@lru_cache(maxsize=1024)
def secret_names(kind: type[Any]) -> frozenset[str]:
    """Return the names of the fields of a record type that are secret."""
    if not _field_names(kind):  # type: ignore[arg-type]  # classes are hashable
        return frozenset()
    try:
        hints = get_type_hints(kind, include_extras=True)
    except Exception:  # an annotation that cannot be evaluated: better too many than one too few
        texts: dict[str, Any] = {
            name: hint for base in kind.__mro__ for name, hint in vars(base).get("__annotations__", {}).items()
        }
        return frozenset(name for name, hint in texts.items() if "Secret" in str(hint))
    return frozenset(name for name, hint in hints.items() if _is_secret(hint))


@lru_cache(maxsize=1024)
def _is_plain(kind: type[Any]) -> bool:
    """Whether records of a type can hold no secret: none of their fields is marked, and each is a plain value."""
    names = _field_names(kind)  # type: ignore[arg-type]  # classes are hashable
    if not names or secret_names(kind):  # type: ignore[arg-type]
        return False
    try:
        hints = get_type_hints(kind)
    except Exception:
        return False
    return all(set(get_args(hints.get(name)) or (hints.get(name),)) <= _PLAIN for name in names)


def _is_secret(hint: Any) -> bool:
    if get_origin(hint) is Annotated:
        inner, *marks = get_args(hint)
        return any(mark is Secret or isinstance(mark, Secret) for mark in marks) or _is_secret(inner)
    if getattr(hint, "__name__", "") in ("SecretStr", "SecretBytes"):
        return True
    return any(map(_is_secret, get_args(hint)))


@lru_cache(maxsize=1024)
def _field_names(kind: type[Any]) -> tuple[str, ...]:
    """Return the names of the fields of a record type; none of any other class."""
    for attribute in ("__dataclass_fields__", "__pydantic_fields__", "__struct_fields__", "_fields"):
        names = getattr(kind, attribute, None)
        if names:
            return tuple(names)
    return tuple(getattr(kind, "__annotations__", ())) if hasattr(kind, "__total__") else ()


def _with_changes(record: Any, changes: Mapping[str, Any]) -> Any:
    """Return a copy of a record with other values, which need not be of the fields' types."""
    kind = _class_of(record)
    names = _field_names(kind)
    if issubclass(kind, tuple):
        new: Any = getattr(tuple, "__new__")  # noqa: B009 - for type checkers, which cannot know of what
        return new(kind, [changes.get(name, getattr(record, name)) for name in names])
    changed = copy(record)
    for name, value in changes.items():
        try:
            object.__setattr__(changed, name, value)
        except (AttributeError, TypeError):  # a class that is frozen deeper down
            return {each: changes.get(each, getattr(record, each, None)) for each in names}
    return changed


def _texts_of(value: Any) -> Iterator[str]:
    """Give the forms in which a value may be quoted."""
    revealed = getattr(value, "get_secret_value", None)
    plain = revealed() if callable(revealed) else value
    if isinstance(plain, bytes):
        yield plain.decode("utf-8", "replace")
    try:
        yield from (str(plain), repr(plain).strip("'\""))
    except Exception:  # then no error can have quoted it
        return


def _shown(error: BaseException) -> str:
    """Return all that is shown of an error and its causes."""
    parts: list[str] = []
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        with suppress(Exception):  # of what raises here nothing is shown either
            parts += [str(each), repr(each)]
        waiting += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]
    return "\n".join(parts)


def _redact(value: str, texts: Collection[str]) -> str:
    for text in texts:
        value = value.replace(text, SHOWN)
    return value


def redact_url(text: str) -> str:
    """Return a text in which the passwords of URLs, and parameters that sound like secrets, are left out.

    Example:
        >>> redact_url("postgresql://me:hunter2@db/shop?sslpassword=x&port=1")
        'postgresql://me:<secret>@db/shop?sslpassword=<secret>&port=1'
    """
    if "://" not in text:
        return text
    return _PARAMETER.sub(rf"\1{SHOWN}", _PASSWORD.sub(rf"\1:{SHOWN}", text))
