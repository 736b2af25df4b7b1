"""``--set name=value``: values for the arguments of a user's function, converted to their annotated types."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, time
from enum import Enum
from pathlib import PurePath
from typing import Any, Literal, get_args, get_origin

import cyclopts

from mainstem.cli.escape import printable, represent
from mainstem.cli.usage import UsageError, did_you_mean
from mainstem.errors import describe_error
from mainstem.typecheck import show

_ABSENT = inspect.Parameter.empty
_cyclopts_convert: Callable[..., Any] = cyclopts.convert


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """An annotation that cannot be evaluated: an error only if its setting is given."""

    text: str
    reason: str

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Setting:
    """An argument of the user's function that the command line can set.

    Attributes:
        name: Its name.
        hint: The type that values are converted to.
        default: Its default; ``inspect.Parameter.empty`` if it is required.
    """

    name: str
    hint: Any
    default: Any

    @property
    def required(self) -> bool:
        return self.default is _ABSENT

    def __str__(self) -> str:
        choices = _choices(self.hint)
        shown = f"{self.name}: {show(self.hint)}" + (f" ({', '.join(choices)})" if choices else "")
        return f"{shown}, required" if self.required else f"{shown} = {_as_typed(self.default)}"


def settings_of(function: Callable[..., Any]) -> dict[str, Setting]:
    """Return the settings of a function by name, in the order of its arguments."""
    return {
        each.name: Setting(each.name, _hint_of(function, each), each.default)
        for each in _parameters(function)
        if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    }


def call_with_settings(function: Callable[..., Any], assignments: Sequence[str], described: str) -> Any:
    """Call a function with what ``--set`` says.

    Args:
        function: The function.
        assignments: Texts of the form ``name=value``; a name may come again where its type is a collection.
        described: What the function is called in messages.

    Returns:
        What the function returns.

    Raises:
        UsageError: If a name is not known, a value does not convert or a required one is missing.
        BaseException: What the function raises.
    """
    settings = settings_of(function)
    given = _group(assignments)
    rest = next((each for each in _parameters(function) if each.kind is each.VAR_KEYWORD), None)
    arguments: dict[str, Any] = {}
    for name, texts in given.items():
        setting = settings.get(name)
        if setting is None:
            if rest is None:
                raise UsageError(
                    f"{described} has no setting {name!r}{did_you_mean(name, settings)}\n{listing(settings)}"
                )
            setting = Setting(name, _hint_of(function, rest), _ABSENT)
        arguments[name] = _convert(setting, texts)
    missing = [each for name, each in settings.items() if each.required and name not in arguments]
    if missing:
        needed = " ".join(f"--set {each.name}=..." for each in missing)
        raise UsageError(f"{described} needs {needed}\n{listing(settings)}")
    return _call(function, arguments)


def listing(settings: dict[str, Setting]) -> str:
    """List the settings, one a line, with types and defaults."""
    return "\n".join(["its settings:", *(f"  {each}" for each in settings.values())]) if settings else "it has none"


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []  # a builtin without a signature


def _hint_of(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """Return the type to convert to: as annotated, else that of the default, else ``str``."""
    hint: Any = parameter.annotation
    if isinstance(hint, str):
        # One at a time: other annotations may name what is imported for type checkers only.
        code: Any = inspect.unwrap(function)
        code = getattr(code, "func", code)
        names = getattr(code, "__globals__", None) or getattr(type(code).__call__, "__globals__", {})
        holder: Any = types.SimpleNamespace(__annotations__={"hint": hint})
        try:
            hint = typing.get_type_hints(holder, globalns=names, include_extras=True)["hint"]
        except Exception as error:  # evaluating an annotation runs the user's code
            return _Unreadable(hint, describe_error(error))
    if hint is _ABSENT:
        default: object = parameter.default
        hint = str if default is _ABSENT or default is None else type(default)
    return str if hint is Any or hint is object else hint


def _group(assignments: Sequence[str]) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip()
        if not equals or not name:
            raise UsageError(f"--set takes name=value, and was given {assignment!r}")
        given.setdefault(name, []).append(text)
    return given


def _convert(setting: Setting, texts: list[str]) -> Any:
    if isinstance(setting.hint, _Unreadable):
        raise UsageError(
            f"the annotation {setting.hint} of setting {setting.name!r} cannot be read: {setting.hint.reason}"
        )
    if len(texts) > 1 and not _takes_many(setting.hint):
        raise UsageError(f"--set {setting.name}=... was given {len(texts)} times, and is one {show(setting.hint)}")
    try:
        return _cyclopts_convert(setting.hint, texts, converter=_convert_one)
    except Exception as error:  # conversion may call any class of the user's
        given = " ".join(f"--set {setting.name}={text}" for text in texts)
        choices = _choices(setting.hint)
        reason = error if error.__cause__ is None else error.__cause__
        if choices:
            why = f": choose from {', '.join(choices)}"
        elif _takes_many(setting.hint):
            why = f": give --set {setting.name}=... once for each item"
        else:
            why = (
                "" if isinstance(reason, cyclopts.CoercionError) or not str(reason) else f" ({describe_error(reason)})"
            )
        raise UsageError(f"{given!r} does not convert to {show(setting.hint)}{why}") from None


def _convert_one(hint: Any, text: str) -> Any:
    """Convert one text to one value: as cyclopts does, but for what it is too lenient about or does not know."""
    if hint is int:
        # Cyclopts would round 1.7 to 2.
        return int(text, 0) if text.lower().lstrip("+-").startswith(("0x", "0o", "0b")) else int(text)
    if hint is time:
        return time.fromisoformat(text)
    if isinstance(hint, type) and issubclass(hint, Enum):
        members: list[Enum] = [each for each in hint if str(each.value) == text]
        if members and text.lower().replace("-", "_") not in (name.lower() for name in hint.__members__):
            return members[0]  # by its value; cyclopts takes names
    return _cyclopts_convert(hint, [text])


def _takes_many(hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in (typing.Annotated, typing.Union, types.UnionType):
        return any(map(_takes_many, get_args(hint)))
    kind = origin or hint
    return isinstance(kind, type) and issubclass(kind, typing.Iterable) and not issubclass(kind, (str, bytes, Enum))


def _choices(hint: Any) -> list[str]:
    if get_origin(hint) is Literal:
        return [str(each) for each in get_args(hint)]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return [name.lower().replace("_", "-") for name in hint.__members__]
    return [choice for each in get_args(hint) for choice in _choices(each)]


def _as_typed(default: Any) -> str:
    """Show a default as one would write it after ``--set name=``."""
    if isinstance(default, Enum):
        return default.name.lower().replace("_", "-")
    if isinstance(default, (date, time)):
        return default.isoformat()
    return printable(str(default)) if isinstance(default, PurePath) else represent(default, length=80)


def _call(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    if not arguments:
        return function()
    signature = inspect.signature(function)
    bound = signature.bind_partial()
    rest = next((each.name for each in signature.parameters.values() if each.kind is each.VAR_KEYWORD), None)
    for name, value in arguments.items():
        if name in signature.parameters and name != rest:
            bound.arguments[name] = value
        elif rest is not None:
            bound.arguments.setdefault(rest, {})[name] = value
    bound.apply_defaults()
    return function(*bound.args, **bound.kwargs)
