"""The files that a Singer tap is given: private, and gone when it has ended."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

from mainstem.errors import ConnectError

Given: TypeAlias = "Mapping[str, Any] | str | os.PathLike[str] | None"
"""What a file is to hold, as JSON, or the path of one that is there."""

_SECRET = ("password", "passwd", "secret", "token", "key", "credential", "auth")
_SHORTEST = 4


class TapFiles:
    """A folder of its own, that nobody else can read, for one run of a tap; to be removed."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    def option(self, name: str, given: Given) -> list[str]:
        """Return the words that hand a file to the tap, ``--name path``; none if nothing is given.

        Raises:
            ConnectError: If the file is not there, or cannot be written.
        """
        if given is None:
            return []
        if not isinstance(given, Mapping):
            path = Path(given)
            if not path.is_file():
                raise ConnectError(f"cannot read {path}: there is no such file; check {name}=")
            return [f"--{name}", str(path)]
        try:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="mainstem-tap-"))  # which nobody else may enter
            path = self._folder / f"{name}.json"
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(given, file)
        except OSError as error:
            raise ConnectError(f"the {name} of the tap cannot be written to a file: {error}") from error
        return [f"--{name}", str(path)]

    def remove(self) -> None:
        """Remove the folder with what is in it."""
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder)


def check_given(what: str, given: object) -> None:
    """Check that something is a path, or can be written to a file as JSON.

    Raises:
        TypeError: If it is neither a mapping nor a path.
        ValueError: If it is a mapping of what JSON does not have.
    """
    if given is None or isinstance(given, (str, os.PathLike)):
        return
    if not isinstance(given, Mapping):
        raise TypeError(f"{what} must be a mapping, or the path of a JSON file, not {type(given).__name__}")
    try:
        json.dumps(given, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} cannot be written as JSON: {error}") from None


def secrets_of(config: Given) -> list[str]:
    """Return the texts in a config, longest first, whose names sound secret."""
    found = set(_secrets_in(config, secret=False)) if isinstance(config, Mapping) else set[str]()
    return sorted((text for text in found if len(text) >= _SHORTEST), key=len, reverse=True)


def _secrets_in(value: object, *, secret: bool) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, each in cast("Mapping[Any, object]", value).items():
            yield from _secrets_in(each, secret=secret or sounds_secret(str(name)))
    elif isinstance(value, (list, tuple)):
        for each in cast("list[object]", value):
            yield from _secrets_in(each, secret=secret)
    elif secret and isinstance(value, str):
        yield value


def sounds_secret(name: str) -> bool:
    """Say whether the value of a setting of this name is not to be shown."""
    return any(word in name.lower() for word in _SECRET)
