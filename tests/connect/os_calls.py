"""Every call by which a process changes files, seen before and after it is made."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeAlias

CHANGING = ("mkdir", "open", "write", "ftruncate", "fchmod", "fsync", "rename", "replace", "unlink", "rmdir")

Call: TypeAlias = Callable[..., Any]
Watcher: TypeAlias = Callable[[str, Call, tuple[Any, ...], dict[str, Any]], Any]
"""Is given the name, the real function and its arguments, and returns what the call is to return."""


@contextmanager
def watched(watcher: Watcher) -> Generator[None]:
    """Have every changing call made by ``watcher``; what it calls itself is not watched."""
    real = {name: getattr(os, name) for name in CHANGING}
    inside = False

    def wrapped(name: str) -> Call:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal inside
            only_reads = name == "open" and not arguments[1] & os.O_CREAT
            if inside or only_reads:
                return real[name](*arguments, **options)
            inside = True
            try:
                return watcher(name, real[name], arguments, options)
            finally:
                inside = False

        return call

    for name in CHANGING:
        setattr(os, name, wrapped(name))
    try:
        yield
    finally:
        for name, function in real.items():
            setattr(os, name, function)


def quick(name: str, call: Call, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Make a call, but wait for no disk: only a power cut can tell."""
    return None if name == "fsync" else call(*arguments, **options)


class Step:
    """Does something just before the k-th changing call, once."""

    def __init__(self, at: int, action: Callable[[str, tuple[Any, ...]], None]) -> None:
        self._at, self._action = at, action
        self.seen = 0

    @property
    def reached(self) -> bool:
        return self.seen > self._at

    def __call__(self, name: str, call: Call, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        self.seen += 1
        if self.seen == self._at + 1:
            self._action(name, arguments)
        return quick(name, call, arguments, options)
