"""Texts that would be markup, scripts or addresses if a page took them for that, wherever a run may have a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.web.shop import Login, logins, run_orders

from mainstem import MapStage, Pipeline
from mainstem.secrets import SHOWN

HOSTILE = [
    "<script>alert(1)</script>",
    '"><script>alert(document.domain)</script>',
    "'><img src=x onerror=alert(1)>",
    '"><img src="http://evil.example/x.png">',
    "<svg onload=alert(1)>",
    "<svg><script>alert&#40;1&#41;</script>",
    "javascript:alert(1)",
    "</textarea><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</pre></code><iframe src=javascript:alert(1)>",
    "<a href=//evil.example onclick=alert(1)>x</a>",
    "{{ 7*7 }}{% raise %}",
    "${alert(1)}`${alert(1)}`",
    "<math><mtext></mtext><mglyph><style></math><img src onerror=alert(1)>",
    "--><!--><script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<meta http-equiv=refresh content='0;url=http://evil.example/'>",
    "<base href=//evil.example/>",
    '<form action=//evil.example><input name="token">',
    '" autofocus onfocus="alert(1)',
    "'-alert(1)-'",
    "]]><x>&xxe;",
]


class HostileError(Exception):
    """An error that says what it was given."""


def run_hostile(folder: Path) -> None:
    """Leave runs in a store whose names, stages, values, errors and codes are hostile."""
    run_orders(folder, [{"id": text, "amount": text} for text in HOSTILE])
    for text in HOSTILE:
        _pipeline(text).run([{text: text, "amount": [text, {text: text}]}], store=folder / "runs.db", run_id=text)
    failing = _pipeline("fails", continue_on_error=False)
    assert not failing.run([{"amount": HOSTILE[0]}], store=folder / "runs.db", run_id="failed").success
    rows = [Login("ada", -1, "hunter22"), Login(HOSTILE[0], -2, HOSTILE[1])]
    result = logins(folder).run(rows, store=folder / "runs.db", run_id="logins")
    assert result.success
    assert SHOWN


def _pipeline(text: str, *, continue_on_error: bool = True) -> Pipeline[Any, Any, Any]:
    def fail(row: dict[str, Any]) -> dict[str, Any]:
        error = HostileError(f"{text}\n{text}")
        error.code = text  # type: ignore[attr-defined]
        error.add_note(text)
        raise error

    return Pipeline[Any, Any](text).add_stage(MapStage(fail, name=text, continue_on_error=continue_on_error))
