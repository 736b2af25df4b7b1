"""Local files: paths, positions, and what is said of errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from mainstem import ConnectError
from mainstem.connect.files import file_errors, local_path
from mainstem.connect.line_file import LinePosition

# The rest of what files keep to is in test_conformance.py and test_csv.py.


def test_missing_rights_are_named() -> None:
    with pytest.raises(ConnectError, match="cannot read x: permission denied"), file_errors(Path("x"), "read"):
        raise PermissionError


@pytest.mark.parametrize("path", ["s3://b/k", "file:///x", "sqlite:///x.db", "HTTP://x"])
def test_a_url_is_no_path(path: str) -> None:
    with pytest.raises(ConnectError, match="only local files"):
        local_path(path)


@pytest.mark.parametrize("path", ["a:b", "C:/x", "//host/x", "a/b://c"])
def test_a_path_is_no_url(path: str) -> None:
    assert local_path(path) == Path(path)


def test_a_position_survives_json() -> None:
    position = LinePosition(5, 2, 3)
    assert LinePosition.parse(position.to_json()) == position
