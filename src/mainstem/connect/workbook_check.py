"""What calamine does not say of a workbook: cells that hold an error, and sheets that would not fit into memory."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from io import BytesIO
from posixpath import join, normpath
from xml.etree import ElementTree

from mainstem.connect.compression import ALWAYS_UNPACKED, LARGEST_RATIO
from mainstem.errors import ConnectError

_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_STRICT_RELATION = "{http://purl.oclc.org/ooxml/officeDocument/relationships}id"
_REFERENCE = re.compile(rb"<(?:[\w.-]+:)?c\s[^>]*?\br\s*=\s*[\"']([A-Z]{1,3})([0-9]{1,7})[\"']")
_ERROR = re.compile(
    rb"<(?:[\w.-]+:)?c\s(?P<start>[^>]*?)\bt\s*=\s*[\"']e[\"'](?P<end>[^>]*)>"
    rb"(?:(?!</(?:[\w.-]+:)?c>).)*?<(?:[\w.-]+:)?v>(?P<text>[^<]*)<",
    re.DOTALL,
)
_PLACE = re.compile(rb"\br\s*=\s*[\"']([A-Z]{1,3})([0-9]{1,7})[\"']")
_CELLS = 20_000_000
"""Cells that a sheet may span however few there are: calamine takes memory for all."""
_SPAN_RATIO = 20


def check_archive(content: bytes, name: str, limit: int | None) -> zipfile.ZipFile:
    """Return a workbook's archive, if it is one that does not unpack to too much.

    Args:
        content: The file.
        name: The file, as messages show it.
        limit: What it may unpack to at most; ``None`` for 250 times its size, or 256 MiB.

    Raises:
        ConnectError: If it is none, or does.
    """
    try:
        archive = zipfile.ZipFile(BytesIO(content))
    except zipfile.BadZipFile as error:
        raise ConnectError(
            f"cannot read {name}: it is no workbook of the kind .xlsx or .xlsm, or not complete ({error}); save it as "
            ".xlsx, or fetch it again"
        ) from error
    if "xl/workbook.xml" not in archive.namelist():
        raise ConnectError(f"cannot read {name}: it is no workbook of the kind .xlsx or .xlsm; save it as .xlsx")
    most = max(ALWAYS_UNPACKED, LARGEST_RATIO * len(content)) if limit is None else limit
    unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > most:
        raise ConnectError(
            f"cannot read {name}: its {len(content):,} bytes unpack to {unpacked:,}, more than {most:,}; if that is "
            "right, give the source a greater max_decompressed_bytes"
        )
    return archive


def error_cells(archive: zipfile.ZipFile, name: str, sheet: str) -> Mapping[int, Mapping[int, str]]:
    """Return the cells of a sheet that hold an error: its text, under row and column, both counted from 1.

    Raises:
        ConnectError: If the sheet's cells span more than fits into memory, or it is damaged.
    """
    try:
        content = archive.read(_path_of(archive, sheet))
    except (zipfile.BadZipFile, KeyError, ElementTree.ParseError, EOFError, OSError) as error:
        raise ConnectError(f"cannot read {name}: its sheet {sheet!r} is damaged ({error}); fetch it again") from error
    places = _REFERENCE.findall(content)
    if places:
        rows = [int(row) for _, row in places]
        columns = [_number(letters) for letters in {letters for letters, _ in places}]
        span = (max(rows) - min(rows) + 1) * (max(columns) - min(columns) + 1)
        if span > max(_CELLS, _SPAN_RATIO * len(places)):
            raise ConnectError(
                f"cannot read {name}: the {len(places):,} cells of its sheet {sheet!r} span {span:,} places; "
                "delete those that are far off"
            )
    found: dict[int, dict[int, str]] = {}
    for cell in _ERROR.finditer(content):
        place = _PLACE.search(cell["start"] + b" " + cell["end"])
        if place is None:
            raise ConnectError(f"cannot read {name}: a cell of its sheet {sheet!r} is an error and does not say where")
        found.setdefault(int(place[2]), {})[_number(place[1])] = cell["text"].decode()
    return found


def column_letters(number: int) -> str:
    """Return what a column is called, counted from 1.

    Example:
        >>> column_letters(1), column_letters(28)
        ('A', 'AB')
    """
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _path_of(archive: zipfile.ZipFile, sheet: str) -> str:
    """Return where in the archive a sheet is."""
    book = ElementTree.fromstring(archive.read("xl/workbook.xml"))
    relations = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
    targets = {each.get("Id"): each.get("Target", "") for each in relations}
    for each in book.iter():
        if each.tag.rpartition("}")[2] == "sheet" and each.get("name") == sheet:
            target = targets[each.get(_RELATION) or each.get(_STRICT_RELATION)]
            return target.lstrip("/") if target.startswith("/") else normpath(join("xl", target))
    raise KeyError(sheet)


def _number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number
