"""Folders that are named after a field and its value, as Hive has them: ``year=2024/month=01/…``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from mainstem.errors import ConnectError

_NOTHING = "__HIVE_DEFAULT_PARTITION__"


def partitions_of(path: str) -> dict[str, str | None]:
    """Return the fields that the folders of a path stand for, as texts.

    Raises:
        ConnectError: If two folders stand for the same.

    Example:
        >>> partitions_of("sales/year=2024/shop=New%20York/part.csv")
        {'year': '2024', 'shop': 'New York'}
    """
    found: dict[str, str | None] = {}
    for folder in path.split("/")[:-1]:
        key, sign, value = folder.partition("=")
        if not (sign and key):
            continue
        if key in found:
            raise ConnectError(f"two folders of {path} stand for {key!r}: rename one")
        found[unquote(key)] = None if value == _NOTHING else unquote(value)
    return found


def check_same_keys(partitions: Mapping[str, Mapping[str, str | None]]) -> None:
    """Check that all files are in folders of the same fields.

    Args:
        partitions: The fields, under the name of each file.

    Raises:
        ConnectError: If they are not.
    """
    first = next(iter(partitions.items()), None)
    for name, fields in partitions.items():
        if first is not None and list(fields) != list(first[1]):
            raise ConnectError(
                f"the folders of {name} stand for {_listed(list(fields))}, and those of {first[0]} for "
                f"{_listed(list(first[1]))}: all files must be in folders of the same fields"
            )


def check_no_column(name: str, columns: Sequence[str], partitions: Mapping[str, Any]) -> None:
    """Check that no column of a file has the name of a field that its folders stand for.

    Raises:
        ConnectError: If one has.
    """
    both = [column for column in columns if column in partitions]
    if both:
        raise ConnectError(
            f"{name} has a column {both[0]!r}, and a folder of that name stands for a field: rename one, or read it "
            "without partitions"
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "no fields"
