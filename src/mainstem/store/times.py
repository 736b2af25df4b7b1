"""Dates with times, and times, in terms of what JSON has, with their zones."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time, timezone, tzinfo
from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

from mainstem.errors import NotEncodableError
from mainstem.store.data_classes import name_of

_PLAIN_ZONES = frozenset((id(None), id(timezone.utc)))
"""The identities of what stands for no zone and for UTC."""


def are_plain(values: Iterable[datetime]) -> bool:
    """Say whether times are in no zone or UTC, and not the second of two: then their texts say all."""
    zones = set(map(id, map(attrgetter("tzinfo"), values)))
    return zones <= _PLAIN_ZONES and not any(map(attrgetter("fold"), values))


def write_datetime(value: datetime) -> Any:
    zone = value.tzinfo
    if (zone is None or zone is timezone.utc) and not value.fold:
        return {"~dt": value.isoformat()}
    written: dict[str, Any]
    if zone is None or _is_plain_offset(zone):
        written = {"~dt": value.isoformat()}
    else:
        written = {"~dt": value.replace(tzinfo=None).isoformat(), "zone": _zone(zone)}
    if value.fold:
        written["fold"] = 1
    return written


def write_time(value: time) -> Any:
    zone = value.tzinfo
    written: dict[str, Any]
    if zone is None or _is_plain_offset(zone):
        written = {"~time": value.isoformat()}
    else:
        written = {"~time": value.replace(tzinfo=None).isoformat(), "zone": _zone(zone)}
    if value.fold:
        written["fold"] = 1
    return written


def _is_plain_offset(zone: tzinfo) -> bool:
    """Say whether a zone is an offset without a name of its own: then it is in the text of a time."""
    return zone is timezone.utc or (type(zone) is timezone and len(_arguments(zone)) == 1)


def _zone(zone: tzinfo) -> list[Any]:
    if type(zone) is ZoneInfo and zone.key is not None:  # pyright: ignore[reportUnnecessaryComparison]  # of a file
        return [zone.key]
    if type(zone) is timezone:
        offset, name = _arguments(zone)
        return [name, offset.days, offset.seconds, offset.microseconds]
    raise NotEncodableError(f"a time with a {name_of(type(zone))} cannot be kept as text: use zoneinfo or an offset")


def _arguments(zone: Any) -> tuple[Any, ...]:
    """Return what a ``timezone`` was made of: its offset, and its name, if it was given one."""
    arguments: tuple[Any, ...] = zone.__getinitargs__()
    return arguments
