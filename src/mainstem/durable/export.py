"""Rejects as a file for others: JSON Lines, JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, fields
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias, get_args

from mainstem.connect.pending_file import PendingFile
from mainstem.store.model import RejectRecord

ExportFormat: TypeAlias = Literal["jsonl", "json", "csv"]

_ENCODED = ("record", "edited")
_FORMULA = re.compile("[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""How a cell begins that Excel, LibreOffice or Google Sheets may run: OWASP's list."""
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


def export_rejects(
    rejects: Iterable[RejectRecord],
    target: str | os.PathLike[str] | IO[str],
    format: ExportFormat,  # noqa: A002 - as in most libraries
    *,
    escape_formulas: bool = True,
) -> int:
    """Write rejects: see ``RejectLedger.export``."""
    written = 0

    def counted() -> Iterator[RejectRecord]:
        nonlocal written
        for reject in rejects:
            yield reject
            written += 1

    texts = exported(counted(), format, escape_formulas=escape_formulas)
    if isinstance(target, (str, os.PathLike)):
        _write_file(Path(target), texts)
    else:
        for text in texts:
            target.write(text)
    return written


def exported(
    rejects: Iterable[RejectRecord],
    format: ExportFormat,  # noqa: A002 - as in most libraries
    *,
    escape_formulas: bool = True,
) -> Iterator[str]:
    """Give the file piece by piece.

    Raises:
        ValueError: If there is no such format.
    """
    if format not in get_args(ExportFormat):
        raise ValueError(f"format is one of {', '.join(map(repr, get_args(ExportFormat)))}, not {format!r}")
    if format == "csv":
        return _csv(rejects, escape_formulas=escape_formulas)
    return _json_lines(rejects) if format == "jsonl" else _json_array(rejects)


def _write_file(path: Path, texts: Iterable[str]) -> None:
    pending = PendingFile(path)
    try:
        for text in texts:
            pending.write(text.encode("utf-8"))
        pending.commit()
    finally:
        pending.discard()


def plain_reject(reject: RejectRecord) -> dict[str, Any]:
    """Return a reject in plain JSON values; its record in those of the codec."""
    plain = {name: _plain(value) for name, value in asdict(reject).items()}
    for name in _ENCODED:
        if plain[name] is not None:
            plain[name] = json.loads(plain[name])
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    return value.isoformat() if isinstance(value, datetime) else value


def _json_lines(rejects: Iterable[RejectRecord]) -> Iterator[str]:
    for reject in rejects:
        yield json.dumps(plain_reject(reject)) + "\n"


def _json_array(rejects: Iterable[RejectRecord]) -> Iterator[str]:
    before = "[\n"
    for reject in rejects:
        yield before + json.dumps(plain_reject(reject))
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _csv(rejects: Iterable[RejectRecord], *, escape_formulas: bool) -> Iterator[str]:
    names = [each.name for each in fields(RejectRecord)]
    show: Callable[[str], str] = _harmless if escape_formulas else str
    yield _csv_row(names)
    for reject in rejects:
        yield _csv_row([show(_cell(getattr(reject, name))) for name in names])


def _csv_row(cells: Iterable[str]) -> str:
    row = io.StringIO()
    csv.writer(row).writerow(cells)
    return row.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(_plain(value))


def _harmless(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell
