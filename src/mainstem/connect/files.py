"""Local files: their paths, and what is said of their errors."""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from mainstem.errors import ConnectError

FilePath: TypeAlias = str | os.PathLike[str]


def local_path(path: FilePath) -> Path:
    """Return the path of a local file.

    Raises:
        ConnectError: If it is the URL of something else.
    """
    text = os.fspath(path)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", text)
    if scheme:  # the rest may hold a password
        raise ConnectError(
            f"a path is needed, not a URL of the scheme {scheme[1]!r}: only local files are supported here"
        )
    return Path(text)


@contextmanager
def file_errors(path: Path, doing: str) -> Generator[None]:
    """Turn the errors of the operating system into a ``ConnectError`` that says what to do.

    Raises:
        ConnectError: In place of them.
    """
    try:
        yield
    except FileNotFoundError as error:
        folder = path.absolute().parent
        missing = "there is no such file" if folder.is_dir() else f"there is no folder {folder}"
        raise ConnectError(f"cannot {doing} {path}: {missing}; check the path") from error
    except IsADirectoryError as error:
        raise ConnectError(f"cannot {doing} {path}: it is a folder; give the path of a file") from error
    except PermissionError as error:
        raise ConnectError(f"cannot {doing} {path}: permission denied; check the rights of {path}") from error
    except OSError as error:
        raise ConnectError(f"cannot {doing} {path}: {error.strerror or error}") from error
    except ValueError as error:  # a path with NUL in it
        raise ConnectError(f"cannot {doing} {path!s:.200}: {error}; check the path") from error
