"""Excel workbooks for tests, written as the format has it, cell by cell, with what no library would write as well."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from xml.sax.saxutils import escape

_TYPES = """<?xml version="1.0" encoding="UTF-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/>
<Override PartName="/xl/workbook.xml"
ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>
</Types>"""
_RELATIONS = """<?xml version="1.0" encoding="UTF-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1"
Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/>
</Relationships>"""
_MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_STYLES = f"""<?xml version="1.0" encoding="UTF-8"?><styleSheet {_MAIN}>
<numFmts count="1"><numFmt numFmtId="164" formatCode="[h]:mm:ss"/></numFmts>
<fonts count="1"><font/></fonts><fills count="1"><fill/></fills><borders count="1"><border/></borders>
<cellStyleXfs count="1"><xf numFmtId="0"/></cellStyleXfs><cellXfs count="5"><xf numFmtId="0"/>
<xf numFmtId="14" applyNumberFormat="1"/><xf numFmtId="22" applyNumberFormat="1"/>
<xf numFmtId="21" applyNumberFormat="1"/>
<xf numFmtId="164" applyNumberFormat="1"/></cellXfs></styleSheet>"""
_EPOCH = datetime(1899, 12, 30)


class Formula:
    """A formula, and its value when the workbook was written."""

    def __init__(self, text: str, value: Any) -> None:
        self.text = text
        self.value = value


class ErrorCell:
    """What a cell holds whose formula cannot be computed, such as ``#DIV/0!``."""

    def __init__(self, text: str) -> None:
        self.text = text


def column_letters(number: int) -> str:
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def _cell(value: Any, place: str, formula: str = "") -> str:
    if value is None:
        return ""
    if isinstance(value, Formula):
        return _cell(value.value, place, f"<f>{escape(value.text)}</f>")
    if isinstance(value, ErrorCell):
        return f'<c r="{place}" t="e">{formula}<v>{value.text}</v></c>'
    if isinstance(value, bool):
        return f'<c r="{place}" t="b">{formula}<v>{int(value)}</v></c>'
    if isinstance(value, str) and formula:
        return f'<c r="{place}" t="str">{formula}<v>{escape(value)}</v></c>'
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'
    style = 0
    if isinstance(value, datetime):
        style, value = 2, (value - _EPOCH) / timedelta(days=1)
    elif isinstance(value, date):
        style, value = 1, (datetime.combine(value, time()) - _EPOCH).days
    elif isinstance(value, time):
        style, value = 3, (datetime.combine(_EPOCH, value) - _EPOCH) / timedelta(days=1)
    elif isinstance(value, timedelta):
        style, value = 4, value / timedelta(days=1)
    return f'<c r="{place}" s="{style}">{formula}<v>{value!r}</v></c>'


def workbook(sheets: Mapping[str, Sequence[Sequence[Any]]], *, first_row: int = 1) -> bytes:
    """Return a workbook of these sheets, whose rows begin with ``first_row``; cells that are ``None`` are left out."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", _TYPES)
        archive.writestr("_rels/.rels", _RELATIONS)
        archive.writestr("xl/styles.xml", _STYLES)
        names = "".join(
            f'<sheet name="{escape(name)}" sheetId="{at}" r:id="rId{at}"/>' for at, name in enumerate(sheets, 1)
        )
        relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
        archive.writestr(
            "xl/workbook.xml",
            f'<?xml version="1.0"?><workbook {_MAIN} xmlns:r="{relations}"><sheets>{names}</sheets></workbook>',
        )
        links = "".join(
            f'<Relationship Id="rId{at}" Type="{relations}/worksheet" Target="worksheets/sheet{at}.xml"/>'
            for at in range(1, len(sheets) + 1)
        )
        styles = f'<Relationship Id="rId0" Type="{relations}/styles" Target="styles.xml"/>'
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            f"{links}{styles}</Relationships>",
        )
        for at, rows in enumerate(sheets.values(), 1):
            lines = "".join(
                f'<row r="{number}">'
                + "".join(_cell(value, f"{column_letters(column)}{number}") for column, value in enumerate(row, 1))
                + "</row>"
                for number, row in enumerate(rows, first_row)
            )
            archive.writestr(
                f"xl/worksheets/sheet{at}.xml",
                f'<?xml version="1.0"?><worksheet {_MAIN}><sheetData>{lines}</sheetData></worksheet>',
            )
    return content.getvalue()
